package layer2

import (
	"net"
	"net/netip"
	"reflect"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/internal/notify"
)

// newLinkState is the state of a node that has one interface, with index 2.
func newLinkState() *linkState {
	ethernet := Interface{Name: "eth0", Index: 2, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, Up: true}
	return &linkState{
		kernel: &kernelAddresses{changed: notify.New(), names: map[int]string{2: "eth0"}, at: map[netip.Addr][]int{}},
		links:  map[int]Interface{2: ethernet}, prefixes: map[int][]netip.Prefix{}, addresses: map[int][]netip.Addr{},
		linkLocal: map[int]netip.Addr{}, routes: map[int][]Route{}, gateways: map[int][]netip.Addr{},
	}
}

// Whatever a report about addresses or routes has in it, nothing breaks, and an address that comes and goes leaves nothing behind.
func FuzzReportOfAnAddressOrRoute(f *testing.F) {
	f.Add([]byte{})
	f.Add((&nl.IfAddrmsg{IfAddrmsg: unix.IfAddrmsg{Family: unix.AF_INET, Prefixlen: 24, Index: 2}}).Serialize())
	f.Add(nl.NewRtMsg().Serialize())
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newLinkState()
		report := func(kind uint16) {
			_ = s.apply(syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind}, Data: data})
			for addr := range s.kernel.all() {
				if !addr.IsValid() {
					t.Errorf("the kernel has the address %v", addr)
				}
			}
		}
		for _, kind := range []uint16{unix.RTM_NEWROUTE, unix.RTM_DELROUTE, unix.RTM_NEWADDR, unix.RTM_DELADDR} {
			report(kind)
		}
		if has := s.kernel.all(); len(has) > 0 {
			t.Errorf("the kernel still has %v", has)
		}
	})
}

// Whatever an interface is like, nothing breaks, only one that something can be announced on is taken, and one that comes and goes
// leaves nothing behind.
func FuzzReportOfALink(f *testing.F) {
	const up = unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP
	f.Add("eth1", []byte{2, 0, 0, 0, 0, 7}, uint32(up), uint32(0), "veth")
	f.Add("port", []byte{2, 0, 0, 0, 0, 7}, uint32(up), uint32(9), "bridge")
	f.Add("lo", make([]byte, 6), uint32(up|unix.IFF_LOOPBACK), uint32(0), "")
	f.Add("ib0", make([]byte, 20), uint32(up), uint32(0), "ipoib")
	f.Add("wg0", []byte{}, uint32(up|unix.IFF_NOARP), uint32(0), "wireguard")
	f.Fuzz(func(t *testing.T, name string, mac []byte, flags, master uint32, kind string) {
		s := newLinkState()
		before := s.interfaces()
		message := nl.NewIfInfomsg(unix.AF_UNSPEC)
		message.Index, message.Flags = 7, flags
		data := message.Serialize()
		attributes := []*nl.RtAttr{
			nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)), nl.NewRtAttr(unix.IFLA_ADDRESS, mac),
			nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(master)),
		}
		if kind != "" {
			info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
			info.AddRtAttr(nl.IFLA_INFO_KIND, nl.ZeroTerminated(kind))
			attributes = append(attributes, info)
		}
		for _, a := range attributes {
			data = append(data, a.Serialize()...)
		}
		report := func(kind uint16) {
			_ = s.apply(syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind}, Data: data})
		}
		report(unix.RTM_NEWLINK)
		for _, i := range s.interfaces() {
			if len(i.MAC) != 6 || i.Index == 7 && (flags&unix.IFF_LOOPBACK != 0 || master != 0) {
				t.Errorf("%+v is taken", i)
			}
		}
		report(unix.RTM_DELLINK)
		if after := s.interfaces(); !reflect.DeepEqual(after, before) {
			t.Errorf("there is %+v, want %+v", after, before)
		}
	})
}

// Whatever addresses and routes are listed, nothing breaks, and what is taken of them is valid.
func FuzzListedAddressesAndRoutes(f *testing.F) {
	f.Add([]byte{192, 0, 2, 7}, []byte(nil), []byte{192, 0, 2, 1}, uint8(24), uint32(0))
	f.Add([]byte{192, 0, 2, 7}, []byte{198, 51, 100, 1}, []byte(nil), uint8(32), uint32(unix.RTNH_F_DEAD))
	f.Add(netip.MustParseAddr("2001:db8::7").AsSlice(), []byte(nil), netip.MustParseAddr("fe80::1").AsSlice(), uint8(64), uint32(unix.IFA_F_TENTATIVE))
	f.Add(netip.MustParseAddr("::ffff:192.0.2.7").AsSlice(), []byte(nil), []byte(nil), uint8(128), uint32(0))
	f.Fuzz(func(t *testing.T, ip, peer, gateway []byte, length uint8, flags uint32) {
		s := newLinkState()
		network := func(ip []byte) *net.IPNet { return &net.IPNet{IP: ip, Mask: net.CIDRMask(int(length), 8*len(ip))} }
		a := netlink.Addr{IPNet: network(ip), LinkIndex: 2, Flags: int(flags)}
		if len(peer) > 0 {
			a.Peer = network(peer)
		}
		if addr, ok := s.add(a); ok != addr.IsValid() {
			t.Errorf("the address is %v, %v", addr, ok)
		}
		for _, i := range s.interfaces() {
			for _, p := range i.Prefixes {
				if !p.IsValid() {
					t.Errorf("of %+v comes the prefix %v", a, p)
				}
			}
		}
		family := netlink.FAMILY_V6
		if len(ip) == 4 {
			family = netlink.FAMILY_V4
		}
		entries, gateways := entriesOf([]netlink.Route{{LinkIndex: 2, Dst: network(ip), Gw: gateway, Flags: int(flags)}, {LinkIndex: 2, Gw: gateway}}, family)
		for _, e := range entries {
			if !e.prefix.IsValid() {
				t.Errorf("of the route to %v comes the prefix %v", network(ip), e.prefix)
			}
		}
		for _, router := range gateways[2] {
			if !router.IsValid() {
				t.Errorf("of %v comes the gateway %v", gateway, router)
			}
		}
	})
}
