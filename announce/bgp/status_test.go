package bgp

import (
	"net/netip"
	"testing"
)

func TestAFamilyHasAProblemIfItHasRoutesThatAreNotSent(t *testing.T) {
	router := netip.MustParseAddr("10.0.0.1")
	up := PeerStatus{State: Established, Address: router, Families: IPv4, Sent: PrefixCounts{IPv4: 3}}
	change := func(f func(*PeerStatus)) PeerStatus {
		s := up
		f(&s)
		return s
	}
	for _, c := range []struct {
		name   string
		status PeerStatus
		family Families
		want   Problem
	}{
		{"all is sent", up, IPv4, Problem{}},
		{"there is nothing of the family", up, IPv6, Problem{}},
		{"the session does not carry it", change(func(s *PeerStatus) { s.Unsent.IPv6 = 1 }), IPv6, Problem{Kind: NotCarried, Families: IPv6}},
		{"it is the other family that is not carried", change(func(s *PeerStatus) { s.Unsent.IPv6 = 1 }), IPv4, Problem{}},
		{"there is no next hop", change(func(s *PeerStatus) { s.Unsent.IPv4 = 1 }), IPv4, Problem{Kind: NoNextHop, Families: IPv4, Address: router}},
		{"there is no session", change(func(s *PeerStatus) { s.State, s.Unsent.IPv4 = Connect, 1 }), IPv4, Problem{}},
	} {
		if got := c.status.FamilyProblem(c.family); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
