package layer2

import (
	"cmp"
	"net/netip"
	"slices"
)

// Route is an entry of the main routing table that leads out of an interface.
type Route struct {
	Prefix netip.Prefix
	// Rank is the place among the routes to the same prefix, in the order in which the kernel
	// prefers them: by their metrics, then as they were added. It uses the one at 0.
	Rank int
	// OnLink says that the addresses of the prefix are reached without a router.
	OnLink bool
}

// routeEntry is a route, or one next hop of it, as the kernel lists it.
type routeEntry struct {
	index  int // of the interface
	prefix netip.Prefix
	metric int
	onLink bool
}

// rankRoutes returns the routes out of each interface, by its index, sorted by prefix. The entries
// must be in the order of the kernel's list, in which those with the same prefix and metric are in
// the order in which the kernel tries them.
func rankRoutes(entries []routeEntry) map[int][]Route {
	slices.SortStableFunc(entries, func(a, b routeEntry) int {
		return cmp.Or(a.prefix.Compare(b.prefix), cmp.Compare(a.metric, b.metric))
	})
	routes := map[int][]Route{}
	rank := 0
	for n, e := range entries {
		if rank++; n == 0 || e.prefix != entries[n-1].prefix {
			rank = 0
		}
		routes[e.index] = append(routes[e.index], Route{e.prefix, rank, e.onLink})
	}
	return routes
}
