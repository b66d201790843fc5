package plan

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/clarionlb/clarion/announce/bgp"
)

// bgpPolicy is what follows for BGP from the configuration and depends on no single address or node.
type bgpPolicy struct {
	matcher
	// advertisements and bgpPeers are the oldest first. Sets of advertisements have their indices.
	advertisements []*bgpAdvertisement
	bgpPeers       []*bgpPeer
}

func newBGPPolicy(v *View) bgpPolicy {
	p := bgpPolicy{
		advertisements: slices.SortedFunc(maps.Values(v.bgpAdvertisements.inForce), olderBGPAdvertisement),
		bgpPeers:       slices.SortedFunc(maps.Values(v.bgpPeers.inForce), olderBGPPeer),
	}
	var selections []*selection
	for _, a := range p.advertisements {
		selections = append(selections, &a.selection)
	}
	p.matcher = newMatcher(v.pools, selections)
	return p
}

// judge finds the advertisements, sorted, for which a node may announce an address, whether or not
// it has peers to announce it to. If there are none the reason says why, from the request that came
// closest.
func (p *bgpPolicy) judge(name string, n *node, ip netip.Addr, requests []announceRequest) ([]int, Reason) {
	if n.networkUnavailable {
		return nil, NetworkUnavailable
	}
	var advertisements []int
	closest := NotSelected
	for _, r := range requests {
		a := p.advertisements[r.advertisement]
		if !a.selectsNode(n.labels) {
			continue
		}
		if r.on != nil {
			if _, local := slices.BinarySearch(r.serving, name); !local {
				if closest == NotSelected {
					closest = NoLocalEndpoint
				}
				continue
			}
		}
		if !poolOf(p.pools, ip).covers(a.prefix(ip)) {
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

// peers are the names of the BGPPeers that a node is to announce an address to, sorted. If there are
// none the reason says why.
func (p *bgpPolicy) peers(n *node, ip netip.Addr, advertisements []int) ([]string, Reason) {
	var names []string
	why := NoPeer
	for _, peer := range p.bgpPeers {
		selects := func(i int) bool { return p.advertisements[i].selectsPeer(peer.name) }
		switch {
		case !peer.selectsNode(n.labels) || !slices.ContainsFunc(advertisements, selects):
		case !peer.carries(netip.PrefixFrom(ip, ip.BitLen())):
			why = NoPeerOfFamily
		default:
			names = append(names, peer.name)
		}
	}
	if len(names) > 0 {
		why = ""
	}
	slices.Sort(names)
	return names, why
}

// attributes merges those of advertisements, which are sorted, for an internal or an external peer:
// all communities, and of what there can only be one the oldest advertisement's. LOCAL_PREF is for
// internal peers alone (RFC 4271, section 5.1.5).
func (p *bgpPolicy) attributes(advertisements []int, external bool) bgp.Attributes {
	var out bgp.Attributes
	var prepend *uint8
	for _, i := range advertisements {
		a := p.advertisements[i]
		if out.LocalPref == nil && !external {
			out.LocalPref = a.localPref
		}
		if out.MED == nil {
			out.MED = a.med
		}
		if prepend == nil && external {
			prepend = a.prepend
		}
		for _, c := range a.communities {
			if c.isLarge {
				out.LargeCommunities = append(out.LargeCommunities, c.large)
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
