package election

import "slices"

// ballot gives the open addresses to nodes, one after the other. Each gets the node that carries
// least at that moment.
type ballot struct {
	round  *Round
	number uint64
	// without are nodes that the ballot takes for dead; nil for none.
	without Set
	// assessments are those of addresses without these nodes. They are made when they are needed.
	assessments map[*candidacy]assessment
	// load counts for each node the groups that it carries so far. An address without a group
	// counts as one.
	load []int
}

func (r *Round) newBallot(without Set) *ballot {
	r.ballots++
	return &ballot{round: r, number: r.ballots, without: without, load: slices.Clone(r.assigned)}
}

// cast elects a node for every address, in their order. The addresses of one part of a group are
// decided together, with the first of them.
func (b *ballot) cast(open []*candidacy) {
	for _, c := range open {
		switch {
		case c.ballot == b.number:
		case c.group != nil:
			b.electPart(c)
		default:
			b.elect(c, b.choose(b.assessment(c).candidates, c.weights, c.hash))
		}
	}
}

// elect gives the address to the node, which may be nobody.
func (b *ballot) elect(c *candidacy, node int) {
	if node != nobody && !b.carries(c.group, node) {
		b.load[node]++
	}
	c.elected, c.ballot = node, b.number
}

// electPart gives all open addresses of c's part to one node. That is a node which owns another
// address of the part already and is a candidate for all open ones; without such a node, it is one
// of those that are candidates for the whole part.
func (b *ballot) electPart(c *candidacy) {
	p, found := b.partOf(c)
	if !found {
		b.elect(c, nobody)
		return
	}
	var open []*candidacy
	owners := NewSet(len(b.load))
	for _, m := range p.members {
		if owner := b.ownerOf(m); owner == nobody {
			open = append(open, m)
		} else {
			owners.Add(owner)
		}
	}
	var weights Weights
	for _, m := range open {
		owners = owners.and(b.assessment(m).candidates)
		weights = weights.plus(m.weights)
	}
	among := p.common
	if !owners.empty() {
		among = owners
	}
	node := b.choose(among, weights, p.members[0].hash)
	for _, m := range open {
		b.elect(m, node)
	}
}

// partOf finds the part of its group that the address is in.
func (b *ballot) partOf(c *candidacy) (part, bool) {
	if b.without == nil {
		return partWith(c.group.currentParts(), c)
	}
	return partWith(c.group.partition(func(m *candidacy) Set { return b.assessment(m).candidates }), c)
}

// choose returns the node with the highest weight. Of several such nodes it returns the one with
// the least load, and of several of these the one with the highest rendezvous score.
func (b *ballot) choose(among Set, weights Weights, hash uint64) int {
	best, bestScore := nobody, uint64(0)
	among.All(func(i int) {
		if best != nobody {
			if w, most := weights.of(i), weights.of(best); w < most || w == most && b.load[i] > b.load[best] {
				return
			} else if w > most {
				best = nobody
			}
		}
		s := score(b.round.hashes[i], hash)
		if best == nobody || b.load[i] < b.load[best] || s > bestScore {
			best, bestScore = i, s
		}
	})
	return best
}

func (b *ballot) assessment(c *candidacy) assessment {
	if b.without == nil {
		return c.assessment
	}
	a, known := b.assessments[c]
	if !known {
		a = c.assess(b.without)
		b.assessments[c] = a
	}
	return a
}

// ownerOf is the node that owns the address so far: the one that this ballot elected, or else its
// assignee.
func (b *ballot) ownerOf(c *candidacy) int {
	switch {
	case c.ballot == b.number:
		return c.elected
	case b.without.Has(c.assignee):
		return nobody
	default:
		return c.assignee
	}
}

// carries says whether the node owns an address of the group so far.
func (b *ballot) carries(g *group, node int) bool {
	return g != nil && slices.ContainsFunc(g.members, func(m *candidacy) bool { return b.ownerOf(m) == node })
}
