package layer2

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestEveryWayInWhichTheKernelAnswersIsReported compares what is reported with what the kernel does: whether a
// client on the network gets an answer. vip1 is in the network of the first interface, elsewhere behind the second.
func TestEveryWayInWhichTheKernelAnswersIsReported(t *testing.T) {
	elsewhere := netip.MustParseAddr("198.51.100.201")
	for name, c := range map[string]struct {
		addr    netip.Addr
		sysctls map[string]string // below /proc/sys/net/, with IF for the first interface
		local   string            // a local route
		proxy   bool              // an entry for the address as a proxy, on the first interface
		has     string            // an address of the second interface
		want    string            // in the report; "" for none
	}{
		"as it comes":                        {addr: vip1},
		"proxy ARP":                          {addr: elsewhere, sysctls: map[string]string{"ipv4/conf/IF/proxy_arp": "1"}, want: "the sysctl net.ipv4.conf.IF.proxy_arp is set: set net.ipv4.conf.IF.proxy_arp=0"},
		"proxy ARP of all":                   {addr: elsewhere, sysctls: map[string]string{"ipv4/conf/all/proxy_arp": "1"}, want: "net.ipv4.conf.all.proxy_arp=0"},
		"proxy ARP for what is on the link":  {addr: vip1, sysctls: map[string]string{"ipv4/conf/IF/proxy_arp": "1"}},
		"proxy ARP without forwarding":       {addr: elsewhere, sysctls: map[string]string{"ipv4/conf/IF/proxy_arp": "1", "ipv4/conf/IF/forwarding": "0"}},
		"proxy ARP on a medium that is none": {addr: elsewhere, sysctls: map[string]string{"ipv4/conf/IF/proxy_arp": "1", "ipv4/conf/IF/medium_id": "-1"}},
		"private VLAN":                       {addr: vip1, sysctls: map[string]string{"ipv4/conf/IF/proxy_arp_pvlan": "1"}, want: "net.ipv4.conf.IF.proxy_arp_pvlan=0"},
		"private VLAN for what is elsewhere": {addr: elsewhere, sysctls: map[string]string{"ipv4/conf/IF/proxy_arp_pvlan": "1"}},
		"a proxy entry":                      {addr: elsewhere, proxy: true, want: "ip neigh del proxy 198.51.100.201 dev IF"},
		"a proxy entry on the same link":     {addr: vip1, proxy: true},
		"a local route":                      {addr: vip1, local: "192.0.2.96/27", want: "ip route del local 192.0.2.96/27"},
		"a local route for others":           {addr: vip1, local: "192.0.2.192/27"},
		"a local route, strict":              {addr: vip1, local: "192.0.2.96/27", sysctls: map[string]string{"ipv4/conf/all/arp_ignore": "1"}},
		"an address elsewhere":               {addr: vip1, has: "192.0.2.101/32", want: "strictARP: true"},
		"an address elsewhere, strict":       {addr: vip1, has: "192.0.2.101/32", sysctls: map[string]string{"ipv4/conf/all/arp_ignore": "1", "ipv4/conf/all/arp_announce": "2"}},
		"a proxy entry of IPv6":              {addr: vip61, proxy: true, sysctls: map[string]string{"ipv6/conf/IF/proxy_ndp": "1"}, want: "net.ipv6.conf.IF.proxy_ndp=0"},
		"a proxy entry of IPv6 without use":  {addr: vip61, proxy: true},
		"the routers' anycast address":       {addr: netip.MustParseAddr("2001:db8::"), want: "anycast"},
	} {
		t.Run(name, func(t *testing.T) {
			h, names := switched(t, 1)
			links := follow(t)
			on, other := names[0], cable(t, newHost(t), "b")
			for _, ifi := range []string{on, other} {
				setSysctl(t, "ipv4/conf/"+ifi+"/forwarding", "1")
				setSysctl(t, "ipv4/conf/"+ifi+"/rp_filter", "0")
			}
			setSysctl(t, "ipv6/conf/all/forwarding", "1")
			setSysctl(t, "ipv4/neigh/"+on+"/proxy_delay", "0")
			setSysctl(t, "ipv6/neigh/"+on+"/proxy_delay", "0")
			settle(t, links, on, families["IPv4"].own)
			settle(t, links, on, families["IPv6"].own)
			settle(t, links, other, netip.MustParseAddr("198.51.100.7"))
			for path, value := range c.sysctls {
				setSysctl(t, strings.ReplaceAll(path, "IF", on), value)
			}
			if c.local != "" {
				_, network, err := net.ParseCIDR(c.local)
				must(t, err)
				local := &netlink.Route{LinkIndex: link(t, "lo").Attrs().Index, Dst: network, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST}
				must(t, netlink.RouteAdd(local))
				t.Cleanup(func() { netlink.RouteDel(local) })
			}
			if c.proxy {
				family := netlink.FAMILY_V4
				if c.addr.Is6() {
					family = netlink.FAMILY_V6
				}
				must(t, netlink.NeighAdd(&netlink.Neigh{LinkIndex: link(t, on).Attrs().Index, Family: family, Flags: netlink.NTF_PROXY, IP: c.addr.AsSlice()}))
			}
			if c.has != "" {
				address, err := netlink.ParseAddr(c.has)
				must(t, err)
				must(t, netlink.AddrAdd(link(t, other), address))
				await(t, links, other, "its address", func(i Interface, _ bool) bool { return len(i.Addresses) == 2 })
			}
			out := on
			if c.addr == elsewhere {
				out = other
			}
			// The interface by which the kernel sends is known, and nothing else of the second one.
			announced := announcedOn([]netip.Addr{c.addr}, out, on)
			announced.Interfaces = append(announced.Interfaces, out)
			got, want := links.KernelAnswers(announced), strings.ReplaceAll(c.want, "IF", on)
			if (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("reports %q, want %q", got, want)
			}
			must(t, h.NL.RouteAdd(&netlink.Route{LinkIndex: h.index("br0"), Dst: hostNet(elsewhere), Scope: netlink.SCOPE_LINK}))
			if want != "" {
				h.finds(c.addr, link(t, on).Attrs().HardwareAddr)
				return
			}
			stop := h.visits(c.addr)
			h.neighbourIn(c.addr, nil, netlink.NUD_FAILED)
			stop()
		})
	}
}

// setSysctl sets a setting of the node's kernel until the test ends.
func setSysctl(t *testing.T, path, value string) {
	t.Helper()
	path = "/proc/sys/net/" + path
	before, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(value), 0o644))
	t.Cleanup(func() { os.WriteFile(path, before, 0o644) })
}

func TestWhatIsAnnouncedIsNotLookedAtUnlessTheKernelMayAnswer(t *testing.T) {
	name := cable(t, newHost(t), "peer")
	links := follow(t)
	announced := announcedOn(nil, name, name)
	announced.Addresses = func() []netip.Addr {
		t.Error("asks for all addresses")
		return nil
	}
	if got := links.KernelAnswers(announced); got != "" {
		t.Errorf("reports %q", got)
	}
}

func TestALocalRouteOfOthersIsReportedAsSoonAsItComes(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "lan")
	links := follow(t)
	settle(t, links, name, families["IPv4"].own)
	kernelSays(t, links, vip1, name, "")
	local := &netlink.Route{LinkIndex: link(t, "lo").Attrs().Index, Dst: hostNet(vip1), Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST, Protocol: unix.RTPROT_STATIC}
	must(t, netlink.RouteAdd(local))
	kernelSays(t, links, vip1, name, "The kernel answers for 192.0.2.101 on "+name)
	must(t, netlink.RouteDel(local))
	kernelSays(t, links, vip1, name, "")
}
