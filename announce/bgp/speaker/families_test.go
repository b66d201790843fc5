package speaker

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/clarionlb/clarion/announce/bgp"
)

// over6 are the lines for a session over IPv6.
func over6(more ...string) []string {
	lines := []string{"neighbor NODE6 remote-as 65000"}
	lines = append(lines, more...)
	return append(lines, activate("NODE6")...)
}

// peer6 is the Peer to speak with the router over IPv6.
func (r *router) peer6() bgp.Peer {
	p := r.peer()
	p.Address = r.v6
	return p
}

var both = routes(nil, "198.51.100.1/32", "2001:db8:ff::1/128")

func TestIPv4RoutesHaveAnIPv6NextHopWhereTheRouterTakesThat(t *testing.T) {
	t.Parallel()
	r := newRouter(t, over6("neighbor NODE6 capability extended-nexthop")...)
	s := newSpeaker(t, false)
	run(t, s)
	s.Set(alone(r.peer6()), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE6", "2001:db8:ff::1/128": "NODE6"})
}

func TestIPv4RoutesHaveAnIPv4NextHopWhereTheRouterTakesNoOther(t *testing.T) {
	t.Parallel()
	r := newRouter(t, over6()...)
	s := newSpeaker(t, false)
	run(t, s)
	s.Set(alone(r.peer6()), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
}

func TestAFamilyThatHasNoNextHopIsToldAndComesWhenItGetsOne(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	eth := interfaceOf(t, r.node6)
	must(t, netlink.AddrDel(eth, address(t, r.node6.String()+"/64")))
	s := newSpeaker(t, false)
	run(t, s)
	s.Set(alone(r.peer()), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE"})
	eventually(t, "a word about IPv6", func() (bool, any) {
		p := status(s, "tor")
		return p.State == bgp.Established && p.Prefixes == 1 && p.Problem.String() == "IPv6 routes have no next hop: the interface towards "+r.v4.String()+" has no such address: give it one", p
	})
	must(t, netlink.AddrAdd(eth, address(t, r.node6.String()+"/64")))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	eventually(t, "no more word about IPv6", func() (bool, any) {
		p := status(s, "tor")
		return p.Prefixes == 2 && p.Problem.String() == "", p
	})
}

// The kernel lists an IPv6 address before those that an interface had already.
func TestRoutesNeverHaveANextHopThatTheRouterCannotReach(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	eth := interfaceOf(t, r.node6)
	for _, more := range []string{"2001:db8:eeee::5/128", "10.255.255.5/32"} {
		must(t, netlink.AddrAdd(eth, address(t, more)))
	}
	s := newSpeaker(t, false)
	run(t, s)
	s.Set(alone(r.peer()), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})

	network := netip.PrefixFrom(r.node6, 64)
	second := network.Masked().Addr().Next().Next().Next().Next().Next()
	must(t, netlink.AddrAdd(eth, address(t, netip.PrefixFrom(second, 64).String())))
	deprecated := address(t, network.String())
	deprecated.ValidLft, deprecated.PreferedLft = 3600, 0
	must(t, netlink.AddrReplace(eth, deprecated))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": second.String()})
	if n := r.neighbor(r.node4.String()); n.Established != 1 {
		t.Errorf("the session was reset: %+v", n)
	}
}

// interfaceOf returns the one of the node that has an address.
func interfaceOf(t *testing.T, addr netip.Addr) netlink.Link {
	t.Helper()
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	must(t, err)
	for _, a := range addrs {
		if a.IP.Equal(addr.AsSlice()) {
			link, err := netlink.LinkByIndex(a.LinkIndex)
			must(t, err)
			return link
		}
	}
	t.Fatalf("no interface has %s", addr)
	return nil
}

func TestAFamilyThatTheRouterDoesNotCarryIsTold(t *testing.T) {
	t.Parallel()
	r := newRouter(t, "neighbor NODE remote-as 65000", "address-family ipv4 unicast", "neighbor NODE activate", "exit-address-family")
	s := newSpeaker(t, false)
	run(t, s)
	s.Set(alone(r.peer()), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE"})
	eventually(t, "a word about IPv6", func() (bool, any) {
		p := status(s, "tor")
		return p.Families == bgp.IPv4 && p.Sent == bgp.PrefixCounts{IPv4: 1} && p.Unsent == bgp.PrefixCounts{IPv6: 1} &&
			p.FamilyProblem(bgp.IPv6).Kind == bgp.NotCarried && p.FamilyProblem(bgp.IPv4) == bgp.Problem{}, p
	})
	r.configure(r.name("router bgp 65001"), "address-family ipv6 unicast", r.name("neighbor NODE activate"))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	eventually(t, "no more word about IPv6", func() (bool, any) {
		p := status(s, "tor")
		return p.Sent == bgp.PrefixCounts{IPv4: 1, IPv6: 1} && p.Unsent == bgp.PrefixCounts{}, p
	})
}

func TestAFamilyMayBeLeftOut(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	p := r.peer()
	p.Families = bgp.IPv4
	s.Set(alone(p), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE"})
	eventually(t, "one prefix of one family", func() (bool, any) {
		p := status(s, "tor")
		return p.Prefixes == 1 && p.Families == bgp.IPv4 && p.Problem.String() == "", p
	})
}

func TestARouterIsFoundByItsAdvertisements(t *testing.T) {
	t.Parallel()
	h, eth := cable(t)
	// Only link-local addresses are left; the kernel makes them when an interface comes up.
	r := &router{frr: h.frr("router bgp 65001", "bgp router-id 10.0.0.1", "no bgp ebgp-requires-policy", "no bgp default ipv4-unicast", "timers bgp 3 9",
		"neighbor lan interface remote-as 65000",
		"address-family ipv4 unicast", "neighbor lan activate", "exit-address-family",
		"address-family ipv6 unicast", "neighbor lan activate", "exit-address-family")}
	s := newSpeaker(t, false)
	run(t, s)
	p := bgp.Peer{Interface: eth, LocalASN: 65000, RouterID: netip.MustParseAddr("192.0.2.2"), HoldTime: calmHoldTime, ConnectTime: bgp.MinConnectTime}
	s.Set(alone(p), say(both))
	established(t, s, "tor")
	local := linkLocal(t, eth).String()
	r.has(map[string]string{"198.51.100.1/32": local, "2001:db8:ff::1/128": local})
	if p := status(s, "tor"); p.Address.Zone() != eth || !p.Address.IsLinkLocalUnicast() {
		t.Errorf("%+v", p)
	}
	// Nobody takes the node for a way to anywhere.
	defaults, err := h.NL.RouteList(nil, netlink.FAMILY_V6)
	must(t, err)
	for _, d := range defaults {
		if d.Dst == nil || d.Dst.IP.IsUnspecified() {
			t.Errorf("a default route: %v", d)
		}
	}
}

// linkLocal returns the link-local address of an interface of the node.
func linkLocal(t testing.TB, name string) netip.Addr {
	t.Helper()
	ifi, err := net.InterfaceByName(name)
	must(t, err)
	addrs, err := ifi.Addrs()
	must(t, err)
	for _, a := range addrs {
		if p := netip.MustParsePrefix(a.String()); p.Addr().IsLinkLocalUnicast() && p.Addr().Is6() {
			return p.Addr()
		}
	}
	t.Fatalf("%s has no link-local address", name)
	return netip.Addr{}
}
