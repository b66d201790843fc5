package layer2

import (
	"net/netip"
	"testing"

	"github.com/mdlayher/arp"
)

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
		s.send(frame(s.mac, broadcast, untagged, newPacket(arp.OperationRequest, s.mac, sender, nobody, target)))
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

	must(t, conn.ask(client, vip1))
	about(client, netip.MustParseAddr("198.51.100.2"))
	heard("after it has asked", client)
}
