package e2e

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/test/cluster/network"
)

// clients open fresh connections to addresses all the time, one on the nodes' LAN and one behind the router.
type clients struct {
	*observation
	meters  map[netip.Addr][]*network.Meter
	sniffer *network.Sniffer
}

// connect has clients use addresses until the test ends.
func (o *observation) connect(addresses []netip.Addr) *clients {
	o.t.Helper()
	sniffer, err := o.Client.Sniff(o.ctx, "eth0", "arp or icmp6")
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(sniffer.Stop)
	c := &clients{observation: o, meters: map[netip.Addr][]*network.Meter{}, sniffer: sniffer}
	for _, address := range addresses {
		for _, from := range []*network.Host{o.Client, o.FarClient} {
			meter := from.Measure(netip.AddrPortFrom(address, 80), network.MeterOptions{Interval: 10 * time.Millisecond, Timeout: 5 * time.Second})
			o.t.Cleanup(func() { meter.Stop() })
			o.awaitSuccess(meter)
			c.meters[address] = append(c.meters[address], meter)
		}
	}
	return c
}

// lostNothing expects that every connection was answered so far, but for those that were under way when the address moved:
// the node that it came to does not know them.
func (c *clients) lostNothing() {
	c.t.Helper()
	for address, meters := range c.meters {
		for _, meter := range meters {
			c.awaitSuccess(meter)
			report := meter.Stop()
			moves := c.moves(address)
			lost := 0
			for _, attempt := range report.Attempts {
				if attempt.Err != nil && !underWay(attempt, moves) {
					lost++
				}
			}
			if lost > 0 {
				c.t.Errorf("%d connections to %s were lost, moves at %v: %s", lost, address, moves, report)
			}
		}
	}
}

func underWay(attempt network.Attempt, times []time.Time) bool {
	for _, at := range times {
		if !attempt.Start.After(at) && !attempt.End.Before(at) {
			return true
		}
	}
	return false
}

// moves returns when the LAN was told that an address is elsewhere.
func (c *clients) moves(address netip.Addr) []time.Time {
	var times []time.Time
	at := []byte(c.owners[address].MAC("eth0"))
	for _, frame := range c.sniffer.Frames() {
		if mac, ok := announced(frame, address); ok && !bytes.Equal(mac, at) {
			at, times = mac, append(times, frame.Time)
		}
	}
	return times
}

// announced returns the hardware address at which a frame says an address is, to everybody: a gratuitous ARP packet or an
// unsolicited neighbour advertisement.
func announced(frame network.Frame, address netip.Addr) (mac []byte, ok bool) {
	data := frame.Data
	if len(data) < 42 {
		return nil, false
	}
	switch binary.BigEndian.Uint16(data[12:]) {
	case unix.ETH_P_ARP:
		own := address.AsSlice()
		return data[22:28], bytes.Equal(data[28:32], own) && bytes.Equal(data[38:42], own)
	case unix.ETH_P_IPV6:
		const advertisement, solicited = 136, 0x40
		return data[6:12], len(data) >= 78 && data[54] == advertisement && data[58]&solicited == 0 && bytes.Equal(data[62:78], address.AsSlice())
	}
	return nil, false
}

// answeredThroughout expects that somebody has answered every question for addresses so far.
func (o *observation) answeredThroughout(addresses []netip.Addr) {
	o.t.Helper()
	for _, address := range addresses {
		if answers := o.settledAnswers(address); answers.Unanswered() != 0 {
			o.t.Errorf("%s was without an answer: %s", address, o.named(answers.String()))
		}
	}
}
