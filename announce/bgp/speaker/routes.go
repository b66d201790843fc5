package speaker

import (
	"slices"

	"github.com/clarionlb/clarion/announce/bgp"
)

// order returns routes in the order of their prefixes, which are without bits after their length,
// and each once: the last one counts. Routes that are so already are returned as they are.
func order(routes []bgp.Route) []bgp.Route {
	if isOrdered(routes) {
		return routes
	}
	ordered := slices.Clone(routes)
	for i := range ordered {
		ordered[i].Prefix = ordered[i].Prefix.Masked()
	}
	ordered = slices.DeleteFunc(ordered, func(r bgp.Route) bool { return !r.Prefix.IsValid() })
	slices.SortStableFunc(ordered, func(a, b bgp.Route) int { return a.Prefix.Compare(b.Prefix) })
	kept := ordered[:0]
	for i, r := range ordered {
		if i+1 == len(ordered) || ordered[i+1].Prefix != r.Prefix {
			kept = append(kept, r)
		}
	}
	return kept
}

func isOrdered(routes []bgp.Route) bool {
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
func same(a, b []bgp.Route) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// difference returns what is to be announced and what to be withdrawn to get from one list to
// another, both in order.
func difference(from, to []bgp.Route) (announce, withdraw []bgp.Route) {
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
			if !from[0].Attributes.Equal(to[0].Attributes) {
				announce = append(announce, to[0])
			}
			from, to = from[1:], to[1:]
		}
	}
	return append(announce, to...), append(withdraw, from...)
}

// only returns the routes of these families.
func only(routes []bgp.Route, of bgp.Families) []bgp.Route {
	if of == bgp.IPv4|bgp.IPv6 {
		return routes
	}
	var kept []bgp.Route
	for _, r := range routes {
		if bgp.FamilyOf(r.Prefix)&of != 0 {
			kept = append(kept, r)
		}
	}
	return kept
}

// countsOf counts the routes of these families, each for itself.
func countsOf(routes []bgp.Route, of bgp.Families) bgp.PrefixCounts {
	return bgp.PrefixCounts{IPv4: count(routes, of&bgp.IPv4), IPv6: count(routes, of&bgp.IPv6)}
}

// count returns how many of the routes are of one of these families.
func count(routes []bgp.Route, of bgp.Families) int {
	n := 0
	for _, r := range routes {
		if bgp.FamilyOf(r.Prefix)&of != 0 {
			n++
		}
	}
	return n
}
