package layer2

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestLinksFollowsAnInterfaceThroughItsLife(t *testing.T) {
	l := follow(t)
	h := newHost(t)
	name := cable(t, h, "peer")
	await(t, l, name, "up", func(i Interface, ok bool) bool { return ok && i.Up && len(i.MAC) == 6 })

	address, err := netlink.ParseAddr("192.0.2.7/24")
	must(t, err)
	must(t, netlink.AddrAdd(link(t, name), address))
	await(t, l, name, "its prefix", func(i Interface, _ bool) bool {
		return slices.Equal(i.Prefixes, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
	})

	address6, err := netlink.ParseAddr("2001:db8::7/64")
	must(t, err)
	must(t, netlink.AddrAdd(link(t, name), address6))
	await(t, l, name, "both prefixes", func(i Interface, _ bool) bool {
		return slices.Equal(i.Prefixes, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")})
	})

	_, everything, err := net.ParseCIDR("0.0.0.0/0")
	must(t, err)
	route := &netlink.Route{LinkIndex: link(t, name).Attrs().Index, Dst: everything, Gw: netip.MustParseAddr("192.0.2.1").AsSlice()}
	must(t, netlink.RouteAdd(route))
	await(t, l, name, "the default route", func(i Interface, _ bool) bool {
		return defaultRoute(i, 4) && !defaultRoute(i, 6) && slices.Equal(i.Gateways, []netip.Addr{netip.MustParseAddr("192.0.2.1")})
	})
	must(t, netlink.RouteDel(route))
	await(t, l, name, "no default route", func(i Interface, _ bool) bool { return !defaultRoute(i, 4) && len(i.Gateways) == 0 })

	// The kernel does not report that the routes go with the link.
	must(t, netlink.RouteAdd(route))
	await(t, l, name, "the default route", func(i Interface, _ bool) bool { return defaultRoute(i, 4) })
	must(t, netlink.LinkSetDown(link(t, name)))
	await(t, l, name, "down without routes", func(i Interface, ok bool) bool { return ok && !i.Up && !defaultRoute(i, 4) })
	must(t, netlink.LinkSetUp(link(t, name)))
	await(t, l, name, "up", func(i Interface, _ bool) bool { return i.Up })

	peer, err := h.NL.LinkByName("peer")
	must(t, err)
	must(t, h.NL.LinkSetDown(peer))
	await(t, l, name, "no carrier", func(i Interface, ok bool) bool { return ok && !i.Up })
	must(t, h.NL.LinkSetUp(peer))
	await(t, l, name, "carrier", func(i Interface, _ bool) bool { return i.Up })

	mac := []byte{2, 0, 0, 0, 0, 7}
	must(t, netlink.LinkSetHardwareAddr(link(t, name), mac))
	await(t, l, name, "its new MAC", func(i Interface, _ bool) bool { return slices.Equal(i.MAC, mac) })

	must(t, netlink.LinkSetName(link(t, name), name+"new"))
	await(t, l, name+"new", "its new name", func(i Interface, ok bool) bool { return ok && len(i.Prefixes) > 0 })
	await(t, l, name, "no more", func(_ Interface, ok bool) bool { return !ok })

	must(t, netlink.LinkDel(link(t, name+"new")))
	await(t, l, name+"new", "no more", func(_ Interface, ok bool) bool { return !ok })
}

func TestRoutersOfEachInterfaceAreKnown(t *testing.T) {
	l := follow(t)
	h := newHost(t)
	names := []string{cable(t, h, "a"), cable(t, h, "b")}
	gateways := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")}
	route := &netlink.Route{Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}}
	for n, name := range names {
		address, err := netlink.ParseAddr(gateways[n].Next().String() + "/24")
		must(t, err)
		must(t, netlink.AddrAdd(link(t, name), address))
		route.MultiPath = append(route.MultiPath, &netlink.NexthopInfo{LinkIndex: link(t, name).Attrs().Index, Gw: gateways[n].AsSlice()})
	}
	must(t, netlink.RouteAdd(route))
	router6 := netip.MustParseAddr("fe80::1")
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link(t, names[1]).Attrs().Index, Gw: router6.AsSlice()}))
	await(t, l, names[0], "its router", func(i Interface, _ bool) bool {
		return defaultRoute(i, 4) && !defaultRoute(i, 6) && slices.Equal(i.Gateways, gateways[:1])
	})
	await(t, l, names[1], "its routers", func(i Interface, _ bool) bool {
		return defaultRoute(i, 4) && defaultRoute(i, 6) && slices.Equal(i.Gateways, []netip.Addr{gateways[1], router6})
	})
}

func TestLinksLeavesOutThePortsOfABridge(t *testing.T) {
	l := follow(t)
	h := newHost(t)
	name := cable(t, h, "peer")
	address, err := netlink.ParseAddr("192.0.2.7/24")
	must(t, err)
	must(t, netlink.AddrAdd(link(t, name), address))
	await(t, l, name, "up", func(i Interface, ok bool) bool { return ok && i.Up && len(i.Prefixes) == 1 })

	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	must(t, netlink.LinkAdd(bridge))
	t.Cleanup(func() { netlink.LinkDel(bridge) })
	must(t, netlink.LinkSetUp(bridge))
	must(t, netlink.LinkSetMaster(link(t, name), bridge))
	await(t, l, name, "a port of the bridge", func(_ Interface, ok bool) bool { return !ok })
	await(t, l, "br0", "up", func(i Interface, ok bool) bool { return ok && i.Up })

	must(t, netlink.LinkSetNoMaster(link(t, name)))
	await(t, l, name, "free again, with its prefix", func(i Interface, ok bool) bool { return ok && len(i.Prefixes) == 1 })
}

func TestLinksLeavesOutLoopbackAndInterfacesWithoutARP(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "peer")
	quiet := cable(t, h, "quiet")
	must(t, netlink.LinkSetARPOff(link(t, quiet)))
	l := follow(t)
	if _, ok := find(l, name); !ok {
		t.Errorf("%s is missing", name)
	}
	for _, name := range []string{"lo", quiet} {
		if i, ok := find(l, name); ok {
			t.Errorf("%s is there: %+v", name, i)
		}
	}
	must(t, netlink.LinkSetARPOn(link(t, quiet)))
	await(t, l, quiet, "there, with ARP on", func(i Interface, ok bool) bool { return ok })
}

// defaultRoute says whether a default route for a version of IP leads out of the interface.
func defaultRoute(i Interface, version int) bool {
	return slices.ContainsFunc(i.Routes, func(r Route) bool { return r.Prefix.Bits() == 0 && r.Prefix.Addr().Is4() == (version == 4) })
}
