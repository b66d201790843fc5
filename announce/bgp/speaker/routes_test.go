package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/clarionlb/clarion/announce/bgp"
)

// someRoutes draws routes to few prefixes, so that they are often the same, in any order and with
// bits after the prefix.
func someRoutes() *rapid.Generator[[]bgp.Route] {
	shared := []*bgp.Attributes{nil, {}, {Prepend: 1}, {MED: ptr(uint32(1))}, {MED: ptr(uint32(1))}, {Communities: []uint32{1}}, {LinkBandwidth: 1}, {Leaving: true}}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) bgp.Route {
		addr := netip.AddrFrom4([4]byte{10, 0, 0, rapid.Byte().Draw(t, "host") % 16})
		if rapid.Bool().Draw(t, "v6") {
			addr = netip.MustParseAddr("2001:db8::").Next()
		}
		return bgp.Route{
			Prefix:     netip.PrefixFrom(addr, rapid.IntRange(addr.BitLen()-4, addr.BitLen()).Draw(t, "bits")),
			Attributes: rapid.SampledFrom(shared).Draw(t, "attributes"),
		}
	}), 0, 30)
}

// table is what a router makes of routes.
func table(rs []bgp.Route) map[netip.Prefix]*bgp.Attributes {
	m := map[netip.Prefix]*bgp.Attributes{}
	for _, r := range rs {
		m[r.Prefix.Masked()] = r.Attributes
	}
	return m
}

func TestOrderedRoutesSayTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := someRoutes().Draw(t, "routes")
		given := slices.Clone(rs)
		ordered := order(rs)
		if !isOrdered(ordered) {
			t.Errorf("not in order: %v", ordered)
		}
		if !maps.Equal(table(ordered), table(rs)) {
			t.Errorf("%v became %v", rs, ordered)
		}
		if !slices.Equal(rs, given) {
			t.Error("what was given was changed")
		}
		if again := order(ordered); !same(again, ordered) {
			t.Error("what is in order was copied")
		}
	})
}

func TestDifferencesLeadFromOneListToTheOtherAndAreMinimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := order(someRoutes().Draw(t, "from")), order(someRoutes().Draw(t, "to"))
		announce, withdraw := difference(from, to)
		state := table(from)
		for _, r := range withdraw {
			if _, ok := state[r.Prefix]; !ok {
				t.Errorf("%s is withdrawn and was not announced", r.Prefix)
			}
			delete(state, r.Prefix)
		}
		for _, r := range announce {
			if a, ok := state[r.Prefix]; ok && a.Equal(r.Attributes) {
				t.Errorf("%s is announced again as it was", r.Prefix)
			}
			state[r.Prefix] = r.Attributes
		}
		if !maps.EqualFunc(state, table(to), func(a, b *bgp.Attributes) bool { return a.Equal(b) }) {
			t.Errorf("from %v to %v: announce %v, withdraw %v", from, to, announce, withdraw)
		}
	})
}
