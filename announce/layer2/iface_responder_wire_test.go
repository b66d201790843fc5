package layer2

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestOnTheWireAnInterfaceThatComesBackAnnouncesAgain(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "lan")
	r := respond(t)
	s := h.station("lan")
	r.Set(map[netip.Addr][]string{vip1: {name}})
	// Only the announcements of the first moment are awaited, with the repeats far away.
	for _, change := range []func(){
		func() {},
		func() {
			must(t, netlink.LinkSetDown(link(t, name)))
			must(t, netlink.LinkSetUp(link(t, name)))
		},
		func() { must(t, netlink.LinkSetHardwareAddr(link(t, name), net.HardwareAddr{2, 0, 0, 0, 0, 0x55})) },
	} {
		change()
		mac := link(t, name).Attrs().HardwareAddr
		for _, form := range []arp.Operation{arp.OperationRequest, arp.OperationReply} {
			got, to := s.receive("an announcement", func(p *arp.Packet) bool {
				return announces(form, vip1)(p) && slices.Equal(p.SenderHardwareAddr, mac)
			})
			if !slices.Equal(to, broadcast) {
				t.Errorf("announced to %v: %+v", to, got)
			}
		}
	}
}

func TestInterfaceThatIsDeletedAndMadeAnewIsServedAgain(t *testing.T) {
	h := newHost(t)
	r := respond(t)
	name := cable(t, h, "lan")
	r.Set(map[netip.Addr][]string{vip1: {name}})
	h.station("lan").receive("an announcement", announces(arp.OperationReply, vip1))
	must(t, netlink.LinkDel(link(t, name)))
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "lan", PeerNamespace: netlink.NsFd(h.NS)}))
	h.Up("lan")
	s := h.station("lan")
	must(t, netlink.LinkSetUp(link(t, name)))
	s.receive("an announcement", announces(arp.OperationReply, vip1))
}

// Set names interfaces. A name counts only while an interface has it that is not a port of another
// one.
func TestInterfaceThatIsRenamedOrEnslavedGoesSilentUntilItIsBack(t *testing.T) {
	for family, addresses := range families {
		t.Run(family, func(t *testing.T) {
			h := newHost(t)
			name := cable(t, h, "lan")
			links := follow(t)
			r := NewResponder(links)
			run(t, r.Run)
			r.Set(map[netip.Addr][]string{addresses.free: {name}})
			bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name + "br"}}
			must(t, netlink.LinkAdd(bridge))
			t.Cleanup(func() { netlink.LinkDel(bridge) })
			index := link(t, name).Attrs().Index
			rename := func(to string) {
				l, err := netlink.LinkByIndex(index)
				must(t, err)
				must(t, netlink.LinkSetName(l, to))
			}
			s := h.stationOf("lan", addresses.free)
			mac := link(t, name).Attrs().HardwareAddr
			for what, change := range map[string]struct{ away, back func() }{
				"renamed":  {func() { rename(name + "old") }, func() { rename(name) }},
				"enslaved": {func() { must(t, netlink.LinkSetMaster(link(t, name), bridge)) }, func() { must(t, netlink.LinkSetNoMaster(link(t, name))) }},
			} {
				s.hears(addresses.free, mac)
				change.away()
				await(t, links, name, what, func(_ Interface, ok bool) bool { return !ok })
				silent(t, r)
				s = h.stationOf("lan", addresses.free)
				change.back()
			}
			s.hears(addresses.free, mac)
		})
	}
}

func TestIPv6OnAnInterfaceThatGoesAndComesBackIsServedAgain(t *testing.T) {
	h := newHost(t)
	r := respond(t)
	name := cable(t, h, "lan")
	r.Set(map[netip.Addr][]string{vip61: {name}})
	served := func(what string) {
		t.Helper()
		s := h.stationFor("lan", unix.ETH_P_IPV6)
		must(t, netlink.LinkSetUp(link(t, name)))
		mac := link(t, name).Attrs().HardwareAddr
		s.receive6("an announcement "+what, func(a advert) bool { return announcing(vip61)(a) && slices.Equal(a.mac, mac) })
		if n := memberships(t, name)[groupOf(vip61)]; n != 1 {
			t.Errorf("%s: the kernel counts %d memberships, want 1", what, n)
		}
		// Packets are lost until the other end has noticed its carrier. So it asks again and again,
		// as clients do.
		question := frameFor(unix.ETH_P_IPV6, asker, multicastMAC(groupOf(vip61)), untagged, theMulticast())
		defer s.repeatedly(question)()
		s.receive6("an answer "+what, isAnswer6)
	}
	served("at first")
	must(t, netlink.LinkSetDown(link(t, name)))
	served("after it was down")
	must(t, netlink.LinkSetHardwareAddr(link(t, name), net.HardwareAddr{2, 0, 0, 0, 0, 0x66}))
	served("after its address has changed")
	must(t, netlink.LinkDel(link(t, name)))
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "lan", PeerNamespace: netlink.NsFd(h.NS)}))
	h.Up("lan")
	served("after it was made anew")
}
