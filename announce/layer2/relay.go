package layer2

import (
	"maps"
	"net/netip"
)

// Relay is where packets of connections go that began on another node.
type Relay struct {
	// To is the other node's own address, of the same family as the relayed one, in a network of the interface.
	To netip.Addr
	// Interface that leads there, by name.
	Interface string
}

// Relays has the kernel send packets on to the nodes on which their connections began. A connection can go on only there: the
// kernel of that node has chosen an endpoint for it and knows how to translate its packets. It is a TCP packet that begins no
// connection, and belongs to none that this node's kernel knows, that is sent on, and an ICMP error about such a packet. Of
// UDP nothing says what began where. The other node answers the client itself.
//
// A packet comes past a dozen nodes at most, then it is lost: nodes that know of different owners for a moment may send it
// round.
//
// What was Set stays with the kernel when the process ends, and works on. A Relays is not safe for concurrent use.
type Relays struct {
	lan interface{ Interfaces() []Interface }
	// known says that the kernel has what is in current.
	known   bool
	current map[netip.Addr]hop
}

// hop is the way to a node: by an address, out of the interface with an index.
type hop struct {
	to    netip.Addr
	index int
}

// NewRelays returns a Relays on the interfaces that links knows.
func NewRelays(links *Links) *Relays { return &Relays{lan: links} }

// Set tells for which addresses to send packets on, and where: all of them, every time. The first time it also ends what a
// former process has Set. Relays over interfaces that are not there are left out. With an error everything stays as it was.
func (r *Relays) Set(relays map[netip.Addr]Relay) error {
	indices := map[string]int{}
	for _, i := range r.lan.Interfaces() {
		indices[i.Name] = i.Index
	}
	next := map[netip.Addr]hop{}
	for addr, relay := range relays {
		if index, there := indices[relay.Interface]; there {
			next[addr] = hop{relay.To, index}
		}
	}
	if r.known && maps.Equal(next, r.current) {
		return nil
	}
	if err := changeRelays(r.known, r.current, next); err != nil {
		return err
	}
	r.current, r.known = next, true
	return nil
}
