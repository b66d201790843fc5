package layer2

import (
	"maps"
	"net/netip"
)

// Relay is where to relay packets of connections that began on another node.
type Relay struct {
	// To is the other node's own address. It has the family of the relayed address and is in a
	// network of the interface.
	To netip.Addr
	// Interface that leads there, by name.
	Interface string
}

// Relays has the kernel relay packets to the nodes on which their connections began. A connection
// can go on only there: the kernel of that node has chosen an endpoint for it and knows how to
// translate its packets. Relayed are TCP packets that begin no connection and belong to none that
// this node's kernel knows, and ICMP errors about such packets. UDP is not relayed, because nothing
// in a UDP packet says whether a connection began elsewhere. The other node replies to the client
// directly.
//
// Nodes that know different owners for a moment may relay a packet in a circle. So its time to live
// is limited.
//
// What was Set stays in the kernel when the process ends, and goes on working. A Relays is not safe
// for concurrent use.
type Relays struct {
	lan interface{ Interfaces() []Interface }
	// known says that the kernel has what is in current.
	known   bool
	current map[netip.Addr]hop
}

// hop is the next hop to a node: an address, and the index of the interface that leads there.
type hop struct {
	to    netip.Addr
	index int
}

// NewRelays returns a Relays on the interfaces that links knows.
func NewRelays(links *Links) *Relays { return &Relays{lan: links} }

// Set says for which addresses to relay packets, and where to. Each call names all of them. The
// first call also ends what a previous process has Set. Relays over interfaces that do not exist
// are left out. If it returns an error, nothing has changed.
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

// Restore puts back what others have removed from the kernel since Set, such as a firewall that is loaded anew. The kernel does not
// report that.
func (r *Relays) Restore() error {
	if !r.known || len(r.current) == 0 {
		return nil
	}
	err := restoreRelays(r.current)
	r.known = err == nil // otherwise Set writes everything anew
	return err
}
