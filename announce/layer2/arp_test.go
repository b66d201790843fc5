package layer2

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/arp"
)

func TestARPPacketsAreParsedForWhatTheyAskAndClaim(t *testing.T) {
	client := netip.MustParseAddr("192.0.2.1")
	zero := netip.IPv4Unspecified()
	none := netip.Addr{}
	group := net.HardwareAddr{1, 0, 0x5e, 0, 0, 1}
	for name, c := range map[string]struct {
		packet       *arp.Packet
		asks, claims netip.Addr
	}{
		"a request":                   {newPacket(arp.OperationRequest, asker, client, noMAC, vip1), vip1, client},
		"a probe":                     {newPacket(arp.OperationRequest, asker, zero, noMAC, vip1), vip1, none},
		"a unicast check of an entry": {newPacket(arp.OperationRequest, asker, client, net.HardwareAddr{2, 0, 0, 0, 0, 1}, vip1), vip1, client},
		"an announcement":             {gratuitous(arp.OperationRequest, asker, vip1), none, vip1},
		"an announcement as a reply":  {gratuitous(arp.OperationReply, asker, vip1), none, vip1},
		"a reply":                     {newPacket(arp.OperationReply, asker, vip1, otherMAC, client), none, vip1},
		"a reply of nobody":           {newPacket(arp.OperationReply, asker, zero, otherMAC, client), none, none},
		"a group that asks":           {newPacket(arp.OperationRequest, group, client, noMAC, vip1), none, none},
		"another operation":           {newPacket(3, asker, client, noMAC, vip1), none, none},
		"addresses of another family": {&arp.Packet{Operation: arp.OperationRequest, SenderHardwareAddr: asker, SenderIP: netip.IPv6Loopback(), TargetIP: netip.MustParseAddr("2001:db8::1")}, none, none},
	} {
		t.Run(name, func(t *testing.T) {
			m, ok := parseARP(c.packet, otherMAC)
			if ok != (c.asks.IsValid() || c.claims.IsValid()) || m.asks != c.asks || m.claims != c.claims {
				t.Fatalf("heard %+v, %v", m, ok)
			}
			if ok && (!slices.Equal(m.mac, asker) || !slices.Equal(m.source, otherMAC)) {
				t.Errorf("heard %+v", m)
			}
		})
	}
}
