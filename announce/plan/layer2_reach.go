package plan

import (
	"net/netip"
	"slices"

	"github.com/clarionlb/clarion/announce/election"
)

// reach is which nodes an advertisement can have which addresses announced from, by what the nodes have recorded of their
// interfaces. It answers for an address as covers does for a node, but for all nodes at once.
type reach struct {
	nodes int
	// selected are the nodes that the advertisement selects.
	selected election.Set
	// every4 and every6 can announce every address of their family.
	every4, every6 election.Set
	// byNetwork can announce the addresses of a network, by network; bits are the prefix lengths that occur.
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
func (f *reach) add(node int, a *l2Advertisement, interfaces []Interface) {
	f.selected.Add(node)
	for _, i := range interfaces {
		named := a.names(i.Name)
		if named || len(a.interfaces) == 0 && i.DefaultRoute4 {
			f.every4.Add(node)
		}
		if named || len(a.interfaces) == 0 && i.DefaultRoute6 {
			f.every6.Add(node)
		}
		if len(a.interfaces) > 0 {
			continue
		}
		for _, p := range i.Prefixes {
			p = p.Masked()
			if f.byNetwork[p] == nil {
				f.byNetwork[p] = election.NewSet(f.nodes)
			}
			f.byNetwork[p].Add(node)
			if !slices.Contains(f.bits, p.Bits()) {
				f.bits = append(f.bits, p.Bits())
			}
		}
	}
}

// at returns the nodes that can announce an address. The set is the caller's.
func (f *reach) at(ip netip.Addr) election.Set {
	set := election.NewSet(f.nodes)
	if ip.Is4() {
		set.AddAll(f.every4)
	} else {
		set.AddAll(f.every6)
	}
	for _, bits := range f.bits {
		if p, err := ip.Prefix(bits); err == nil {
			set.AddAll(f.byNetwork[p])
		}
	}
	return set
}
