package election

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Rebalance returns which addresses to move, and to which node. The moves have these aims, the
// first one first:
//
//   - The addresses of one group are together where they can.
//   - Every address is on a node of the highest weight for it.
//   - The numbers of groups that nodes carry differ by at most one, unless the nodes that carry
//     more are the only ones that can. An address without a group counts as one.
//   - As few addresses move as possible.
//
// It returns an empty map if nothing has to move. Addresses without an owner do not count. Decide
// must have been called since the last change.
func (r *Round) Rebalance() map[netip.Addr]string {
	kinds := map[string]*kind{}
	l := newLayout(len(r.nodes))
	for _, b := range r.bundles() { // the layout with the fewest moves, which may be uneven
		key := b.key()
		k := kinds[key]
		if k == nil {
			k = newKind(b)
			kinds[key] = k
		}
		l.put(k, l.nearest(k), b)
	}
	if len(kinds) > 0 {
		l.level()
	}

	moves := map[netip.Addr]string{}
	for _, k := range kinds {
		for node, bundles := range k.at {
			for _, b := range bundles {
				for _, c := range b.members {
					if c.owner != node {
						moves[c.ip] = r.nodes[node]
					}
				}
			}
		}
	}
	return moves
}

// bundle is a set of addresses that move together: a part of a group, or an address without one.
type bundle struct {
	members []*candidacy
	// nodes are those that it may be on: of the nodes that are candidates for all members, those of
	// the highest weight.
	nodes Set
}

// bundles returns all addresses that have an owner, as bundles. They are in the order of their
// oldest members.
func (r *Round) bundles() []bundle {
	var bundles []bundle
	for _, c := range slices.SortedFunc(maps.Values(r.addresses), older) {
		p, found := part{[]*candidacy{c}, c.candidates}, !c.candidates.empty()
		if c.group != nil {
			p, found = partWith(c.group.currentParts(), c)
		}
		if !found || p.members[0] != c {
			continue
		}
		var weights Weights
		for _, m := range p.members {
			weights = weights.plus(m.weights)
		}
		bundles = append(bundles, bundle{p.members, weights.heaviest(p.common)})
	}
	return bundles
}

// key is equal for bundles of the same kind.
func (b bundle) key() string {
	owners := make([]int, len(b.members))
	for i, c := range b.members {
		owners[i] = c.owner
	}
	slices.Sort(owners)
	return fmt.Sprint(b.nodes, owners)
}

// kind is a set of bundles that are interchangeable: they may be on the same nodes, and the same
// nodes own their addresses.
type kind struct {
	nodes Set
	// size is the number of addresses in one bundle.
	size int
	// owned counts the addresses of one bundle by their owners.
	owned map[int]int
	// at has the bundles by the node that the layout puts them on.
	at map[int][]bundle
}

func newKind(b bundle) *kind {
	k := &kind{nodes: b.nodes, size: len(b.members), owned: map[int]int{}, at: map[int][]bundle{}}
	for _, c := range b.members {
		k.owned[c.owner]++
	}
	return k
}

// moves is how many addresses of one bundle move if the bundle goes to the node.
func (k *kind) moves(node int) int { return k.size - k.owned[node] }

// layout says which bundles are on which nodes. Of all layouts with the same load on each node, it
// is always one with the fewest moves.
type layout struct {
	load []int
	// kinds has, for each node, the kinds of the bundles that are on it.
	kinds [][]*kind
	// steps has, for each pair of nodes, the step from the first to the second that costs the
	// fewest moves. The steps from a node are valid only if known says so.
	steps [][]step
	known []bool
}

// step puts one bundle of the kind from one node onto another. A zero step is none.
type step struct {
	kind *kind
	// moves is by how many the addresses that move become more. It is negative if some of them come
	// back to their owner.
	moves int
}

func newLayout(nodes int) *layout {
	l := &layout{
		load: make([]int, nodes), kinds: make([][]*kind, nodes), steps: make([][]step, nodes), known: make([]bool, nodes),
	}
	for n := range l.steps {
		l.steps[n] = make([]step, nodes)
	}
	return l
}

// nearest is the node to which a bundle of the kind goes with the fewest moves. Of several it is
// the one with the least load.
func (l *layout) nearest(k *kind) int {
	best := nobody
	k.nodes.All(func(n int) {
		if best == nobody || cmp.Or(cmp.Compare(k.moves(n), k.moves(best)), cmp.Compare(l.load[n], l.load[best])) < 0 {
			best = n
		}
	})
	return best
}

// put adds a bundle to those on the node.
func (l *layout) put(k *kind, node int, b bundle) {
	if len(k.at[node]) == 0 {
		l.kinds[node] = append(l.kinds[node], k)
	}
	k.at[node] = append(k.at[node], b)
	l.load[node]++
	l.known[node] = false
}

// take removes a bundle of the kind from the node.
func (l *layout) take(k *kind, node int) bundle {
	last := len(k.at[node]) - 1
	b := k.at[node][last]
	k.at[node] = k.at[node][:last]
	if last == 0 {
		l.kinds[node] = slices.DeleteFunc(l.kinds[node], func(o *kind) bool { return o == k })
	}
	l.load[node]--
	l.known[node] = false
	return b
}

// stepsFrom returns the steps from the node, by the node they lead to.
func (l *layout) stepsFrom(node int) []step {
	steps := l.steps[node]
	if !l.known[node] {
		l.known[node] = true
		clear(steps)
		for _, k := range l.kinds[node] {
			k.nodes.All(func(n int) {
				if m := k.moves(n) - k.moves(node); n != node && (steps[n].kind == nil || m < steps[n].moves) {
					steps[n] = step{k, m}
				}
			})
		}
	}
	return steps
}

// level evens the loads out. It begins with the nodes that carry most, and ends when no path of
// steps from one node to another makes the loads more even, or saves moves and leaves them as even
// as they are.
func (l *layout) level() {
	for better := true; better; {
		better = false
		for load := slices.Max(l.load); load > 0; {
			paths := l.paths(func(n int) bool { return l.load[n] == load })
			to := l.target(paths, load)
			if to == nobody {
				load--
				continue
			}
			l.apply(paths, to)
			better = true
		}
	}
}

// target is the node that should get one more bundle from a node with the given load, over one of
// the paths. It is nobody if no node would make the layout better.
func (l *layout) target(paths []path, load int) int {
	best := nobody
	for n, p := range paths {
		if !p.reached || l.load[n] > load-1 || l.load[n] == load-1 && p.moves >= 0 {
			continue
		}
		if best == nobody || cmp.Or(cmp.Compare(l.load[n], l.load[best]), cmp.Compare(p.moves, paths[best].moves)) < 0 {
			best = n
		}
	}
	return best
}

// path is the cheapest sequence of steps to a node: its last step comes from a node, and all steps
// together cost moves.
type path struct {
	reached bool
	moves   int
	from    int
}

// paths finds the cheapest paths from any of the starts to all nodes, by the algorithm of Bellman
// and Ford. Steps may have negative costs, but no cycle of them has: the layout has the fewest
// moves for its loads.
func (l *layout) paths(start func(node int) bool) []path {
	paths := make([]path, len(l.load))
	var queue []int
	queued := make([]bool, len(l.load))
	for n := range paths {
		if start(n) {
			paths[n] = path{reached: true, from: nobody}
			queue = append(queue, n)
			queued[n] = true
		}
	}
	for len(queue) > 0 {
		n := queue[0]
		queue, queued[n] = queue[1:], false
		for m, s := range l.stepsFrom(n) {
			if s.kind == nil || paths[m].reached && paths[n].moves+s.moves >= paths[m].moves {
				continue
			}
			paths[m] = path{true, paths[n].moves + s.moves, n}
			if !queued[m] {
				queue = append(queue, m)
				queued[m] = true
			}
		}
	}
	return paths
}

// apply takes the steps of the path to a node.
func (l *layout) apply(paths []path, to int) {
	for from := paths[to].from; from != nobody; to, from = from, paths[from].from {
		k := l.steps[from][to].kind
		l.put(k, to, l.take(k, from))
	}
}
