package layer2

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/arp"
)

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

	client, another := netip.MustParseAddr("192.0.2.1"), net.HardwareAddr{2, 0, 0, 0, 0, 0x99}
	ask := func(addr netip.Addr) *arp.Packet {
		return newPacket(arp.OperationRequest, s.mac, client, noMAC, addr)
	}
	tests := map[string]struct {
		frame  []byte
		answer bool
	}{
		"broadcast":                      {frame(s.mac, broadcast, untagged, ask(vip1)), true},
		"unicast":                        {frame(s.mac, mac, untagged, ask(vip1)), true},
		"probe":                          {frame(s.mac, broadcast, untagged, newPacket(arp.OperationRequest, s.mac, netip.IPv4Unspecified(), noMAC, vip1)), true},
		"priority tag":                   {frame(s.mac, broadcast, 5<<13, ask(vip1)), true},
		"VLAN tag":                       {frame(s.mac, broadcast, 100, ask(vip1)), false},
		"to another station":             {frame(s.mac, another, untagged, ask(vip1)), false},
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

func TestKernelOfAClientFindsTheAddressAndFollowsItWhenItMoves(t *testing.T) {
	h, names := switched(t, 2)
	r := respond(t)
	first, second := link(t, names[0]).Attrs().HardwareAddr, link(t, names[1]).Attrs().HardwareAddr
	r.Set(map[netip.Addr][]string{vip1: names[:1]})
	h.finds(vip1, first)
	r.Set(map[netip.Addr][]string{vip1: names[1:]})
	h.neighbour(vip1, second)
	r.Set(map[netip.Addr][]string{vip1: names[:1]})
	h.neighbour(vip1, first)
}

// Each form of announcement alone has Linux take the new hardware address at once, while it still
// ignores other replies.
func TestKernelOfAClientTakesEitherFormOfAnnouncementAtOnce(t *testing.T) {
	for n, form := range arpForms {
		t.Run(form.String(), func(t *testing.T) {
			h, names := switched(t, 1)
			r := respond(t)
			// A time so long that no entry gets old enough during the test.
			h.In(func() error {
				return os.WriteFile("/proc/sys/net/ipv4/neigh/br0/locktime", []byte("100000"), 0o644)
			})
			r.Set(map[netip.Addr][]string{vip1: names})
			h.finds(vip1, link(t, names[0]).Attrs().HardwareAddr)
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

func TestARPOfOthersDoesNotWakeTheNode(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "lan")
	i := Interface{Name: name, Index: link(t, name).Attrs().Index, MAC: link(t, name).Attrs().HardwareAddr}
	s := h.station("lan")
	conn, err := listenARP(i)
	must(t, err)
	defer conn.close()
	socket := conn.(*arpSocket).socket

	client, last := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("192.0.2.110")
	about := func(sender, target netip.Addr) {
		s.send(frame(s.mac, broadcast, untagged, newPacket(arp.OperationRequest, s.mac, sender, noMAC, target)))
	}
	heard := func(what string, want ...netip.Addr) {
		t.Helper()
		for _, addr := range want {
			m, err := conn.read()
			must(t, err)
			if m.asks != addr && m.claims != addr {
				t.Errorf("%s: heard %+v, want what is about %v", what, m, addr)
			}
		}
		stats, err := socket.Stats()
		must(t, err)
		if int(stats.Packets) != len(want) {
			t.Errorf("%s: %d packets arrived, want %d", what, stats.Packets, len(want))
		}
	}
	must(t, conn.join(vip1))
	about(client, vip1.Prev())
	about(client, vip2)
	about(client, vip1)
	about(vip1, client)
	heard("with one address", vip1, vip1)

	must(t, conn.join(last))
	about(client, vip1.Prev())
	about(client, last.Next())
	about(last.Next(), client)
	about(client, vip1)
	about(client, vip2) // not its own, but between
	about(last, client)
	heard("with two addresses", vip1, vip2, last)

	must(t, conn.ask(client, vip1, nil))
	about(client, netip.MustParseAddr("198.51.100.2"))
	heard("after it has asked", client)
}

// The process may not run for a while, as for a pause of its processor.
func TestWhatIsAskedWhileNobodyReadsIsKept(t *testing.T) {
	const questions = 2000
	h := newHost(t)
	name := cable(t, h, "lan")
	s := h.station("lan")
	node := link(t, name).Attrs()
	conn, err := listenARP(Interface{Name: name, Index: node.Index, MAC: node.HardwareAddr, Up: true})
	must(t, err)
	defer conn.close()
	must(t, conn.join(vip1))
	for range questions {
		s.send(frame(s.mac, broadcast, untagged, newPacket(arp.OperationRequest, s.mac, netip.MustParseAddr("192.0.2.1"), noMAC, vip1)))
	}
	giveUp := time.AfterFunc(10*time.Second, func() { conn.close() })
	defer giveUp.Stop()
	for n := range questions {
		if m, err := conn.read(); err != nil {
			t.Fatalf("%d of %d questions were kept: %v", n, questions, err)
		} else if m.asks != vip1 {
			t.Errorf("it read %+v", m)
		}
	}
}
