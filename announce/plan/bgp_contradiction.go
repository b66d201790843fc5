package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Contradiction is that of two advertisements of a prefix to one peer the younger one sets an
// attribute differently: that does not hold.
type Contradiction struct {
	Prefix    netip.Prefix
	Attribute string
	// Older is the name of the older advertisement.
	Older string
}

// Contradictions are what of BGPAdvertisements does not hold because older ones say otherwise, by the
// name of the younger one: every attribute, and every older advertisement that decides about it. The
// prefix is the first for which that is so. Whose endpoints are where does not count: what contradicts
// does so sooner or later.
func (p *BGPPlanner) Contradictions() map[string][]Contradiction {
	found := map[string][]Contradiction{}
	if !p.disagree() {
		return found
	}
	prefixes := p.advertisedPrefixes(p.view)
	compared := map[string]bool{}
	for _, prefix := range slices.SortedFunc(maps.Keys(prefixes), netip.Prefix.Compare) {
		together := prefixes[prefix]
		key := fmt.Sprint(together)
		if compared[key] {
			continue
		}
		compared[key] = true
		for k, younger := range together {
			name := p.advertisements[younger].name
			for _, c := range p.overruled(p.view, younger, together[:k]) {
				if !slices.ContainsFunc(found[name], func(o Contradiction) bool { return o.Attribute == c.Attribute && o.Older == c.Older }) {
					c.Prefix = prefix
					found[name] = append(found[name], c)
				}
			}
		}
	}
	return found
}

// overruled is what of an advertisement does not hold because of older ones, the oldest first. To each
// peer, the oldest that sets an attribute decides about it.
func (p *bgpPolicy) overruled(v *View, younger int, older []int) (found []Contradiction) {
	y := p.advertisements[younger]
	for _, attribute := range singleAttributes {
		if attribute.of(y) == nil {
			continue
		}
		for _, peer := range p.bgpPeers {
			i := slices.IndexFunc(older, func(i int) bool {
				return attribute.of(p.advertisements[i]) != nil && peer.shared(v, p.advertisements[i], y)
			})
			if i < 0 {
				continue
			}
			o := p.advertisements[older[i]]
			c := Contradiction{Attribute: attribute.name, Older: o.name}
			if *attribute.of(o) != *attribute.of(y) && !slices.Contains(found, c) {
				found = append(found, c)
			}
		}
	}
	return found
}

// shared says whether there is a node that announces to the peer for both advertisements.
func (p *bgpPeer) shared(v *View, a, b *bgpAdvertisement) bool {
	if !a.selectsPeer(p.name) || !b.selectsPeer(p.name) {
		return false
	}
	for _, n := range v.nodes {
		if p.selectsNode(n.labels) && a.selectsNode(n.labels) && b.selectsNode(n.labels) {
			return true
		}
	}
	return false
}

// singleAttributes are those of which a route can only have one.
var singleAttributes = []struct {
	name string
	of   func(*bgpAdvertisement) *uint32
}{
	{"localPref", func(a *bgpAdvertisement) *uint32 { return a.localPref }},
	{"med", func(a *bgpAdvertisement) *uint32 { return a.med }},
	{"prependAS", func(a *bgpAdvertisement) *uint32 {
		if a.prepend == nil {
			return nil
		}
		n := uint32(*a.prepend)
		return &n
	}},
}

// disagree says whether any two advertisements set an attribute differently.
func (p *bgpPolicy) disagree() bool {
	return slices.ContainsFunc(p.advertisements, func(a *bgpAdvertisement) bool {
		return slices.ContainsFunc(p.advertisements, func(b *bgpAdvertisement) bool { return disagree(a, b) })
	})
}

// advertisedPrefixes are the prefixes of all addresses, with the advertisements that want them
// announced, the oldest first.
func (p *bgpPolicy) advertisedPrefixes(v *View) map[netip.Prefix][]int {
	prefixes := map[netip.Prefix][]int{}
	for ip, services := range v.byAddress {
		pool := poolOf(p.pools, ip)
		if pool == nil {
			continue
		}
		for _, i := range p.byPool[pool] {
			a := p.advertisements[i]
			prefix := a.prefix(ip)
			if slices.ContainsFunc(services, func(s *service) bool { return a.selectsService(s.labels) }) && !slices.Contains(prefixes[prefix], i) {
				prefixes[prefix] = append(prefixes[prefix], i)
			}
		}
	}
	for _, advertisements := range prefixes {
		slices.Sort(advertisements)
	}
	return prefixes
}

// disagree says whether both set an attribute, differently.
func disagree(a, b *bgpAdvertisement) bool {
	for _, attribute := range singleAttributes {
		x, y := attribute.of(a), attribute.of(b)
		if x != nil && y != nil && *x != *y {
			return true
		}
	}
	return false
}
