package bgp

import (
	"net/netip"
	"slices"
)

// Route is a prefix that is announced to a peer, with this node as the next hop.
type Route struct {
	Prefix netip.Prefix
	// Attributes may be shared by many routes and must not change after they are given to Set. nil
	// is none.
	Attributes *Attributes
}

// Attributes are the path attributes of a route (RFC 4271, section 5).
type Attributes struct {
	// LocalPref is for internal sessions alone; nil is 100.
	LocalPref *uint32
	// MED is the multi-exit discriminator; nil is none.
	MED *uint32
	// Communities are those of RFC 1997, the autonomous system in the upper half.
	Communities []uint32
	// LargeCommunities are those of RFC 8092.
	LargeCommunities []LargeCommunity
	// Prepend is how many more times than once this node's autonomous system is on the path. It is
	// for external sessions alone: an internal peer would take the route for its own and drop it.
	Prepend uint8
	// LinkBandwidth, in bytes per second, has a peer that is set up for it spread traffic over next
	// hops in proportion (RFC 10005). 0 is none.
	LinkBandwidth float32
	// Leaving has the peer prefer other ways, if there are any: the route carries GRACEFUL_SHUTDOWN
	// (RFC 8326), and the least local preference on an internal session.
	Leaving bool
}

// LargeCommunity is one of RFC 8092.
type LargeCommunity struct{ Global, Local1, Local2 uint32 }

// Equal says whether two mean the same on the wire.
func (a *Attributes) Equal(b *Attributes) bool {
	if a == b {
		return true
	}
	if a == nil {
		a = &Attributes{}
	}
	if b == nil {
		b = &Attributes{}
	}
	return equalPointers(a.LocalPref, b.LocalPref) && equalPointers(a.MED, b.MED) &&
		slices.Equal(a.Communities, b.Communities) && slices.Equal(a.LargeCommunities, b.LargeCommunities) &&
		a.Prepend == b.Prepend && a.LinkBandwidth == b.LinkBandwidth && a.Leaving == b.Leaving
}

func equalPointers[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
