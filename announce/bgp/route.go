package bgp

import (
	"net/netip"
	"slices"
)

// Route is a prefix that is announced to a router, with this node as the next hop.
type Route struct {
	Prefix netip.Prefix
	// Attributes may be shared by many routes and must not change after they are given to Set. nil is none.
	Attributes *Attributes
}

// Attributes are what is said with a route.
type Attributes struct {
	// LocalPref is for internal sessions alone; nil is 100.
	LocalPref *uint32
	// MED is the multi-exit discriminator; nil is none.
	MED *uint32
	// Communities are those of RFC 1997, the autonomous system in the upper half.
	Communities []uint32
	// LargeCommunities are those of RFC 8092.
	LargeCommunities []LargeCommunity
	// Prepend is how many more times than once this node's autonomous system is on the path. It is for external sessions
	// alone: an internal router would take the route for its own and drop it.
	Prepend uint8
	// LinkBandwidth, in bytes per second, has a router that is set up for it spread traffic over next hops in proportion
	// (RFC 10005). 0 is not to say any.
	LinkBandwidth float32
	// Leaving has the router prefer other ways, if there are any: the route carries GRACEFUL_SHUTDOWN (RFC 8326), and the
	// least local preference on an internal session.
	Leaving bool
}

// LargeCommunity is one of RFC 8092.
type LargeCommunity struct{ Global, Local1, Local2 uint32 }

// gracefulShutdown is the community of RFC 8326.
const gracefulShutdown = 0xFFFF0000

// equal says whether two mean the same on the wire.
func (a *Attributes) equal(b *Attributes) bool {
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

// order returns routes in the order of their prefixes, which are without bits after their length, and each once: the last one
// counts. Routes that are so already are returned as they are.
func order(routes []Route) []Route {
	if isOrdered(routes) {
		return routes
	}
	ordered := slices.Clone(routes)
	for i := range ordered {
		ordered[i].Prefix = ordered[i].Prefix.Masked()
	}
	ordered = slices.DeleteFunc(ordered, func(r Route) bool { return !r.Prefix.IsValid() })
	slices.SortStableFunc(ordered, func(a, b Route) int { return a.Prefix.Compare(b.Prefix) })
	kept := ordered[:0]
	for i, r := range ordered {
		if i+1 == len(ordered) || ordered[i+1].Prefix != r.Prefix {
			kept = append(kept, r)
		}
	}
	return kept
}

func isOrdered(routes []Route) bool {
	for i, r := range routes {
		if !r.Prefix.IsValid() || r.Prefix != r.Prefix.Masked() {
			return false
		}
		if i > 0 && routes[i-1].Prefix.Compare(r.Prefix) >= 0 {
			return false
		}
	}
	return true
}

// same says whether two lists are one in memory, which is how an unchanged one costs nothing.
func same(a, b []Route) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// difference returns what is to be announced and what to be withdrawn to get from one list to another, both in order.
func difference(from, to []Route) (announce, withdraw []Route) {
	if same(from, to) {
		return nil, nil
	}
	for len(from) > 0 && len(to) > 0 {
		switch c := from[0].Prefix.Compare(to[0].Prefix); {
		case c < 0:
			withdraw, from = append(withdraw, from[0]), from[1:]
		case c > 0:
			announce, to = append(announce, to[0]), to[1:]
		default:
			if !from[0].Attributes.equal(to[0].Attributes) {
				announce = append(announce, to[0])
			}
			from, to = from[1:], to[1:]
		}
	}
	return append(announce, to...), append(withdraw, from...)
}

// only returns the routes of these families.
func only(routes []Route, of Families) []Route {
	if of == IPv4|IPv6 {
		return routes
	}
	var kept []Route
	for _, r := range routes {
		if family(r.Prefix)&of != 0 {
			kept = append(kept, r)
		}
	}
	return kept
}

// count returns how many of the routes are of one of these families.
func count(routes []Route, of Families) int {
	n := 0
	for _, r := range routes {
		if family(r.Prefix)&of != 0 {
			n++
		}
	}
	return n
}
