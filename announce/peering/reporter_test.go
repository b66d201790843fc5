package peering

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// diary writes down the events.
type diary struct{ entries []string }

func (d *diary) write(what, peer string, address netip.Addr, why string) {
	d.entries = append(d.entries, strings.TrimSpace(what+" "+peer+" "+address.String()+" "+why))
}

func (d *diary) SessionEstablished(peer string, address netip.Addr) {
	d.write("established", peer, address, "")
}
func (d *diary) SessionLost(peer string, address netip.Addr, why string) {
	d.write("lost", peer, address, why)
}
func (d *diary) SessionClosed(peer string, address netip.Addr, why string) {
	d.write("closed", peer, address, why)
}
func (d *diary) BFDUp(peer string, address netip.Addr)  { d.write("BFD up", peer, address, "") }
func (d *diary) Failed([]plan.ServiceRef, plan.Failure) {}

func (d *diary) BFDDown(peer string, address netip.Addr, why string) {
	d.write("BFD down", peer, address, why)
}

var noSources = sources{
	path:     func(bgp.SessionKey) *v1alpha1.BFDSession { return nil },
	revision: func(bgp.SessionKey) string { return "" },
}

// gateway is the key of a session with a router of a default route.
func gateway(peer, address string) bgp.SessionKey {
	return bgp.SessionKey{Peer: peer, Gateway: netip.MustParseAddr(address)}
}

func TestSessionsThatComeAndGoAreEvents(t *testing.T) {
	told := &diary{}
	r := &reporter{events: told}
	status := bgp.PeerStatus{Key: gateway("tor", "10.0.0.1"), Address: netip.MustParseAddr("10.0.0.1"), State: bgp.Connect}
	expect := func(want ...string) {
		t.Helper()
		if !slices.Equal(told.entries, want) {
			t.Errorf("told %q, want %q", told.entries, want)
		}
		told.entries = nil
	}
	is := func(state bgp.State, problem bgp.Problem) {
		status.State, status.Problem = state, problem
		r.tell([]bgp.PeerStatus{status})
	}
	is(bgp.Connect, bgp.Problem{Kind: bgp.NoConnection, Detail: "refused"})
	expect()
	is(bgp.Established, bgp.Problem{})
	expect("established tor 10.0.0.1")
	is(bgp.Established, bgp.Problem{Kind: bgp.NoNextHop, Families: bgp.IPv6})
	expect()
	is(bgp.Idle, bgp.Problem{Kind: bgp.NotificationReceived, Notification: bgp.Notification{Code: 6, Subcode: 4}})
	expect("lost tor 10.0.0.1 the router closed the session: Cease/Administrative Reset")
	is(bgp.OpenSent, bgp.Problem{})
	expect()
	is(bgp.Established, bgp.Problem{})
	told.entries = nil
	r.tell(nil)
	expect("closed tor 10.0.0.1 it is not wanted any more")
	is(bgp.Established, bgp.Problem{})
	told.entries = nil
	r.draining = true
	r.tell(nil)
	expect("closed tor 10.0.0.1 the node is drained")
}

func TestAnAnnouncerRecordsItsSessions(t *testing.T) {
	r := &reporter{}
	r.bootID = "boot"
	r.refused = []plan.Refusal{{Peer: "a", Reason: plan.InvalidOnNode, Detail: "there is no Secret"}}
	since := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	status := r.status([]bgp.PeerStatus{
		{Key: gateway("tor", "10.0.0.2"), Address: netip.MustParseAddr("10.0.0.2"), State: bgp.OpenSent, Since: since, Problem: bgp.Problem{Kind: bgp.NoOpen}},
		{Key: gateway("tor", "10.0.0.1"), Address: netip.MustParseAddr("10.0.0.1"), State: bgp.Established, Since: since, Prefixes: 7},
		{Key: bgp.SessionKey{Peer: "found"}, State: bgp.Connect},
	}, noSources)
	var got []string
	for _, s := range status.Peers {
		text := fmt.Sprintf("%s %s %s %d %s", s.Name, s.Address, s.State, s.Prefixes, s.LastError)
		if s.Since != nil {
			text += " since " + s.Since.UTC().Format(time.RFC3339Nano)
		}
		got = append(got, text)
	}
	want := []string{
		"a  Refused 0 there is no Secret",
		"found  Connecting 0 ",
		"tor 10.0.0.1 Established 7  since 2026-01-02T03:04:05Z",
		"tor 10.0.0.2 Connecting 0 the router accepts connections and says nothing: does it know this node's address? since 2026-01-02T03:04:05Z",
	}
	if !slices.Equal(got, want) || status.BootID != "boot" {
		t.Errorf("recorded %q, want %q", got, want)
	}
}

func TestASessionRecordsWhatItSendsOfEachFamily(t *testing.T) {
	for _, test := range []struct {
		name   string
		status bgp.PeerStatus
		want   string
	}{
		{"both", bgp.PeerStatus{Families: bgp.IPv4 | bgp.IPv6, Sent: bgp.PrefixCounts{IPv4: 2, IPv6: 1}}, "IPv4 2 , IPv6 1 "},
		{"one, and nothing of the other", bgp.PeerStatus{Families: bgp.IPv4, Sent: bgp.PrefixCounts{IPv4: 2}}, "IPv4 2 "},
		{"one of two", bgp.PeerStatus{Families: bgp.IPv4, Sent: bgp.PrefixCounts{IPv4: 2}, Unsent: bgp.PrefixCounts{IPv6: 1}},
			"IPv4 2 , IPv6 0 the router does not carry IPv6 unicast in this session: activate that address family for the node at the router, or have another BGPPeer carry it"},
		{"no next hop", bgp.PeerStatus{Families: bgp.IPv4 | bgp.IPv6, Sent: bgp.PrefixCounts{IPv6: 2}, Unsent: bgp.PrefixCounts{IPv4: 1}, Address: torAddress},
			"IPv4 0 IPv4 routes have no next hop: the interface towards 10.0.0.254 has no such address: give it one, IPv6 2 "},
	} {
		test.status.State = bgp.Established
		var got []string
		for _, f := range sessionStatus(test.status, nil).Families {
			got = append(got, fmt.Sprintf("%s %d %s", f.Family, f.Prefixes, f.LastError))
		}
		if got := strings.Join(got, ", "); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if lost := sessionStatus(bgp.PeerStatus{State: bgp.Connect}, nil); lost.Families != nil {
		t.Errorf("without a session: %v", lost.Families)
	}
}

// written keeps what is written.
type written struct{ statuses []v1alpha1.BGPStatus }

func (w *written) WriteBGP(status v1alpha1.BGPStatus) { w.statuses = append(w.statuses, status) }

func TestCountsAreWrittenOnceInAWhileAndAllElseAtOnce(t *testing.T) {
	to := &written{}
	r := &reporter{writer: to, events: &diary{}}
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	status := bgp.PeerStatus{Key: bgp.SessionKey{Peer: "tor"}, State: bgp.Established}
	report := func(after time.Duration, writes bool, again time.Duration) {
		t.Helper()
		before := len(to.statuses)
		wake := r.report([]bgp.PeerStatus{status}, noSources, began.Add(after))
		if got := len(to.statuses) > before; got != writes {
			t.Errorf("after %s: it writes: %v", after, got)
		}
		if want := began.Add(again); again == 0 && !wake.IsZero() || again != 0 && !wake.Equal(want) {
			t.Errorf("after %s: it wakes at %s", after, wake)
		}
	}
	report(0, true, 0) // the first one
	report(time.Second, false, 0)
	status.Prefixes = 1
	report(time.Second, false, countPause)
	status.Prefixes = 2
	report(2*time.Second, false, countPause)
	report(countPause, true, 0)
	status.Prefixes = 3
	report(countPause+time.Second, false, 2*countPause)
	status.Problem = bgp.Problem{Kind: bgp.NoNextHop, Families: bgp.IPv6}
	report(countPause+2*time.Second, true, 0)
	status.Prefixes = 4
	report(countPause+3*time.Second, false, 2*countPause+2*time.Second)
	status.Prefixes, status.Families = 0, bgp.IPv4
	report(countPause+4*time.Second, true, 0) // whether a family is carried, and sent, is no mere count
	status.Prefixes, status.Sent.IPv4 = 1, 1
	report(countPause+5*time.Second, true, 0)
	status.Prefixes, status.Sent.IPv4 = 2, 2
	report(countPause+6*time.Second, false, 2*countPause+5*time.Second)
	if last := to.statuses[2].Peers[0]; len(to.statuses) != 5 || last.Prefixes != 3 || last.LastError == "" {
		t.Errorf("wrote %+v", to.statuses)
	}
}
