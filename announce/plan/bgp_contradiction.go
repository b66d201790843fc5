package plan

import (
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

// Contradictions are what of BGPAdvertisements does not hold because an older one says otherwise,
// by the name of the younger one. Whose endpoints are where does not count: what contradicts does
// so sooner or later.
func (p *BGPPlanner) Contradictions() map[string]Contradiction {
	found := map[string]Contradiction{}
	if !p.disagree() {
		return found
	}
	prefixes := p.advertisedPrefixes(p.view)
	type pair struct{ older, younger int }
	compared := map[pair]bool{}
	for _, prefix := range slices.SortedFunc(maps.Keys(prefixes), netip.Prefix.Compare) {
		for k, younger := range prefixes[prefix] {
			for _, older := range prefixes[prefix][:k] {
				a, b := p.advertisements[older], p.advertisements[younger]
				if _, known := found[b.name]; known || compared[pair{older, younger}] {
					continue
				}
				compared[pair{older, younger}] = true
				if attribute := disagreement(a, b); attribute != "" && p.shareAPeer(p.view, a, b) {
					found[b.name] = Contradiction{prefix, attribute, a.name}
				}
			}
		}
	}
	return found
}

// disagree says whether any two advertisements set an attribute differently.
func (p *bgpPolicy) disagree() bool {
	return slices.ContainsFunc(p.advertisements, func(a *bgpAdvertisement) bool {
		return slices.ContainsFunc(p.advertisements, func(b *bgpAdvertisement) bool { return disagreement(a, b) != "" })
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

// shareAPeer says whether there is a node that announces to one peer for both.
func (p *bgpPolicy) shareAPeer(v *View, older, younger *bgpAdvertisement) bool {
	for _, n := range v.nodes {
		if !older.selectsNode(n.labels) || !younger.selectsNode(n.labels) {
			continue
		}
		if slices.ContainsFunc(p.bgpPeers, func(peer *bgpPeer) bool {
			return peer.selectsNode(n.labels) && older.selectsPeer(peer.name) && younger.selectsPeer(peer.name)
		}) {
			return true
		}
	}
	return false
}

// disagreement names the first attribute that both set, differently; "" if there is none.
func disagreement(a, b *bgpAdvertisement) string {
	switch {
	case differ(a.localPref, b.localPref):
		return "localPref"
	case differ(a.med, b.med):
		return "med"
	case differ(a.prepend, b.prepend):
		return "prependAS"
	}
	return ""
}

func differ[T comparable](a, b *T) bool { return a != nil && b != nil && *a != *b }
