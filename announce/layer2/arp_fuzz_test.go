package layer2

import (
	"testing"

	"github.com/mdlayher/arp"
)

// Whatever arrives, nothing breaks, and what is parsed is about IPv4 addresses and the MAC of one station.
func FuzzParseARP(f *testing.F) {
	for _, p := range []*arp.Packet{
		newPacket(arp.OperationRequest, asker, vip2, noMAC, vip1),
		gratuitous(arp.OperationRequest, asker, vip1),
		gratuitous(arp.OperationReply, asker, vip1),
	} {
		packet, err := p.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet)
		f.Add(append(packet, make([]byte, 18)...)) // padded to the least size of a frame
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		p := new(arp.Packet)
		if err := p.UnmarshalBinary(frame); err != nil {
			return
		}
		m, ok := parseARP(p, asker)
		if !ok {
			return
		}
		if !m.asks.IsValid() && !m.claims.IsValid() || m.asks.IsValid() && !m.asks.Is4() || m.claims.IsValid() && !m.claims.Is4() || !isUnicast(m.mac) {
			t.Errorf("heard %+v", m)
		}
		if !m.asks.IsValid() {
			return
		}
		if _, err := reply(m, otherMAC).MarshalBinary(); err != nil {
			t.Errorf("%+v cannot be answered: %v", m, err)
		}
	})
}
