package layer2

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestRoutesToAPrefixRankAsTheKernelTriesThem(t *testing.T) {
	lan, half, all := netip.MustParsePrefix("192.168.10.0/24"), netip.MustParsePrefix("192.168.10.0/25"), netip.MustParsePrefix("0.0.0.0/0")
	got := rankRoutes([]routeEntry{
		{3, lan, 0, true}, {2, lan, 0, true}, // in the order in which they were added
		{2, all, 200, false}, {3, all, 100, false},
		{4, half, 500, true},
	})
	want := map[int][]Route{
		2: {{all, 1, false}, {lan, 1, true}},
		3: {{all, 0, false}, {lan, 0, true}},
		4: {{half, 0, true}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestTheKernelSendsByTheFirstRoute compares ranks with what the kernel itself says of where it sends.
func TestTheKernelSendsByTheFirstRoute(t *testing.T) {
	h := newHost(t)
	names := []string{cable(t, h, "a"), cable(t, h, "b")}
	slices.Reverse(names) // the order of names is not that of routes
	for n, name := range names {
		for _, network := range []string{"192.0.2", "198.51.100"} {
			address, err := netlink.ParseAddr(fmt.Sprintf("%s.%d/24", network, n+1))
			must(t, err)
			must(t, netlink.AddrAdd(link(t, name), address))
		}
	}
	l := follow(t)
	lookup := func(ip netip.Addr) (name string) {
		bits, rank := -1, 0
		for _, i := range l.Interfaces() {
			for _, r := range i.Routes {
				if r.Prefix.Contains(ip) && (r.Prefix.Bits() > bits || r.Prefix.Bits() == bits && r.Rank < rank) {
					name, bits, rank = i.Name, r.Prefix.Bits(), r.Rank
				}
			}
		}
		return name
	}
	index := func(n int) int { return link(t, names[n]).Attrs().Index }
	network := func(cidr string) *net.IPNet {
		_, n, err := net.ParseCIDR(cidr)
		must(t, err)
		return n
	}
	route := func(n int, cidr string, metric int, gateway string) *netlink.Route {
		r := &netlink.Route{LinkIndex: index(n), Dst: network(cidr), Priority: metric, Scope: netlink.SCOPE_LINK}
		if gateway != "" {
			r.Gw, r.Scope = net.ParseIP(gateway), netlink.SCOPE_UNIVERSE
		}
		return r
	}
	agree := func(what string, addresses ...string) {
		t.Helper()
		for _, text := range addresses {
			ip := netip.MustParseAddr(text)
			routes, err := netlink.RouteGet(ip.AsSlice())
			must(t, err)
			kernel, err := netlink.LinkByIndex(routes[0].LinkIndex)
			must(t, err)
			await(t, l, names[0], what+": "+text+" by "+kernel.Attrs().Name, func(Interface, bool) bool {
				return lookup(ip) == kernel.Attrs().Name
			})
		}
	}
	agree("two interfaces in a subnet", "192.0.2.200", "198.51.100.200")
	connected := route(0, "192.0.2.0/24", 0, "")
	connected.Protocol, connected.Src = unix.RTPROT_KERNEL, net.ParseIP("192.0.2.1").To4()
	must(t, netlink.RouteDel(connected))
	agree("the first route is gone", "192.0.2.200")
	connected.Priority = 50
	must(t, netlink.RouteAdd(connected))
	agree("the first interface has a higher metric", "192.0.2.200")
	must(t, netlink.RouteAdd(route(0, "192.0.2.128/25", 900, "")))
	agree("a longer prefix on link", "192.0.2.200", "192.0.2.100")
	must(t, netlink.RouteAdd(route(1, "203.0.113.0/24", 0, "")))
	must(t, netlink.RouteAdd(route(0, "203.0.113.0/28", 0, "198.51.100.9")))
	agree("on link without an address, and by way of a router", "203.0.113.200", "203.0.113.7")
	must(t, netlink.RouteAdd(route(0, "0.0.0.0/0", 100, "198.51.100.9")))
	must(t, netlink.RouteAdd(route(1, "0.0.0.0/0", 50, "192.0.2.9")))
	agree("two default routes", "8.8.8.8")
	must(t, netlink.RouteAdd(route(0, "2001:db8::/64", 300, "")))
	must(t, netlink.RouteAdd(route(1, "2001:db8::/64", 200, "")))
	agree("IPv6", "2001:db8::200")
}

func TestARouteOutOfAnInterfaceWithoutCarrierStaysUnlessTheKernelIgnoresIt(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "peer")
	address, err := netlink.ParseAddr("192.0.2.7/24")
	must(t, err)
	must(t, netlink.AddrAdd(link(t, name), address))
	l := follow(t)
	peer, err := h.NL.LinkByName("peer")
	must(t, err)
	must(t, h.NL.LinkSetDown(peer))
	await(t, l, name, "no carrier, a route", func(i Interface, _ bool) bool { return !i.Up && len(i.Routes) == 1 })
	must(t, os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/ignore_routes_with_linkdown", []byte("1"), 0o644))
	must(t, h.NL.LinkSetUp(peer))
	await(t, l, name, "carrier", func(i Interface, _ bool) bool { return i.Up && len(i.Routes) == 1 })
	must(t, h.NL.LinkSetDown(peer))
	await(t, l, name, "no carrier, no route", func(i Interface, _ bool) bool { return !i.Up && len(i.Routes) == 0 })
}
