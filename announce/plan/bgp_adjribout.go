package plan

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"

	"github.com/clarionlb/clarion/announce/bgp"
)

// adjRIBOut is what a node says to the routers of one BGPPeer.
type adjRIBOut struct {
	peer *bgpPeer
	// sessions that say it.
	sessions []bgp.SessionKey
	// selects has for each advertisement whether it is for the router.
	selects []bool
	leaving bool
	// attributes by the advertisements that they are merged from, as the bytes of their indices and of the weight, if any of
	// them has that told.
	attributes map[string]*bgp.Attributes
	routes     []bgp.Route
}

func newAdjRIBOut(p *BGPPlanner, r *bgpPeer) *adjRIBOut {
	s := &adjRIBOut{peer: r, leaving: p.shutdown.stage != inService, attributes: map[string]*bgp.Attributes{}}
	for _, a := range p.advertisements {
		s.selects = append(s.selects, a.selectsPeer(r.name))
	}
	return s
}

// build makes all routes.
func (s *adjRIBOut) build(p *BGPPlanner) {
	s.routes = make([]bgp.Route, 0, len(p.members))
	for prefix, members := range p.members {
		if attributes := s.attributesFor(p, prefix, members); attributes != nil {
			s.routes = append(s.routes, bgp.Route{Prefix: prefix, Attributes: attributes})
		}
	}
	slices.SortFunc(s.routes, func(a, b bgp.Route) int { return a.Prefix.Compare(b.Prefix) })
}

// reuse takes the old routes over if they say the same, so that everybody sees at once that nothing has changed.
func (s *adjRIBOut) reuse(old *adjRIBOut) {
	same := map[[2]*bgp.Attributes]bool{}
	if !slices.EqualFunc(s.routes, old.routes, func(a, b bgp.Route) bool {
		pair := [2]*bgp.Attributes{a.Attributes, b.Attributes}
		equal, known := same[pair]
		if !known {
			equal = reflect.DeepEqual(a.Attributes, b.Attributes)
			same[pair] = equal
		}
		return equal && a.Prefix == b.Prefix
	}) {
		return
	}
	s.routes = old.routes
}

// update makes the routes of some prefixes anew, and reports whether that made a difference.
func (s *adjRIBOut) update(p *BGPPlanner, prefixes map[netip.Prefix]struct{}) bool {
	var revised []bgp.Route // without attributes: to be withdrawn
	for prefix := range prefixes {
		attributes := s.attributesFor(p, prefix, p.members[prefix])
		i, found := s.find(prefix)
		if found && s.routes[i].Attributes != attributes || !found && attributes != nil {
			revised = append(revised, bgp.Route{Prefix: prefix, Attributes: attributes})
		}
	}
	if len(revised) == 0 {
		return false
	}
	slices.SortFunc(revised, func(a, b bgp.Route) int { return a.Prefix.Compare(b.Prefix) })
	routes, rest := make([]bgp.Route, 0, len(s.routes)+len(revised)), s.routes
	for _, r := range revised {
		i, found := slices.BinarySearchFunc(rest, r.Prefix, comparePrefix)
		routes = append(routes, rest[:i]...)
		if rest = rest[i:]; found {
			rest = rest[1:]
		}
		if r.Attributes != nil {
			routes = append(routes, r)
		}
	}
	s.routes = append(routes, rest...)
	return true
}

func (s *adjRIBOut) find(prefix netip.Prefix) (int, bool) {
	return slices.BinarySearchFunc(s.routes, prefix, comparePrefix)
}

func comparePrefix(r bgp.Route, prefix netip.Prefix) int { return r.Prefix.Compare(prefix) }

// attributesFor are those of a prefix with these members; nil if it is not for the router.
func (s *adjRIBOut) attributesFor(p *BGPPlanner, prefix netip.Prefix, members []tally) *bgp.Attributes {
	var key []byte
	weighed := false
	for _, m := range members {
		if s.selects[m.advertisement] {
			key = binary.AppendUvarint(key, uint64(m.advertisement))
			weighed = weighed || p.advertisements[m.advertisement].perEndpoint
		}
	}
	if key == nil {
		return nil
	}
	weight := 0
	if weighed {
		weight = p.weights[prefix.Addr()]
		key = binary.AppendUvarint(key, uint64(weight))
	}
	if attributes := s.attributes[string(key)]; attributes != nil {
		return attributes
	}
	var advertisements []int
	for _, m := range members {
		if s.selects[m.advertisement] {
			advertisements = append(advertisements, m.advertisement)
		}
	}
	attributes := p.bgpPolicy.attributes(advertisements, s.peer.external())
	attributes.LinkBandwidth = float32(weight) * bandwidthOfEndpoint
	attributes.Leaving = s.leaving
	s.attributes[string(key)] = &attributes
	return &attributes
}
