package plan

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/announce/election"
)

// reach is which nodes can announce which addresses for an advertisement, by what the nodes have
// recorded of their interfaces. It says of all nodes at once what l2Advertisement.covers says of
// one, by what is known of them.
type reach struct {
	nodes int
	// selected are the nodes that the advertisement selects.
	selected election.Set
	// every4 and every6 can announce every address of their family.
	every4, every6 election.Set
	// byNetwork can announce the addresses of a network; bits are the prefix lengths that occur.
	byNetwork map[netip.Prefix]election.Set
	bits      []int
}

func newReach(nodes int) *reach {
	return &reach{
		nodes:     nodes,
		selected:  election.NewSet(nodes),
		every4:    election.NewSet(nodes),
		every6:    election.NewSet(nodes),
		byNetwork: map[netip.Prefix]election.Set{},
	}
}

// add enters a selected node with its interfaces.
func (r *reach) add(node int, a *l2Advertisement, interfaces []Interface) {
	r.selected.Add(node)
	for _, i := range interfaces {
		if a.names(i.Name) {
			r.every4.Add(node)
			r.every6.Add(node)
		}
		if len(a.interfaces) > 0 {
			continue
		}
		for _, p := range i.Prefixes {
			r.addNetwork(node, p.Masked())
		}
		for _, route := range i.Routes {
			r.addNetwork(node, route.Prefix)
		}
	}
}

func (r *reach) addNetwork(node int, p netip.Prefix) {
	switch {
	case p == defaultRoute[corev1.IPv4Protocol]:
		r.every4.Add(node)
		return
	case p == defaultRoute[corev1.IPv6Protocol]:
		r.every6.Add(node)
		return
	case r.byNetwork[p] == nil:
		r.byNetwork[p] = election.NewSet(r.nodes)
	}
	r.byNetwork[p].Add(node)
	if !slices.Contains(r.bits, p.Bits()) {
		r.bits = append(r.bits, p.Bits())
	}
}

// at returns the nodes that can announce an address. The set is the caller's.
func (r *reach) at(ip netip.Addr) election.Set {
	set := election.NewSet(r.nodes)
	if ip.Is4() {
		set.AddAll(r.every4)
	} else {
		set.AddAll(r.every6)
	}
	for _, bits := range r.bits {
		if p, err := ip.Prefix(bits); err == nil {
			set.AddAll(r.byNetwork[p])
		}
	}
	return set
}
