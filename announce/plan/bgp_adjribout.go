package plan

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/guard"
)

// adjRIBOut is what a node announces to one BGPPeer (RFC 4271, section 3.2).
type adjRIBOut struct {
	peer *bgpPeer
	// sessions on which it is announced.
	sessions []bgp.SessionKey
	// selects has for each advertisement whether it is for the peer.
	selects []bool
	// graceful says that others are to be preferred (RFC 8326).
	graceful bool
	// attributes by what they are made from: whether others are to be preferred, then the bytes of the
	// indices of the advertisements, and of the weight if any of them has that told.
	attributes map[string]*bgp.Attributes
	// routes are sorted by prefix.
	routes []bgp.Route
	// kept says that nothing can be decided for the peer: the routes are those that there were.
	kept bool
}

func newAdjRIBOut(policy *bgpPolicy, peer *bgpPeer, sessions []bgp.SessionKey, graceful bool) *adjRIBOut {
	rib := &adjRIBOut{peer: peer, sessions: sessions, graceful: graceful, attributes: map[string]*bgp.Attributes{}}
	for _, a := range policy.advertisements {
		rib.selects = append(rib.selects, a.selectsPeer(peer.name))
	}
	return rib
}

// frozen is what stays announced as it is.
func (rib *adjRIBOut) frozen() *adjRIBOut {
	return &adjRIBOut{peer: rib.peer, sessions: rib.sessions, routes: rib.routes, kept: true}
}

// build makes all routes. old is what was announced before; nil if nothing was.
func (rib *adjRIBOut) build(p *BGPPlanner, old *adjRIBOut) {
	if rib.kept {
		return
	}
	var before []bgp.Route
	if old != nil {
		before = old.routes
	}
	rib.routes = make([]bgp.Route, 0, len(p.prefixes.members))
	for prefix := range p.prefixes.members {
		if attributes := rib.decide(p, prefix, before); attributes != nil {
			rib.routes = append(rib.routes, bgp.Route{Prefix: prefix, Attributes: attributes})
		}
	}
	slices.SortFunc(rib.routes, func(a, b bgp.Route) int { return a.Prefix.Compare(b.Prefix) })
}

// reuse takes the old routes over if they are equal, so that everybody sees at once that nothing
// has changed.
func (rib *adjRIBOut) reuse(old *adjRIBOut) {
	compared := map[[2]*bgp.Attributes]bool{}
	if !slices.EqualFunc(rib.routes, old.routes, func(a, b bgp.Route) bool {
		pair := [2]*bgp.Attributes{a.Attributes, b.Attributes}
		equal, known := compared[pair]
		if !known {
			equal = reflect.DeepEqual(a.Attributes, b.Attributes)
			compared[pair] = equal
		}
		return equal && a.Prefix == b.Prefix
	}) {
		return
	}
	rib.routes = old.routes
}

// update makes the routes of some prefixes anew, and reports whether that made a difference.
func (rib *adjRIBOut) update(p *BGPPlanner, touched prefixSet) bool {
	if rib.kept {
		return false
	}
	var updates []bgp.Route // without attributes: to be withdrawn
	for prefix := range touched {
		attributes := rib.decide(p, prefix, rib.routes)
		i, found := slices.BinarySearchFunc(rib.routes, prefix, comparePrefix)
		if found && rib.routes[i].Attributes != attributes || !found && attributes != nil {
			updates = append(updates, bgp.Route{Prefix: prefix, Attributes: attributes})
		}
	}
	if len(updates) == 0 {
		return false
	}
	slices.SortFunc(updates, func(a, b bgp.Route) int { return a.Prefix.Compare(b.Prefix) })
	// The old routes are a plan's that was handed out, so a new slice is merged from them and the
	// updates.
	routes, rest := make([]bgp.Route, 0, len(rib.routes)+len(updates)), rib.routes
	for _, u := range updates {
		i, found := slices.BinarySearchFunc(rest, u.Prefix, comparePrefix)
		routes = append(routes, rest[:i]...)
		if rest = rest[i:]; found {
			rest = rest[1:]
		}
		if u.Attributes != nil {
			routes = append(routes, u)
		}
	}
	rib.routes = append(routes, rest...)
	return true
}

func comparePrefix(r bgp.Route, prefix netip.Prefix) int { return r.Prefix.Compare(prefix) }

// decide finds the attributes of a prefix. If that panics, they are those that it had among the routes
// before.
func (rib *adjRIBOut) decide(p *BGPPlanner, prefix netip.Prefix, before []bgp.Route) (attributes *bgp.Attributes) {
	failed := guard.Do("prefix", prefix, func() {
		attributes = rib.attributesFor(&p.bgpPolicy, &p.prefixes, prefix, p.prefixes.members[prefix])
	})
	if failed == nil {
		return attributes
	}
	p.failed = append(p.failed, p.failures.note(prefix.Addr(), failed, p.now))
	if i, found := slices.BinarySearchFunc(before, prefix, comparePrefix); found {
		return before[i].Attributes
	}
	return nil
}

// attributesFor are those of a prefix with these members; nil if it is not announced to the peer.
func (rib *adjRIBOut) attributesFor(policy *bgpPolicy, prefixes *prefixTable, prefix netip.Prefix, members []tally) *bgp.Attributes {
	if !rib.peer.carries(prefix) {
		return nil
	}
	graceful := rib.graceful || prefixes.isGraceful(prefix)
	key := []byte{0}
	if graceful {
		key[0] = 1
	}
	weighed := false
	for _, m := range members {
		if rib.selects[m.advertisement] {
			key = binary.AppendUvarint(key, uint64(m.advertisement))
			weighed = weighed || policy.advertisements[m.advertisement].perEndpoint
		}
	}
	if len(key) == 1 {
		return nil
	}
	weight := 0
	if weighed {
		weight = prefixes.weights[prefix.Addr()]
		key = binary.AppendUvarint(key, uint64(weight))
	}
	if attributes := rib.attributes[string(key)]; attributes != nil {
		return attributes
	}
	var advertisements []int
	for _, m := range members {
		if rib.selects[m.advertisement] {
			advertisements = append(advertisements, m.advertisement)
		}
	}
	attributes := policy.attributes(advertisements, rib.peer.external())
	attributes.LinkBandwidth = float32(weight) * bandwidthOfEndpoint
	attributes.Leaving = graceful
	rib.attributes[string(key)] = &attributes
	return &attributes
}
