package layer2

import "sync/atomic"

// Counts is how often something has happened since the start, by protocol.
type Counts struct{ ARP, NDP uint64 }

// counter counts by protocol.
type counter struct{ arp, ndp atomic.Uint64 }

func (c *counter) add(p protocol) {
	if p == arpProtocol {
		c.arp.Add(1)
	} else {
		c.ndp.Add(1)
	}
}

func (c *counter) counts() Counts { return Counts{c.arp.Load(), c.ndp.Load()} }
