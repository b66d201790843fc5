package layer2

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// respond runs a Responder on the node's interfaces until the test ends.
func respond(t *testing.T) *Responder {
	t.Helper()
	r := NewResponder(follow(t))
	run(t, r.Run)
	return r
}

// station is a raw socket at an interface of a host.
type station struct {
	t    testing.TB
	mac  net.HardwareAddr
	conn *packet.Conn
}

func (h *host) station(name string) *station { return h.stationFor(name, unix.ETH_P_ARP) }

func (h *host) stationFor(name string, etherType int) *station {
	h.t.Helper()
	l, err := h.nl.LinkByName(name)
	must(h.t, err)
	s := &station{t: h.t, mac: l.Attrs().HardwareAddr}
	h.in(func() error {
		s.conn, err = packet.Listen(&net.Interface{Index: l.Attrs().Index}, packet.Raw, etherType, nil)
		return err
	})
	h.t.Cleanup(func() { s.conn.Close() })
	return s
}

// frame is an ARP packet with its Ethernet header, and with a VLAN tag if tag is one.
func frame(from, to net.HardwareAddr, tag int, p *arp.Packet) []byte {
	payload, _ := p.MarshalBinary()
	return frameFor(unix.ETH_P_ARP, from, to, tag, payload)
}

func frameFor(etherType int, from, to net.HardwareAddr, tag int, payload []byte) []byte {
	b := slices.Concat(to, from)
	if tag >= 0 {
		b = binary.BigEndian.AppendUint16(b, unix.ETH_P_8021Q)
		b = binary.BigEndian.AppendUint16(b, uint16(tag))
	}
	b = binary.BigEndian.AppendUint16(b, uint16(etherType))
	return append(b, payload...)
}

// untagged is no VLAN tag.
const untagged = -1

func (s *station) send(b []byte) {
	s.t.Helper()
	_, err := s.conn.WriteTo(b, &packet.Addr{HardwareAddr: b[:6]})
	must(s.t, err)
}

// receive returns the next ARP packet that arrives and that is wanted, and where its frame was addressed to.
func (s *station) receive(what string, wanted func(*arp.Packet) bool) (*arp.Packet, net.HardwareAddr) {
	s.t.Helper()
	must(s.t, s.conn.SetReadDeadline(time.Now().Add(patience)))
	b := make([]byte, 128)
	for {
		n, _, err := s.conn.ReadFrom(b)
		if err != nil {
			s.t.Fatalf("waiting for %s: %v", what, err)
		}
		p := new(arp.Packet)
		must(s.t, p.UnmarshalBinary(b[14:n]))
		if wanted(p) {
			return p, net.HardwareAddr(slices.Clone(b[:6]))
		}
	}
}

func isAnswer(p *arp.Packet) bool {
	return p.Operation == arp.OperationReply && p.SenderIP != p.TargetIP
}

// announces is what announces addr in that form.
func announces(form arp.Operation, addr netip.Addr) func(*arp.Packet) bool {
	return func(p *arp.Packet) bool {
		return p.Operation == form && p.SenderIP == addr && p.TargetIP == addr
	}
}

func TestOnTheWireOnlyQuestionsForItsAddressesAreAnswered(t *testing.T) {
	h := newHost(t)
	name, other := cable(t, h, "lan"), cable(t, h, "other")
	r := respond(t)
	elsewhere := netip.MustParseAddr("192.0.2.103")
	r.Set(map[netip.Addr][]string{vip1: {name}, vip2: {name}, elsewhere: {other}})
	s := h.station("lan")
	mac := link(t, name).Attrs().HardwareAddr
	s.receive("the announcement", announces(arp.OperationReply, vip2))
	h.station("other").receive("the announcement elsewhere", announces(arp.OperationReply, elsewhere))

	client, stranger := netip.MustParseAddr("192.0.2.1"), net.HardwareAddr{2, 0, 0, 0, 0, 0x99}
	ask := func(addr netip.Addr) *arp.Packet {
		return newPacket(arp.OperationRequest, s.mac, client, nobody, addr)
	}
	tests := map[string]struct {
		frame  []byte
		answer bool
	}{
		"broadcast":                      {frame(s.mac, broadcast, untagged, ask(vip1)), true},
		"unicast":                        {frame(s.mac, mac, untagged, ask(vip1)), true},
		"probe":                          {frame(s.mac, broadcast, untagged, newPacket(arp.OperationRequest, s.mac, netip.IPv4Unspecified(), nobody, vip1)), true},
		"priority tag":                   {frame(s.mac, broadcast, 5<<13, ask(vip1)), true},
		"VLAN tag":                       {frame(s.mac, broadcast, 100, ask(vip1)), false},
		"to another station":             {frame(s.mac, stranger, untagged, ask(vip1)), false},
		"an address it does not have":    {frame(s.mac, broadcast, untagged, ask(client.Next())), false},
		"an address of another port":     {frame(s.mac, broadcast, untagged, ask(elsewhere)), false},
		"announcement by someone else":   {frame(s.mac, broadcast, untagged, gratuitous(arp.OperationRequest, s.mac, vip1)), false},
		"reply":                          {frame(s.mac, broadcast, untagged, newPacket(arp.OperationReply, s.mac, client, mac, vip1)), false},
		"wrong hardware type":            {with(frame(s.mac, broadcast, untagged, ask(vip1)), 15, 6), false},
		"wrong protocol":                 {with(frame(s.mac, broadcast, untagged, ask(vip1)), 16, 0x86), false},
		"wrong length of an address":     {with(frame(s.mac, broadcast, untagged, ask(vip1)), 18, 200), false},
		"wrong length of an IP address":  {with(frame(s.mac, broadcast, untagged, ask(vip1)), 19, 16), false},
		"less than an ARP packet":        {frame(s.mac, broadcast, untagged, ask(vip1))[:14+12], false},
		"with the padding of a real NIC": {append(frame(s.mac, broadcast, untagged, ask(vip1)), make([]byte, 18)...), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s.send(test.frame)
			// A question that is surely answered follows, so that silence shows.
			s.send(frame(s.mac, broadcast, untagged, ask(vip2)))
			got, to := s.receive("an answer", isAnswer)
			if test.answer {
				if got.SenderIP != vip1 || !slices.Equal(got.SenderHardwareAddr, mac) || !slices.Equal(to, s.mac) || !slices.Equal(got.TargetHardwareAddr, s.mac) {
					t.Errorf("answer %+v to %v", got, to)
				}
				got, _ = s.receive("the second answer", isAnswer)
			}
			if got.SenderIP != vip2 {
				t.Errorf("unexpected answer %+v", got)
			}
		})
	}
}

// with changes a byte.
func with(b []byte, at int, value byte) []byte {
	b[at] = value
	return b
}

// neighbour waits until the host has addr in its neighbour table with that hardware address.
func (h *host) neighbour(addr netip.Addr, mac net.HardwareAddr) {
	h.t.Helper()
	h.neighbourIn(addr, mac, netlink.NUD_REACHABLE|netlink.NUD_STALE|netlink.NUD_DELAY|netlink.NUD_PROBE)
}

// neighbourIn is neighbour for an entry that is in one of some states.
func (h *host) neighbourIn(addr netip.Addr, mac net.HardwareAddr, states int) {
	h.t.Helper()
	updates, done := make(chan netlink.NeighUpdate), make(chan struct{})
	must(h.t, netlink.NeighSubscribeWithOptions(updates, done, netlink.NeighSubscribeOptions{Namespace: &h.ns, ListExisting: true}))
	defer func() {
		close(done)
		for range updates {
		}
	}()
	timeout := time.After(patience)
	var last netlink.Neigh
	for {
		select {
		case u := <-updates:
			if u.IP.Equal(addr.AsSlice()) {
				last = u.Neigh
			}
			if u.IP.Equal(addr.AsSlice()) && slices.Equal(u.HardwareAddr, mac) && u.State&states != 0 {
				return
			}
		case <-timeout:
			h.t.Fatalf("neighbour %v: want %v, have %+v", addr, mac, last)
		}
	}
}

// visit has the host's kernel send something to addr.
func (h *host) visit(addr netip.Addr) {
	h.t.Helper()
	h.in(func() error {
		c, err := net.Dial("udp", netip.AddrPortFrom(addr, 9).String())
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("hello"))
		return err
	})
}

// switched is a host with an interface br0 that n cables of the node lead to, and the names of their ends at the node.
func switched(t *testing.T, n int) (*host, []string) {
	t.Helper()
	h := newHost(t)
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	must(t, h.nl.LinkAdd(bridge))
	h.up("br0")
	var names []string
	for i := range n {
		peer := string(rune('a' + i))
		names = append(names, cable(t, h, peer))
		port, err := h.nl.LinkByName(peer)
		must(t, err)
		must(t, h.nl.LinkSetMaster(port, bridge))
	}
	h.address("br0", "192.0.2.1/24")
	h.address("br0", "2001:db8::1/64")
	return h, names
}

func TestKernelOfAClientFindsTheAddressAndFollowsItWhenItMoves(t *testing.T) {
	h, names := switched(t, 2)
	r := respond(t)
	first, second := link(t, names[0]).Attrs().HardwareAddr, link(t, names[1]).Attrs().HardwareAddr
	r.Set(map[netip.Addr][]string{vip1: names[:1]})
	h.visit(vip1)
	h.neighbour(vip1, first)
	r.Set(map[netip.Addr][]string{vip1: names[1:]})
	h.neighbour(vip1, second)
	r.Set(map[netip.Addr][]string{vip1: names[:1]})
	h.neighbour(vip1, first)
}

// Each form of announcement alone has Linux take the new hardware address at once, while it still ignores other replies.
func TestKernelOfAClientTakesEitherFormOfAnnouncementAtOnce(t *testing.T) {
	for n, form := range arpForms {
		t.Run(form.String(), func(t *testing.T) {
			h, names := switched(t, 1)
			r := respond(t)
			// A time so long that no entry gets old enough during the test.
			h.in(func() error {
				return os.WriteFile("/proc/sys/net/ipv4/neigh/br0/locktime", []byte("100000"), 0o644)
			})
			r.Set(map[netip.Addr][]string{vip1: names})
			h.visit(vip1)
			h.neighbour(vip1, link(t, names[0]).Attrs().HardwareAddr)
			r.Set(nil)

			mac := net.HardwareAddr{2, 0, 0, 0, 0, 0x77}
			conn, err := listenARP(Interface{Name: names[0], Index: link(t, names[0]).Attrs().Index, MAC: mac})
			must(t, err)
			defer conn.close()
			must(t, conn.announce(vip1, n))
			h.neighbour(vip1, mac)
		})
	}
}

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
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "lan", PeerNamespace: netlink.NsFd(h.ns)}))
	h.up("lan")
	s := h.station("lan")
	must(t, netlink.LinkSetUp(link(t, name)))
	s.receive("an announcement", announces(arp.OperationReply, vip1))
}

// The node has orders for an interface by name. It obeys them only while the name is one of an interface of its own right.
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

// silent waits until the responder serves no interface.
func silent(t *testing.T, r *Responder) {
	t.Helper()
	timeout, again := time.After(patience), time.Tick(10*time.Millisecond)
	for {
		r.mu.Lock()
		n := len(r.ports)
		r.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-again:
		case <-timeout:
			t.Fatalf("the responder still serves %d ports", n)
		}
	}
}
