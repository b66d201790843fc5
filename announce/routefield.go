package announce

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/clarionlb/clarion/announce/bgp"
)

// routeField is what follows for BGP from the configuration, and depends on no single address or node.
type routeField struct {
	catalogue
	// advertisements and routers, the oldest first. Sets of advertisements have their indices.
	advertisements []*routeAdvertisement
	routers        []*router
	// said are the communities of the advertisements.
	said [][]community
	// refused are the advertisements that cannot be honoured, and why, by name.
	refused map[string]string
}

func newRouteField(v *View) routeField {
	f := routeField{
		routers: slices.SortedFunc(maps.Values(v.routers), olderRouter),
		refused: map[string]string{},
	}
	aliases := aliasesOf(v.communities)
	var selections []*selection
	for _, a := range slices.SortedFunc(maps.Values(v.routeAdvertisements), olderRouteAdvertisement) {
		said, err := resolveAll(aliases, a.communities)
		if err != nil {
			f.refused[a.name] = err.Error()
			continue
		}
		f.advertisements = append(f.advertisements, a)
		f.said = append(f.said, said)
		selections = append(selections, &a.selection)
	}
	f.catalogue = newCatalogue(v.pools, selections)
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
func (f *routeField) judge(name string, n *node, ip netip.Addr, requests []request) ([]int, Reason) {
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
func (f *routeField) peers(n *node, advertisements []int) []string {
	var names []string
	for _, r := range f.routers {
		if r.selectsNode(n.labels) && slices.ContainsFunc(advertisements, func(i int) bool { return f.advertisements[i].selectsPeer(r.name) }) {
			names = append(names, r.name)
		}
	}
	slices.Sort(names)
	return names
}

// attributes merges those of advertisements, which are sorted and so the oldest first, for one router.
func (f *routeField) attributes(advertisements []int, external bool) bgp.Attributes {
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
		for _, c := range f.said[i] {
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
func (f *routeField) contradictions(v *View) map[string]string {
	found := map[string]string{}
	if !slices.ContainsFunc(f.advertisements, func(a *routeAdvertisement) bool {
		return slices.ContainsFunc(f.advertisements, func(b *routeAdvertisement) bool { return disagreement(a, b) != "" })
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
					if what := disagreement(a, b); what != "" && found[b.name] == "" && f.meet(v, a, b) {
						found[b.name] = fmt.Sprintf("%s is announced with the %s of BGPAdvertisement %s, which is older", prefix, what, a.name)
					}
				}
			}
		}
	}
	return found
}

// meet says whether there is a node that announces to one router for both.
func (f *routeField) meet(v *View, a, b *routeAdvertisement) bool {
	for _, n := range v.nodes {
		if !a.selectsNode(n.labels) || !b.selectsNode(n.labels) {
			continue
		}
		if slices.ContainsFunc(f.routers, func(r *router) bool {
			return r.selectsNode(n.labels) && a.selectsPeer(r.name) && b.selectsPeer(r.name)
		}) {
			return true
		}
	}
	return false
}

// disagreement names the first attribute that both set, differently; "" if there is none.
func disagreement(a, b *routeAdvertisement) string {
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
