package plan

import (
	"maps"
	"slices"

	"github.com/clarionlb/clarion/announce/election"
)

// candidates is who plays: what follows from members, nodes, their interfaces and the configuration, and does not depend on a
// single address.
type candidates struct {
	// alive are the members that can have addresses, sorted; sets of nodes have their indices.
	alive   []string
	members []*member
	matcher
	advertisements []*l2Advertisement
	reaches        []*reach
	// weights of the nodes by advertisement; nil for one without preferences.
	weights []election.Weights
	// lastResort are nodes that have addresses only if no other can: drained ones and those that are not ready.
	lastResort election.Set
	// keepOnly are members that keep what they have and gain nothing.
	keepOnly election.Set
}

// member is a node as a plan sees it.
type member struct {
	name string
	// barred is why the node announces nothing at all; "" if it may.
	barred Reason
	// reluctant is why the node announces only what no other can; "" if it is like the others.
	reluctant Reason
	// index of the node among those alive, if it is not barred.
	index int
}

func newCandidates(v *View, alive []string) candidates {
	f := candidates{
		alive:      alive,
		lastResort: election.NewSet(len(alive)),
		keepOnly:   election.NewSet(len(alive)),
	}
	var selections []*selection
	for _, name := range slices.Sorted(maps.Keys(v.l2Advertisements)) {
		a := v.l2Advertisements[name]
		f.advertisements = append(f.advertisements, a)
		f.reaches = append(f.reaches, newReach(len(alive)))
		f.weights = append(f.weights, nil)
		selections = append(selections, &a.selection)
	}
	f.matcher = newMatcher(v.pools, selections)
	for _, name := range slices.Sorted(maps.Keys(v.nodes)) {
		n, announcer := v.nodes[name], v.announcers[name]
		m := f.newMember(name, n, announcer)
		f.members = append(f.members, m)
		if m.barred != "" {
			continue
		}
		if m.reluctant != "" {
			f.lastResort.Add(m.index)
		}
		for i, a := range f.advertisements {
			if a.selectsNode(n.labels) {
				f.reaches[i].add(m.index, a, announcer.interfaces)
			}
			if len(a.preferences) > 0 {
				if f.weights[i] == nil {
					f.weights[i] = make(election.Weights, len(alive))
				}
				f.weights[i][m.index] = a.weight(n.labels)
			}
		}
	}
	return f
}

func (f *candidates) newMember(name string, n *node, a *announcer) *member {
	index, alive := slices.BinarySearch(f.alive, name)
	m := &member{name: name, index: index}
	switch {
	case a == nil:
		m.barred = NoAnnouncer
	case !alive:
		m.barred = NotAlive
	case n.excluded:
		m.barred = Excluded
	case n.networkUnavailable:
		m.barred = NetworkUnavailable
	case n.draining:
		m.reluctant = Draining
	case n.notReady:
		m.reluctant = NotReady
	}
	return m
}

func (f *candidates) member(name string) (*member, bool) {
	i, found := slices.BinarySearchFunc(f.members, name, func(m *member, name string) int {
		if m.name < name {
			return -1
		} else if m.name > name {
			return 1
		}
		return 0
	})
	if !found {
		return nil, false
	}
	return f.members[i], true
}

// weightsFor adds up the weights that nodes have for requests; nil if nobody has any.
func (f *candidates) weightsFor(requests []announceRequest) election.Weights {
	var sum election.Weights
	counted := make(map[int]bool, len(requests))
	for _, r := range requests {
		weights := f.weights[r.advertisement]
		if weights == nil || counted[r.advertisement] {
			continue
		}
		counted[r.advertisement] = true
		if sum == nil {
			sum = slices.Clone(weights)
			continue
		}
		for i, w := range weights {
			sum[i] += w
		}
	}
	return sum
}
