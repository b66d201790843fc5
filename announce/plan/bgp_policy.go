package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/clarionlb/clarion/announce/bgp"
)

// bgpPolicy is what follows for BGP from the configuration, and depends on no single address or node.
type bgpPolicy struct {
	matcher
	// advertisements and routers, the oldest first. Sets of advertisements have their indices.
	advertisements []*bgpAdvertisement
	bgpPeers       []*bgpPeer
	// communities are the communities of the advertisements.
	communities [][]community
	// refused are the advertisements that cannot be honoured, and why, by name.
	refused map[string]string
}

func newBGPPolicy(v *View) bgpPolicy {
	f := bgpPolicy{
		bgpPeers: slices.SortedFunc(maps.Values(v.bgpPeers), olderBGPPeer),
		refused:  map[string]string{},
	}
	aliases := aliasesOf(v.communities)
	var selections []*selection
	for _, a := range slices.SortedFunc(maps.Values(v.bgpAdvertisements), olderBGPAdvertisement) {
		said, err := resolveAll(aliases, a.communities)
		if err != nil {
			f.refused[a.name] = err.Error()
			continue
		}
		f.advertisements = append(f.advertisements, a)
		f.communities = append(f.communities, said)
		selections = append(selections, &a.selection)
	}
	f.matcher = newMatcher(v.pools, selections)
	return f
}

func resolveAll(aliases map[string]community, texts []string) ([]community, error) {
	var out []community
	for _, text := range texts {
		c, err := resolve(aliases, text)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// judge finds the advertisements, sorted, for which a node may announce an address, whether or not it has routers to announce
// it to. If there are none the reason says why, from the request that came closest.
func (f *bgpPolicy) judge(name string, n *node, ip netip.Addr, requests []announceRequest) ([]int, Reason) {
	if n.networkUnavailable {
		return nil, NetworkUnavailable
	}
	var advertisements []int
	closest := NotSelected
	for _, r := range requests {
		a := f.advertisements[r.advertisement]
		if !a.selectsNode(n.labels) {
			continue
		}
		if r.on != nil {
			if _, local := slices.BinarySearch(r.on, name); !local {
				if closest == NotSelected {
					closest = NoLocalEndpoint
				}
				continue
			}
		}
		if !poolOf(f.pools, ip).covers(a.prefix(ip)) {
			closest = BeyondPool
			continue
		}
		advertisements = append(advertisements, r.advertisement)
	}
	if len(advertisements) > 0 {
		closest = ""
	}
	slices.Sort(advertisements)
	return slices.Compact(advertisements), closest
}

// peers are the names of the BGPPeers that a node is to announce an address to, sorted.
func (f *bgpPolicy) peers(n *node, advertisements []int) []string {
	var names []string
	for _, r := range f.bgpPeers {
		if r.selectsNode(n.labels) && slices.ContainsFunc(advertisements, func(i int) bool { return f.advertisements[i].selectsPeer(r.name) }) {
			names = append(names, r.name)
		}
	}
	slices.Sort(names)
	return names
}

// attributes merges those of advertisements, which are sorted and so the oldest first, for one router.
func (f *bgpPolicy) attributes(advertisements []int, external bool) bgp.Attributes {
	var out bgp.Attributes
	var prepend *uint8
	for _, i := range advertisements {
		a := f.advertisements[i]
		if out.LocalPref == nil && !external {
			out.LocalPref = a.localPref
		}
		if out.MED == nil {
			out.MED = a.med
		}
		if prepend == nil && external {
			prepend = a.prepend
		}
		for _, c := range f.communities[i] {
			if c.large {
				out.LargeCommunities = append(out.LargeCommunities, c.wide)
			} else {
				out.Communities = append(out.Communities, c.regular)
			}
		}
	}
	out.Prepend = valueOr(prepend, 0)
	slices.Sort(out.Communities)
	out.Communities = slices.Compact(out.Communities)
	slices.SortFunc(out.LargeCommunities, compareLarge)
	out.LargeCommunities = slices.Compact(out.LargeCommunities)
	return out
}

// contradictions are what two advertisements of one prefix to one router say differently, as a sentence for the younger one,
// by its name. Whose endpoints are where does not count: what contradicts does so sooner or later.
func (f *bgpPolicy) contradictions(v *View) map[string]string {
	found := map[string]string{}
	if !slices.ContainsFunc(f.advertisements, func(a *bgpAdvertisement) bool {
		return slices.ContainsFunc(f.advertisements, func(b *bgpAdvertisement) bool { return disagreement(a, b) != "" })
	}) {
		return found
	}
	prefixes := map[netip.Prefix][]int{}
	for ip, services := range v.byAddress {
		pool := poolOf(f.pools, ip)
		if pool == nil {
			continue
		}
		for _, i := range f.byPool[pool] {
			a := f.advertisements[i]
			if slices.ContainsFunc(services, func(s *service) bool { return a.selectsService(s.labels) }) {
				if p := a.prefix(ip); !slices.Contains(prefixes[p], i) {
					prefixes[p] = append(prefixes[p], i)
				}
			}
		}
	}
	type pair struct{ older, younger int }
	looked := map[pair]bool{}
	for _, prefix := range slices.SortedFunc(maps.Keys(prefixes), netip.Prefix.Compare) {
		advertisements := prefixes[prefix]
		slices.Sort(advertisements)
		for k, younger := range advertisements {
			for _, older := range advertisements[:k] {
				a, b := f.advertisements[older], f.advertisements[younger]
				if p := (pair{older, younger}); !looked[p] {
					looked[p] = true
					if what := disagreement(a, b); what != "" && found[b.name] == "" && f.shareAPeer(v, a, b) {
						found[b.name] = fmt.Sprintf("%s is announced with the %s of BGPAdvertisement %s, which is older", prefix, what, a.name)
					}
				}
			}
		}
	}
	return found
}

// shareAPeer says whether there is a node that announces to one router for both.
func (f *bgpPolicy) shareAPeer(v *View, a, b *bgpAdvertisement) bool {
	for _, n := range v.nodes {
		if !a.selectsNode(n.labels) || !b.selectsNode(n.labels) {
			continue
		}
		if slices.ContainsFunc(f.bgpPeers, func(r *bgpPeer) bool {
			return r.selectsNode(n.labels) && a.selectsPeer(r.name) && b.selectsPeer(r.name)
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
