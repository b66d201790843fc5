package layer2

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func TestHowTheKernelRepliesByItself(t *testing.T) {
	const on, off = true, false
	for name, c := range map[string]struct {
		addr               netip.Addr
		has                string
		ignore, announce   int
		answers, announce2 bool
	}{
		"as it comes":                 {vip1, "kube-ipvs0", 0, 0, on, on},
		"strict":                      {vip1, "kube-ipvs0", 1, 2, off, off},
		"stricter":                    {vip1, "kube-ipvs0", 2, 2, off, off},
		"silent":                      {vip1, "kube-ipvs0", 8, 2, off, off},
		"strict about scopes only":    {vip1, "kube-ipvs0", 3, 2, on, off},
		"strict about answers only":   {vip1, "kube-ipvs0", 1, 1, off, on},
		"strict about questions only": {vip1, "kube-ipvs0", 0, 2, on, off},
		"strict, on the interface":    {vip1, "eth0", 1, 2, on, on},
		"silent, on the interface":    {vip1, "eth0", 8, 2, off, on},
		"IPv6":                        {vip61, "kube-ipvs0", 0, 0, off, off},
		"IPv6, on the interface":      {vip61, "eth0", 1, 2, on, on},
		"IPv6, on the interface, silent for IPv4": {vip61, "eth0", 8, 2, on, on},
	} {
		t.Run(name, func(t *testing.T) {
			l := kernelReplyFor(c.addr, c.has, "eth0", kernelSettings{ignore: c.ignore, announce: c.announce})
			if l.answers != c.answers || l.announces != c.announce2 {
				t.Errorf("answers %v, announces %v", l.answers, l.announces)
			}
		})
	}
}

func TestWhichAddressesANodeHasForItself(t *testing.T) {
	l := NewLinks()
	l.kernel.setNames(map[int]string{1: "lo", 2: "eth0", 3: "kube-ipvs0", 4: "vrrp.1"})
	at := map[netip.Addr][]int{vip1: {3}}
	for text, indices := range map[string][]int{
		"127.0.0.1": {1}, "::1": {1}, "169.254.20.10": {2}, "fe80::1": {2}, "10.0.0.1": {2},
		"10.0.0.50": {4, 2}, "10.0.0.60": {3, 2}, "10.0.0.70": {1}, "2001:db8::1": {2},
	} {
		at[netip.MustParseAddr(text)] = indices
	}
	l.kernel.set(at)
	got := fmt.Sprint(l.KernelAddresses())
	if want := "[{10.0.0.1 eth0} {10.0.0.50 eth0} {10.0.0.60 eth0} {10.0.0.70 lo} {2001:db8::1 eth0}]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSentencesAboutAKernelThatReplies(t *testing.T) {
	const fix = ", so that the network finds it at this node whichever announces it: set strictARP: true in kube-proxy's " +
		"configuration, or the sysctls net.ipv4.conf.all.arp_ignore=1 and net.ipv4.conf.all.arp_announce=2."
	for _, c := range []struct {
		l    kernelReply
		more int
		want string
	}{
		{kernelReply{vip1, "kube-ipvs0", "eth0", true, true}, 0, "The kernel has 192.0.2.101 on kube-ipvs0 and answers ARP requests for it on eth0, and names it in its own" + fix},
		{kernelReply{vip1, "kube-ipvs0", "eth0", true, false}, 1, "The kernel has 192.0.2.101 on kube-ipvs0 (and 1 more address alike) and answers ARP requests for it on eth0" + fix},
		{kernelReply{vip1, "kube-ipvs0", "eth0", false, true}, 2, "The kernel has 192.0.2.101 on kube-ipvs0 (and 2 more addresses alike) and names it as the sender of its ARP requests on eth0" + fix},
		{kernelReply{vip61, "eth0", "eth0", true, true}, 0, "The kernel has 2001:db8::101 on eth0 itself and so tells the network that it is at this node, always: take it off the interface."},
	} {
		if got := c.l.sentence(c.more); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

// kernelSetting sets a setting of the node's kernel for an interface until the test ends.
func kernelSetting(t *testing.T, ifi, name, value string) {
	t.Helper()
	path := "/proc/sys/net/ipv4/conf/" + ifi + "/" + name
	before, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(value), 0o644))
	t.Cleanup(func() { os.WriteFile(path, before, 0o644) })
}

// only has one address that may be announced, on one interface, by which the kernel sends to it.
func only(addr netip.Addr, ifi string) Announced { return announcedOn([]netip.Addr{addr}, ifi, ifi) }

// announcedOn has addresses for which requests arrive on some interfaces. The kernel sends to them by
// out.
func announcedOn(addresses []netip.Addr, out string, on ...string) Announced {
	return Announced{
		Interfaces: on,
		Addresses:  func() []netip.Addr { return slices.Clone(addresses) },
		Arrivals: func(a netip.Addr) ([]string, string) {
			if !slices.Contains(addresses, a) {
				return nil, ""
			}
			return on, out
		},
	}
}

// kernelSays waits until what KernelAnswers returns for an address on an interface starts with
// want, or is "" if want is. It calls it again only after KernelChanged.
func kernelSays(t *testing.T, links *Links, addr netip.Addr, ifi, want string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		got := links.KernelAnswers(only(addr, ifi))
		if want == "" && got == "" || want != "" && strings.HasPrefix(got, want) {
			return
		}
		select {
		case <-links.KernelChanged():
		case <-timeout:
			t.Fatalf("%v on %s: said %q, want %q", addr, ifi, got, want)
		}
	}
}

// The test compares the sentence with what the kernel really does: whether a client on the network
// gets an answer.
func TestAKernelThatAnswersByItselfIsReportedUntilItStops(t *testing.T) {
	h, names := switched(t, 1)
	links := follow(t)
	name := names[0]
	settle(t, links, name, families["IPv4"].own)
	settle(t, links, name, families["IPv6"].own)
	mac := link(t, name).Attrs().HardwareAddr

	// IPVS is not there, but what matters is that the address is on another interface.
	ipvs := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "kube-ipvs0"}}
	must(t, netlink.LinkAdd(ipvs))
	t.Cleanup(func() { netlink.LinkDel(ipvs) })
	kernelSays(t, links, vip1, name, "")
	for _, addr := range []netip.Addr{vip1, vip61} {
		must(t, netlink.AddrAdd(ipvs, &netlink.Addr{IPNet: hostNet(addr)}))
	}

	kernelSays(t, links, vip1, name, "The kernel has 192.0.2.101 on kube-ipvs0 and answers ARP requests for it on "+name+", and names it in its own")
	kernelSays(t, links, vip61, name, "")
	h.finds(vip1, mac)
	must(t, h.NL.NeighDel(&netlink.Neigh{LinkIndex: h.index("br0"), IP: vip1.AsSlice()}))

	kernelSetting(t, name, "arp_announce", "2")
	kernelSays(t, links, vip1, name, "The kernel has 192.0.2.101 on kube-ipvs0 and answers ARP requests for it on "+name+", so")
	kernelSetting(t, "all", "arp_ignore", "1")
	kernelSays(t, links, vip1, name, "")
	for _, addr := range []netip.Addr{vip1, vip61} {
		stop := h.visits(addr)
		h.neighbourIn(addr, nil, netlink.NUD_FAILED)
		stop()
	}

	// On the interface itself, nothing keeps the kernel from answering.
	for _, addr := range []netip.Addr{vip1, vip61} {
		must(t, netlink.AddrAdd(link(t, name), &netlink.Addr{IPNet: hostNet(addr)}))
		kernelSays(t, links, addr, name, "The kernel has "+addr.String()+" on "+name+" itself")
		must(t, netlink.AddrDel(link(t, name), &netlink.Addr{IPNet: hostNet(addr)}))
		kernelSays(t, links, addr, name, "")
	}

	must(t, os.WriteFile("/proc/sys/net/ipv4/conf/all/arp_ignore", []byte("0"), 0o644))
	kernelSays(t, links, vip1, name, "The kernel has 192.0.2.101 on kube-ipvs0 and answers ARP requests")
	must(t, netlink.LinkDel(ipvs))
	kernelSays(t, links, vip1, name, "")
}

func TestManyAddressesOfTheKernelAreReportedInOneSentence(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "lan")
	lo := link(t, "lo")
	var addresses []netip.Addr
	for addr := vip1; len(addresses) < 3; addr = addr.Next() {
		addresses = append(addresses, addr)
		must(t, netlink.AddrAdd(lo, &netlink.Addr{IPNet: hostNet(addr)}))
		t.Cleanup(func() { netlink.AddrDel(lo, &netlink.Addr{IPNet: hostNet(addr)}) })
	}
	kernelSetting(t, "all", "arp_announce", "2")
	links := follow(t)
	const want = "The kernel has 192.0.2.101 on lo (and 2 more addresses alike) and answers ARP requests for it on "
	if got := links.KernelAnswers(announcedOn(addresses, name, name)); !strings.HasPrefix(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
}
