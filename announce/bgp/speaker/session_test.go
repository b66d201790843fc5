package speaker

import (
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/clarionlb/clarion/announce/bgp"
)

// plain are the lines for a session with the node that carries both families, and more lines for it.
func plain(more ...string) []string {
	lines := []string{"neighbor NODE remote-as 65000"}
	lines = append(lines, more...)
	return append(lines, activate("NODE")...)
}

// activate has a session carry both families.
func activate(neighbor string) []string {
	return []string{
		"address-family ipv4 unicast", "neighbor " + neighbor + " activate", "exit-address-family",
		"address-family ipv6 unicast", "neighbor " + neighbor + " activate", "exit-address-family",
	}
}

// alone is what is set for one peer.
func alone(p bgp.Peer) map[bgp.SessionKey]bgp.Peer { return map[bgp.SessionKey]bgp.Peer{key("tor"): p} }

func say(rs []bgp.Route) map[bgp.SessionKey][]bgp.Route {
	return map[bgp.SessionKey][]bgp.Route{key("tor"): rs}
}

func TestRoutesReachTheKernelOfTheRouterAndLeaveIt(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	peers := alone(r.peer())
	s.Set(peers, say(routes(nil, "198.51.100.1/32", "198.51.100.2/32", "2001:db8:ff::1/128")))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "198.51.100.2/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	s.Set(peers, say(routes(nil, "198.51.100.2/32", "198.51.100.3/32")))
	r.has(map[string]string{"198.51.100.2/32": "NODE", "198.51.100.3/32": "NODE"})
	eventually(t, "two routes in the status", func() (bool, any) {
		p := status(s, "tor")
		return p.Prefixes == 2 && p.State == bgp.Established && p.PeerASN == 65001 && p.PeerID == r.v4 && p.Families == bgp.IPv4|bgp.IPv6 &&
			p.Problem.String() == "" && p.Updates > 0, p
	})
	s.Set(nil, nil)
	r.has(nil)
	eventually(t, "no peer in the status", func() (bool, any) { return len(s.Peers()) == 0, s.Peers() })
	if n := r.neighbor(r.node4.String()); n.LastNotification != "Cease/Administrative Shutdown" {
		t.Errorf("the router was told %q", n.LastNotification)
	}
}

func TestNothingListensOnTheNode(t *testing.T) {
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	s.Set(alone(r.peer()), nil)
	established(t, s, "tor")
	out, err := exec.Command("ss", "-Hlntu").CombinedOutput()
	must(t, err)
	if len(out) != 0 {
		t.Errorf("something listens:\n%s", out)
	}
}

func TestAttributesAreSeenByTheRouter(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	s.Set(alone(r.peer()), say(append(routes(&bgp.Attributes{
		LocalPref:        ptr(uint32(300)), // not for external routers
		MED:              ptr(uint32(42)),
		Communities:      []uint32{65000<<16 | 7, 65000<<16 | 8},
		LargeCommunities: []bgp.LargeCommunity{{Global: 65000, Local1: 1, Local2: 2}, {Global: 65000, Local1: 3, Local2: 4}},
		Prepend:          2,
		LinkBandwidth:    125_000_000,
	}, "198.51.100.1/32", "2001:db8:ff::1/128"), routes(nil, "198.51.100.2/32")...)))
	for _, prefix := range []string{"198.51.100.1/32", "2001:db8:ff::1/128"} {
		p := r.path(prefix)
		if p.ASPath.String != "65000 65000 65000" || p.MED == nil || *p.MED != 42 || p.Community.String != "65000:7 65000:8" ||
			p.LargeCommunity.String != "65000:1:2 65000:3:4" || p.Origin != "IGP" || p.LocalPref != nil ||
			p.ExtendedCommunity.String != "LB:65000:125000000 (1.000 Gbps) LB:65000:125000000 (1.000 Gbps)" { // in both forms
			t.Errorf("%s: %+v", prefix, p)
		}
	}
	if p := r.path("198.51.100.2/32"); p.ASPath.String != "65000" || p.MED != nil || p.Community.String != "" {
		t.Errorf("a route without attributes: %+v", p)
	}

	s.Set(alone(r.peer()), say(routes(&bgp.Attributes{MED: ptr(uint32(0))}, "198.51.100.1/32")))
	eventually(t, "other attributes", func() (bool, any) {
		p := r.path("198.51.100.1/32")
		return p.MED != nil && *p.MED == 0 && p.Community.String == "" && p.ASPath.String == "65000", p
	})
}

func TestInternalSessionsCarryALocalPreferenceAndNoPrepending(t *testing.T) {
	t.Parallel()
	r := newRouter(t, append([]string{"neighbor NODE remote-as 65001"}, activate("NODE")...)...)
	s := newSpeaker(t, false)
	run(t, s)
	p := r.peer()
	p.LocalASN = 65001
	s.Set(alone(p), say(append(routes(&bgp.Attributes{LocalPref: ptr(uint32(300)), Prepend: 3}, "198.51.100.1/32"), routes(nil, "198.51.100.2/32")...)))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "198.51.100.2/32": "NODE"})
	if p := r.path("198.51.100.1/32"); p.LocalPref == nil || *p.LocalPref != 300 || p.ASPath.String != "Local" {
		t.Errorf("%+v", p)
	}
	if p := r.path("198.51.100.2/32"); p.LocalPref == nil || *p.LocalPref != 100 {
		t.Errorf("%+v", p)
	}
}

func TestAnyExternalAutonomousSystemIsAcceptedAndOurOwnIsNot(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	p := r.peer()
	p.PeerASN = 0
	s.Set(alone(p), say(routes(nil, "198.51.100.1/32")))
	r.has(map[string]string{"198.51.100.1/32": "NODE"})
	if p := r.path("198.51.100.1/32"); p.ASPath.String != "65000" {
		t.Errorf("%+v", p)
	}

	r.configure("router bgp 65001", r.name("neighbor NODE remote-as 65001"))
	p.LocalASN = 65001
	s.Set(alone(p), say(routes(nil, "198.51.100.1/32")))
	refused(t, s, "tor", "the router is in the autonomous system of this node and was to be in another one")
	r.has(nil)
}

func TestOneNodeIsSeveralToSeveralRouters(t *testing.T) {
	t.Parallel()
	a, b := newRouter(t, plain()...), newRouter(t, "neighbor NODE remote-as 4200000001", "address-family ipv4 unicast", "neighbor NODE activate", "exit-address-family")
	s := newSpeaker(t, false)
	run(t, s)
	pa, pb := a.peer(), b.peer()
	pb.LocalASN, pb.RouterID = 4200000001, netip.MustParseAddr("192.0.2.3")
	s.Set(map[bgp.SessionKey]bgp.Peer{key("a"): pa, key("b"): pb}, map[bgp.SessionKey][]bgp.Route{key("a"): routes(nil, "198.51.100.1/32"), key("b"): routes(nil, "198.51.100.2/32")})
	a.has(map[string]string{"198.51.100.1/32": "NODE"})
	b.has(map[string]string{"198.51.100.2/32": "NODE"})
	if n := a.neighbor(a.node4.String()); n.RemoteAS != 65000 || n.RemoteRouterID != "192.0.2.2" {
		t.Errorf("%+v", n)
	}
	if n := b.neighbor(b.node4.String()); n.RemoteAS != 4200000001 || n.RemoteRouterID != "192.0.2.3" {
		t.Errorf("%+v", n)
	}
}

func TestAPasswordIsChangedWithoutRestartingOtherSessions(t *testing.T) {
	t.Parallel()
	a, b := newRouter(t, plain("neighbor NODE password first")...), newRouter(t, plain("neighbor NODE password other")...)
	s := newSpeaker(t, false)
	run(t, s)
	pa, pb := a.peer(), b.peer()
	pa.Password, pb.Password = "first", "other"
	rs := map[bgp.SessionKey][]bgp.Route{key("a"): routes(nil, "198.51.100.1/32"), key("b"): routes(nil, "198.51.100.1/32")}
	s.Set(map[bgp.SessionKey]bgp.Peer{key("a"): pa, key("b"): pb}, rs)
	a.has(map[string]string{"198.51.100.1/32": "NODE"})
	b.has(map[string]string{"198.51.100.1/32": "NODE"})

	a.configure("router bgp 65001", a.name("neighbor NODE password second"))
	pa.Password = "second"
	s.Set(map[bgp.SessionKey]bgp.Peer{key("a"): pa, key("b"): pb}, rs)
	eventually(t, "a second session with a", func() (bool, any) {
		n := a.neighbor(a.node4.String())
		return n.State == "Established" && n.Established == 2, n
	})
	if n := b.neighbor(b.node4.String()); n.Established != 1 || n.State != "Established" {
		t.Errorf("the other session was touched: %+v", n)
	}
}

func TestAWrongPasswordIsSuspected(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain("neighbor NODE password right")...)
	s := newSpeaker(t, false)
	run(t, s)
	p := r.peer()
	p.Password = "wrong"
	s.Set(alone(p), nil)
	refused(t, s, "tor", "does the router have the same password?")
	p.Password = "right"
	s.Set(alone(p), nil)
	established(t, s, "tor")
}

func TestPacketsFromAfarAreRefused(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain("neighbor NODE ttl-security hops 1")...)
	s := newSpeaker(t, false)
	run(t, s)
	p := r.peer()
	p.SecurityHops = 1
	s.Set(alone(p), nil)
	established(t, s, "tor")

	// What a router sends with a small TTL might come from anywhere.
	r.configure("router bgp 65001", r.name("no neighbor NODE ttl-security hops 1"))
	refused(t, s, "tor", "the router accepts connections and says nothing")
}

// behind puts a router, on 203.0.113.1, behind the one at the end of a cable, and returns it with a
// Peer for it.
func behind(t *testing.T, lines ...string) (*router, bgp.Peer) {
	t.Helper()
	middle, eth := cable(t)
	middle.Address("lan", "10.1.0.1/24")
	give(t, eth, "10.1.0.2/24")
	must(t, netlink.RouteAdd(&netlink.Route{Dst: network(t, "203.0.113.0/24"), Gw: netip.MustParseAddr("10.1.0.1").AsSlice()}))
	far := newHost(t)
	middle.In(func() error {
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "far"}, PeerName: "lan", PeerNamespace: netlink.NsFd(far.NS)}); err != nil {
			return err
		}
		return exec.Command("sysctl", "-w", "net.ipv4.ip_forward=1").Run()
	})
	middle.Up("far")
	far.Up("lan")
	middle.Address("far", "203.0.113.254/24")
	far.Address("lan", "203.0.113.1/24")
	must(t, far.NL.RouteAdd(&netlink.Route{Dst: network(t, "10.1.0.0/24"), Gw: netip.MustParseAddr("203.0.113.254").AsSlice()}))
	r := &router{v4: netip.MustParseAddr("203.0.113.1"), node4: netip.MustParseAddr("10.1.0.2")}
	r.frr = far.frr(strings.Split(r.name(strings.Join(append([]string{
		"router bgp 65001", "bgp router-id ROUTER", "no bgp ebgp-requires-policy", "timers bgp 3 9",
	}, lines...), "\n")), "\n")...)
	return r, r.peer()
}

func network(t *testing.T, prefix string) *net.IPNet {
	t.Helper()
	n, err := netlink.ParseIPNet(prefix)
	must(t, err)
	return n
}

func TestARouterBehindAnotherIsReachedWithATTL(t *testing.T) {
	t.Parallel()
	r, p := behind(t, "neighbor NODE remote-as 65000", "neighbor NODE ebgp-multihop 2")
	s := newSpeaker(t, false)
	run(t, s)
	s.Set(alone(p), say(routes(nil, "198.51.100.1/32")))
	refused(t, s, "tor", "no connection")
	p.MultihopTTL = 2
	s.Set(alone(p), say(routes(nil, "198.51.100.1/32")))
	established(t, s, "tor")
	if path := r.path("198.51.100.1/32"); len(path.Nexthops) != 1 || path.Nexthops[0].IP != "10.1.0.2" {
		t.Errorf("%+v", path)
	}
}

func TestSourcePortAndTimersAreThoseOfThePeer(t *testing.T) {
	t.Parallel()
	h, eth := cable(t)
	h.Address("lan", "10.2.0.1/24")
	give(t, eth, "10.2.0.2/24")
	give(t, eth, "10.2.0.3/24")
	r := &router{v4: netip.MustParseAddr("10.2.0.1"), node4: netip.MustParseAddr("10.2.0.3")}
	r.frr = &frr{host: h, options: []string{"--bgp_port", "1790"}}
	r.begin("router bgp 65001", "bgp router-id 10.2.0.1", "no bgp ebgp-requires-policy", "neighbor 10.2.0.3 remote-as 65000")
	s := newSpeaker(t, false)
	run(t, s)
	p := r.peer()
	p.Source, p.Port, p.HoldTime, p.KeepaliveTime = r.node4, 1790, 12*time.Second, 2*time.Second
	s.Set(alone(p), say(routes(nil, "198.51.100.1/32")))
	r.has(map[string]string{"198.51.100.1/32": "NODE"})
	n := r.neighbor("10.2.0.3")
	if n.HoldTimeMsecs != 12000 {
		t.Errorf("hold time: %+v", n)
	}
}

func TestTheRouterMaySpeakOfTheSamePrefix(t *testing.T) {
	t.Parallel()
	a := newRouter(t, plain("address-family ipv4 unicast", "network 198.51.100.1/32", "network 203.0.113.0/24", "exit-address-family")...)
	b := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	peers := map[bgp.SessionKey]bgp.Peer{key("a"): a.peer(), key("b"): b.peer()}
	s.Set(peers, nil)
	established(t, s, "a")
	established(t, s, "b")
	// Ours must be announced, also to the one that says it is better, and theirs not be passed on.
	rs := routes(nil, "198.51.100.1/32", "198.51.100.2/32")
	s.Set(peers, map[bgp.SessionKey][]bgp.Route{key("a"): rs, key("b"): rs})
	b.has(map[string]string{"198.51.100.1/32": "NODE", "198.51.100.2/32": "NODE"})
	eventually(t, "two paths at a", func() (bool, any) {
		ps := a.paths("198.51.100.1/32")
		return len(ps) == 2, ps
	})
	if ps := b.paths("203.0.113.0/24"); len(ps) != 0 {
		t.Errorf("passed on: %+v", ps)
	}
	b.has(map[string]string{"198.51.100.1/32": "NODE", "198.51.100.2/32": "NODE"})
}

func TestARouterThatSendsTooMuchIsCutOff(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain("address-family ipv4 unicast", "network 203.0.113.1/32", "network 203.0.113.2/32", "network 203.0.113.3/32", "exit-address-family")...)
	s := newSpeaker(t, false)
	run(t, s)
	p := r.peer()
	p.MaxPrefixes = 2
	s.Set(alone(p), say(routes(nil, "198.51.100.1/32")))
	eventually(t, "a pause", func() (bool, any) {
		p := status(s, "tor")
		return p.State == bgp.Idle && p.Problem.Kind == bgp.PrefixLimit && p.Flaps == 1, p
	})
	eventually(t, "the reason at the router", func() (bool, any) {
		n := r.neighbor(r.node4.String())
		return n.LastNotification == "Cease/Maximum Number of Prefixes Reached", n
	})
	// Three are not too many any more, and nobody waits for the pause to end.
	p.MaxPrefixes = 3
	s.Set(alone(p), say(routes(nil, "198.51.100.1/32")))
	r.has(map[string]string{"198.51.100.1/32": "NODE"})
}

func TestAPeerThatCannotBeHonouredSaysSoAndTheOthersWork(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	bad := r.peer()
	bad.MultihopTTL, bad.SecurityHops = 2, 1
	s.Set(map[bgp.SessionKey]bgp.Peer{key("bad"): bad, key("good"): r.peer()}, map[bgp.SessionKey][]bgp.Route{key("good"): routes(nil, "198.51.100.1/32")})
	r.has(map[string]string{"198.51.100.1/32": "NODE"})
	if p := status(s, "bad"); p.State != bgp.Idle || p.Problem.String() != bad.Validate().Error() {
		t.Errorf("%+v", p)
	}
}

func TestAWrongAutonomousSystemIsTold(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	p := r.peer()
	p.PeerASN = 65002
	s.Set(alone(p), nil)
	refused(t, s, "tor", "the router is in autonomous system 65001, and 65002 was expected")
	p = r.peer()
	p.LocalASN = 65009
	s.Set(alone(p), nil)
	refused(t, s, "tor", "the router refused the session: OPEN Message Error/Bad Peer AS: does it expect this autonomous system from this address?")
}

// refused waits until there is no session, for a reason that contains some words.
func refused(t *testing.T, s *Speaker, name, words string) {
	t.Helper()
	eventually(t, "no session because of "+words, func() (bool, any) {
		p := status(s, name)
		return p.State != bgp.Established && strings.Contains(p.Problem.String(), words), p
	})
}
