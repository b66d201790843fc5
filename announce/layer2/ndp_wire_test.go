package layer2

import (
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestOnTheWireOnlyValidSolicitationsForItsAddressesAreAnswered(t *testing.T) {
	h := newHost(t)
	name, other := cable(t, h, "lan"), cable(t, h, "other")
	links := follow(t)
	await(t, links, name, "a link-local address", func(i Interface, _ bool) bool { return i.LinkLocal.IsValid() })
	i, _ := find(links, name)
	r := NewResponder(links)
	r.Repeats6 = []time.Duration{0}
	run(t, r.Run)
	elsewhere := netip.MustParseAddr("2001:db8::103")
	s := h.stationFor("lan", unix.ETH_P_IPV6)
	r.Set(map[netip.Addr][]string{vip61: {name}, vip62: {name}, elsewhere: {other}})
	announced := map[netip.Addr]bool{}
	s.receive6("the announcements", func(a advert) bool {
		announced[a.TargetAddress] = a.Override && !a.Solicited && !a.Router && a.dst == allNodes &&
			slices.Equal(a.to, allNodesMAC) && slices.Equal(a.mac, i.MAC) && a.src == i.LinkLocal && a.hopLimit == 255
		return announced[vip61] && announced[vip62]
	})

	type test struct {
		frame    []byte
		answered bool
	}
	to := func(mac net.HardwareAddr, packet []byte) []byte {
		return frameFor(unix.ETH_P_IPV6, asker, mac, untagged, packet)
	}
	group := multicastMAC(groupOf(vip61))
	tests := map[string]test{
		"VLAN tag":           {frameFor(unix.ETH_P_IPV6, asker, group, 100, theMulticast()), false},
		"priority tag":       {frameFor(unix.ETH_P_IPV6, asker, group, 5<<13, theMulticast()), true},
		"to the interface":   {to(i.MAC, solicitation(client6, vip61, vip61)), true},
		"to another station": {to(otherMAC, solicitation(client6, vip61, vip61)), false},
		"an address it does not have": {
			to(group, solicitation(client6, groupOf(vip61), vip61.Next().Next().Next().Next(), sourceMAC(asker))), false,
		},
		"an address of another port": {to(group, solicitation(client6, groupOf(elsewhere), elsewhere, sourceMAC(asker))), false},
	}
	for name, c := range solicitations {
		if len(c.packet) > 0 {
			tests[name] = test{to(group, c.packet), c.want}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			c := tests[name]
			s.send(c.frame)
			// A question that is surely answered follows, so that silence shows.
			s.send(to(group, solicitation(client6, groupOf(vip62), vip62, sourceMAC(asker))))
			detection := strings.HasPrefix(name, "detection")
			a := s.receive6("an answer", func(a advert) bool { return true })
			if c.answered {
				want := advert{
					NeighborAdvertisement: &ndp.NeighborAdvertisement{Solicited: true, Override: true, TargetAddress: vip61},
					to:                    asker, src: i.LinkLocal, dst: client6, hopLimit: 255, mac: i.MAC,
				}
				if strings.Contains(name, "link-local") {
					want.dst = netip.MustParseAddr("fe80::1")
				}
				if detection {
					want.Solicited, want.dst, want.to = false, allNodes, allNodesMAC
				}
				if a.String() != want.String() {
					t.Errorf("answer:\n got %s\nwant %s", a, want)
				}
				a = s.receive6("the second answer", func(advert) bool { return true })
			}
			if a.TargetAddress != vip62 || !a.Solicited {
				t.Errorf("unexpected answer: %s", a)
			}
		})
	}
}

func TestKernelOfAClientFindsAnIPv6AddressAndFollowsItWhenItMoves(t *testing.T) {
	h, names := switched(t, 2)
	r := respond(t)
	first, second := link(t, names[0]).Attrs().HardwareAddr, link(t, names[1]).Attrs().HardwareAddr
	r.Set(map[netip.Addr][]string{vip61: names[:1]})
	h.finds(vip61, first)
	r.Set(map[netip.Addr][]string{vip61: names[1:]})
	h.neighbour(vip61, second)
	r.Set(map[netip.Addr][]string{vip61: names[:1]})
	h.neighbour(vip61, first)

	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V6)
	must(t, err)
	if slices.ContainsFunc(addresses, func(a netlink.Addr) bool { return a.IP.Equal(vip61.AsSlice()) }) {
		t.Errorf("the node has %v among its addresses", vip61)
	}
}

// A client that has talked to an address checks from time to time by unicast whether it is still
// there.
func TestKernelOfAClientThatChecksAnEntryIsAnswered(t *testing.T) {
	h, names := switched(t, 1)
	r := respond(t)
	r.Set(map[netip.Addr][]string{vip61: names})
	mac := link(t, names[0]).Attrs().HardwareAddr
	h.finds(vip61, mac)
	h.In(func() error { // not to give up when the machine is busy
		return os.WriteFile("/proc/sys/net/ipv6/neigh/br0/ucast_solicit", []byte("100"), 0o644)
	})
	br0, err := h.NL.LinkByName("br0")
	must(t, err)
	entry := &netlink.Neigh{LinkIndex: br0.Attrs().Index, IP: vip61.AsSlice(), HardwareAddr: mac, State: netlink.NUD_PROBE}
	must(t, h.NL.NeighSet(entry))
	h.neighbourIn(vip61, mac, netlink.NUD_REACHABLE)
}

func TestKernelOfAnotherHostGivesUpTheAddressWhenItDetectsTheDuplicate(t *testing.T) {
	h, names := switched(t, 1)
	r := respond(t)
	r.Set(map[netip.Addr][]string{vip61: names})
	h.finds(vip61, link(t, names[0]).Attrs().HardwareAddr)

	updates, done := make(chan netlink.AddrUpdate), make(chan struct{})
	must(t, netlink.AddrSubscribeWithOptions(updates, done, netlink.AddrSubscribeOptions{Namespace: &h.NS, ListExisting: true}))
	defer func() {
		close(done)
		for range updates {
		}
	}()
	br0, err := h.NL.LinkByName("br0")
	must(t, err)
	address, err := netlink.ParseAddr(vip61.String() + "/64")
	must(t, err)
	must(t, h.NL.AddrAdd(br0, address))
	timeout := time.After(patience)
	for {
		select {
		case u := <-updates:
			if !u.LinkAddress.IP.Equal(vip61.AsSlice()) {
				continue
			}
			if u.Flags&unix.IFA_F_DADFAILED != 0 {
				return
			}
			if u.NewAddr && u.Flags&unix.IFA_F_TENTATIVE == 0 {
				t.Fatalf("the host has taken %v: %+v", vip61, u)
			}
		case <-timeout:
			t.Fatal("the host has not detected the duplicate")
		}
	}
}

func TestAddressSpeaksForItselfWhereTheInterfaceHasNoLinkLocalAddress(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "lan")
	links := follow(t)
	has := func(i Interface, _ bool) bool { return i.LinkLocal.IsValid() }
	await(t, links, name, "a link-local address", has)
	i, _ := find(links, name)
	own := &netlink.Addr{IPNet: &net.IPNet{IP: i.LinkLocal.AsSlice(), Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD}
	must(t, netlink.AddrDel(link(t, name), own))
	await(t, links, name, "no link-local address", func(i Interface, ok bool) bool { return ok && !has(i, ok) })

	r := NewResponder(links)
	run(t, r.Run)
	s := h.stationFor("lan", unix.ETH_P_IPV6)
	r.Set(map[netip.Addr][]string{vip61: {name}})
	from := func(want netip.Addr) {
		t.Helper()
		s.send(frameFor(unix.ETH_P_IPV6, asker, multicastMAC(groupOf(vip61)), untagged, theMulticast()))
		if a := s.receive6("an answer", isAnswer6); a.src != want {
			t.Errorf("answered from %v, want %v", a.src, want)
		}
	}
	s.receive6("the announcement", announcing(vip61))
	from(vip61)
	must(t, netlink.AddrAdd(link(t, name), own))
	await(t, links, name, "a link-local address", has)
	from(i.LinkLocal)
}
