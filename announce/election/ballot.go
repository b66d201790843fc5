package election

import "slices"

// ballot gives open addresses to nodes.
type ballot struct {
	round  *Round
	number uint64
	// without is a node that is taken for gone; nobody for none. Without it, standings are others.
	without     int
	assessments map[*candidacy]assessment
	// load counts per node the groups, and addresses without one, that it carries so far.
	load []int
}

func (r *Round) newBallot(without int) *ballot {
	r.ballots++
	return &ballot{round: r, number: r.ballots, without: without, load: slices.Clone(r.assigned)}
}

// cast gives every address a seat, in their order. Those of one part of a group are served together, when it is the turn of
// the first.
func (b *ballot) cast(open []*candidacy) {
	for _, c := range open {
		switch {
		case c.ballot == b.number:
		case c.group != nil && len(c.group.members) > 1:
			b.electPart(c)
		default:
			b.elect(c, b.choose(b.assessment(c).candidates, c.weights, c.hash))
		}
	}
}

func (b *ballot) elect(c *candidacy, node int) {
	if node != nobody && !b.carries(c.group, node) {
		b.load[node]++
	}
	c.elected, c.ballot = node, b.number
}

// electPart gives all open addresses of the part that c is in to one node: to one that has an address of the part already, if
// there is one that is fit for all of them, and else to one that is fit for the whole part.
func (b *ballot) electPart(c *candidacy) {
	p, found := b.partOf(c)
	if !found {
		b.elect(c, nobody)
		return
	}
	var open []*candidacy
	holders := NewSet(len(b.load))
	for _, m := range p.members {
		if at := b.ownerOf(m); at == nobody {
			open = append(open, m)
		} else {
			holders.Add(at)
		}
	}
	var weights Weights
	for _, m := range open {
		holders = holders.and(b.assessment(m).candidates)
		weights = weights.plus(m.weights)
	}
	among := p.common
	if !holders.empty() {
		among = holders
	}
	node := b.choose(among, weights, p.members[0].hash)
	for _, m := range open {
		b.elect(m, node)
	}
}

func (b *ballot) partOf(c *candidacy) (part, bool) {
	if b.without == nobody {
		return partWith(c.group.currentParts(), c)
	}
	return partWith(c.group.partition(func(m *candidacy) Set { return b.assessment(m).candidates }), c)
}

// choose takes the node of the highest weight, of several the one with the least load, and of several of these the one that
// the hash puts first.
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
	if b.without == nobody {
		return c.assessment
	}
	s, known := b.assessments[c]
	if !known {
		s = c.assess(b.without)
		b.assessments[c] = s
	}
	return s
}

// ownerOf is the node that has an address so far: the one that the ballot has given it to, or its keeper.
func (b *ballot) ownerOf(c *candidacy) int {
	switch {
	case c.ballot == b.number:
		return c.elected
	case c.assignee == b.without:
		return nobody
	default:
		return c.assignee
	}
}

// carries says whether a node has an address of the group.
func (b *ballot) carries(g *group, node int) bool {
	return g != nil && slices.ContainsFunc(g.members, func(m *candidacy) bool { return b.ownerOf(m) == node })
}
