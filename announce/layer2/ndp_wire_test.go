package layer2

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// advert is a neighbour advertisement that a station has received.
type advert struct {
	*ndp.NeighborAdvertisement
	to       net.HardwareAddr // of its frame
	src, dst netip.Addr
	hopLimit byte
	mac      net.HardwareAddr // where it says that its target is
}

func (a advert) String() string {
	return fmt.Sprintf("%v is at %v: router %v, solicited %v, override %v, from %v, to %v at %v, hop limit %d",
		a.TargetAddress, a.mac, a.Router, a.Solicited, a.Override, a.src, a.dst, a.to, a.hopLimit)
}

// receive6 returns the next neighbour advertisement that arrives and that is wanted.
func (s *station) receive6(what string, wanted func(advert) bool) advert {
	s.t.Helper()
	for {
		frame := s.receiveFrame(what, func(frame []byte) bool {
			const advertisement = 136
			return len(frame) > 14+ipv6HeaderSize && frame[14+6] == icmpv6 && frame[14+ipv6HeaderSize] == advertisement
		})
		p := frame[14:]
		m, err := ndp.ParseMessage(p[ipv6HeaderSize:])
		must(s.t, err)
		a := advert{
			NeighborAdvertisement: m.(*ndp.NeighborAdvertisement),
			to:                    frame[:6],
			src:                   netip.AddrFrom16([16]byte(p[8:])), dst: netip.AddrFrom16([16]byte(p[24:])),
			hopLimit: p[7],
		}
		for _, o := range a.Options {
			a.mac = o.(*ndp.LinkLayerAddress).Addr
		}
		if checksum(a.src, a.dst, p[ipv6HeaderSize:]) != 0 {
			s.t.Errorf("wrong checksum: %x", p)
		}
		if wanted(a) {
			return a
		}
	}
}

func (s *station) receiveFrame(what string, wanted func([]byte) bool) []byte {
	s.t.Helper()
	must(s.t, s.conn.SetReadDeadline(time.Now().Add(patience)))
	b := make([]byte, 2048)
	for {
		n, _, err := s.conn.ReadFrom(b)
		if err != nil {
			s.t.Fatalf("waiting for %s: %v", what, err)
		}
		if wanted(b[:n]) {
			return b[:n]
		}
	}
}

// announcing is what announces addr, and isAnswer6 what answers a question.
func announcing(addr netip.Addr) func(advert) bool {
	return func(a advert) bool { return a.TargetAddress == addr && a.dst == allNodes }
}

func isAnswer6(a advert) bool { return a.dst != allNodes }

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
	h.visit(vip61)
	h.neighbour(vip61, first)
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

// A client that has talked to an address checks from time to time by unicast whether it is still there.
func TestKernelOfAClientThatChecksAnEntryIsAnswered(t *testing.T) {
	h, names := switched(t, 1)
	r := respond(t)
	r.Set(map[netip.Addr][]string{vip61: names})
	h.visit(vip61)
	mac := link(t, names[0]).Attrs().HardwareAddr
	h.neighbour(vip61, mac)
	h.in(func() error { // not to give up when the machine is busy
		return os.WriteFile("/proc/sys/net/ipv6/neigh/br0/ucast_solicit", []byte("100"), 0o644)
	})
	br0, err := h.nl.LinkByName("br0")
	must(t, err)
	entry := &netlink.Neigh{LinkIndex: br0.Attrs().Index, IP: vip61.AsSlice(), HardwareAddr: mac, State: netlink.NUD_PROBE}
	must(t, h.nl.NeighSet(entry))
	h.neighbourIn(vip61, mac, netlink.NUD_REACHABLE)
}

func TestKernelOfAnotherHostGivesUpTheAddressWhenItDetectsTheDuplicate(t *testing.T) {
	h, names := switched(t, 1)
	r := respond(t)
	r.Set(map[netip.Addr][]string{vip61: names})
	h.visit(vip61)
	h.neighbour(vip61, link(t, names[0]).Attrs().HardwareAddr)

	updates, done := make(chan netlink.AddrUpdate), make(chan struct{})
	must(t, netlink.AddrSubscribeWithOptions(updates, done, netlink.AddrSubscribeOptions{Namespace: &h.ns, ListExisting: true}))
	defer func() {
		close(done)
		for range updates {
		}
	}()
	br0, err := h.nl.LinkByName("br0")
	must(t, err)
	address, err := netlink.ParseAddr(vip61.String() + "/64")
	must(t, err)
	must(t, h.nl.AddrAdd(br0, address))
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

// memberships returns how often the kernel counts the node's interface as a member of each multicast group.
func memberships(t *testing.T, name string) map[netip.Addr]int {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/igmp6") // the first thread may be in another namespace
	must(t, err)
	all := map[netip.Addr]int{}
	for line := range strings.Lines(string(text)) {
		var index, users int
		var ifi, group string
		_, err := fmt.Sscan(line, &index, &ifi, &group, &users)
		must(t, err)
		raw, err := hex.DecodeString(group)
		must(t, err)
		if ifi == name {
			all[netip.AddrFrom16([16]byte(raw))] = users
		}
	}
	return all
}

// joins is a frame with an MLDv2 report (RFC 3810) that speaks of a group.
func joins(group netip.Addr) func([]byte) bool {
	return func(frame []byte) bool {
		const hopByHop, report = 8, 143
		p := frame[14:]
		return len(p) > ipv6HeaderSize+hopByHop && p[6] == 0 && p[ipv6HeaderSize+hopByHop] == report && bytes.Contains(p, group.AsSlice())
	}
}

func TestSwitchesHearThatSolicitationsAreWanted(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "lan")
	r := respond(t)
	s := h.stationFor("lan", unix.ETH_P_IPV6)
	r.Set(map[netip.Addr][]string{vip61: {name}})
	s.receiveFrame("a report of the group", joins(groupOf(vip61)))
	if n := memberships(t, name)[groupOf(vip61)]; n != 1 {
		t.Errorf("the kernel counts %d memberships, want 1", n)
	}
	r.Set(map[netip.Addr][]string{vip62: {name}})
	s.receiveFrame("a report that the group is left", joins(groupOf(vip61)))
	s.receiveFrame("a report of the second group", joins(groupOf(vip62)))
	if n := memberships(t, name)[groupOf(vip61)]; n != 0 {
		t.Errorf("the kernel counts %d memberships after the address is gone", n)
	}
}

// repeatedly sends a frame again and again until stopped.
func (s *station) repeatedly(b []byte) (stop func()) {
	enough := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		for again := time.Tick(100 * time.Millisecond); ; {
			_, _ = s.conn.WriteTo(b, &packet.Addr{HardwareAddr: b[:6]})
			select {
			case <-again:
			case <-enough:
				return
			}
		}
	})
	return func() {
		close(enough)
		sending.Wait()
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
		// Packets are lost until the other end has noticed its carrier, so that it asks as clients do: again and again.
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
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "lan", PeerNamespace: netlink.NsFd(h.ns)}))
	h.up("lan")
	served("after it was made anew")
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

// One socket cannot be a member of that many groups.
func TestManyIPv6AddressesAreAllWanted(t *testing.T) {
	const many = 5000
	h := newHost(t)
	name := cable(t, h, "lan")
	g := newGroups(link(t, name).Attrs().Index)
	var addresses []netip.Addr
	for addr := vip61; len(addresses) < 3*many/2; addr = addr.Next() {
		addresses = append(addresses, addr)
	}
	member := func(what string, want []netip.Addr) {
		t.Helper()
		got := memberships(t, name)
		for _, addr := range addresses {
			if slices.Contains(want, addr) != (got[groupOf(addr)] == 1) {
				t.Fatalf("%s: %d memberships for %v", what, got[groupOf(addr)], addr)
			}
		}
	}
	for _, addr := range addresses[:many] {
		must(t, g.join(addr))
	}
	member("many", addresses[:many])
	sockets := len(g.sockets)
	if sockets < 2 {
		t.Errorf("%d sockets, want several", sockets)
	}
	// What is left by some makes room for others.
	for _, addr := range addresses[:many/2] {
		g.leave(addr)
	}
	for _, addr := range addresses[many:] {
		must(t, g.join(addr))
	}
	member("others", addresses[many/2:])
	if len(g.sockets) > sockets {
		t.Errorf("%d sockets after as many joined as had left, there were %d", len(g.sockets), sockets)
	}
	g.close()
	member("none", nil)
}

func TestAddressesThatEndAlikeShareAMembership(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "lan")
	g := newGroups(link(t, name).Attrs().Index)
	defer g.close()
	alike := netip.MustParseAddr("2001:db8:1::101")
	must(t, g.join(vip61))
	must(t, g.join(alike))
	for n, want := range []int{1, 1, 0} {
		if got := memberships(t, name)[groupOf(vip61)]; got != want {
			t.Errorf("%d memberships after %d have left, want %d", got, n, want)
		}
		g.leave([]netip.Addr{vip61, alike, alike}[n])
	}
}

func TestGroupsOfAnInterfaceThatIsGoneAreRefused(t *testing.T) {
	g := newGroups(1 << 20)
	if err := g.join(vip61); err == nil {
		t.Error("joined a group on an interface that does not exist")
	}
	g.close()
	if err := g.join(vip61); err == nil {
		t.Error("joined a group after the end")
	}
}
