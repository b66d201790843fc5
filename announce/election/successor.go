package election

import (
	"net/netip"
	"slices"
)

// Successor returns the node that would own the address if its owner were dead. It is what the same
// claims decide among the other nodes; "" if no node would own it, or if the address has no owner.
// Decide must have been called since the last change. The first call for an address of a node
// computes the successors for all addresses of that node.
func (r *Round) Successor(ip netip.Addr) string {
	c := r.addresses[ip]
	if c == nil || c.owner == nobody {
		return ""
	}
	successors, known := r.successors[c.owner]
	if !known {
		successors = r.decideWithout(r.setOf(c.owner))
		r.successors[c.owner] = successors
	}
	if successor := successors[c]; successor != nobody {
		return r.nodes[successor]
	}
	return ""
}

// Heir says whether a node is among the first that would own addresses of another one: whether it would own some if that one were
// dead, or else if those who would were dead too, and so on for so many generations. Decide must have been called since the last
// change. It costs the same as Successor, for each generation.
func (r *Round) Heir(node, owner string, generations int) bool {
	i, dead := r.indexOf(node), r.indexOf(owner)
	return i != nobody && dead != nobody && r.heirsOf(dead, generations).Has(i)
}

// Heirs are the nodes for which Heir is true.
func (r *Round) Heirs(owner string, generations int) (nodes []string) {
	if dead := r.indexOf(owner); dead != nobody {
		r.heirsOf(dead, generations).All(func(i int) { nodes = append(nodes, r.nodes[i]) })
	}
	return nodes
}

func (r *Round) heirsOf(dead, generations int) Set {
	heirs, known := r.heirs[dead]
	if !known {
		heirs = NewSet(len(r.nodes))
		without := r.setOf(dead)
		for range generations {
			for c, successor := range r.decideWithout(without) {
				if c.owner == dead && successor != nobody {
					heirs.Add(successor)
				}
			}
			without.AddAll(heirs)
		}
		r.heirs[dead] = heirs
	}
	return heirs
}

// setOf is the set of one node.
func (r *Round) setOf(node int) Set {
	set := NewSet(len(r.nodes))
	set.Add(node)
	return set
}

// decideWithout returns who would own the addresses of the nodes if these were dead. Addresses with
// another assignee stay there. So the cost depends on how many addresses the nodes have and how many
// are open.
func (r *Round) decideWithout(nodes Set) map[*candidacy]int {
	var vacant []*candidacy
	for _, c := range r.addresses {
		if c.assignee == nobody || nodes.Has(c.assignee) {
			vacant = append(vacant, c)
		}
	}
	slices.SortFunc(vacant, older)

	b := r.newBallot(nodes)
	b.assessments = make(map[*candidacy]assessment, len(vacant))
	// Without these nodes, the claim of another may hold: of one that was to hand the address over to
	// one of them, or of a last resort.
	for _, c := range vacant {
		if assignee := b.assessment(c).assignee; assignee != nobody {
			b.elect(c, assignee)
		}
	}
	b.cast(vacant)
	successors := map[*candidacy]int{}
	for _, c := range vacant {
		if nodes.Has(c.owner) {
			successors[c] = c.elected
		}
	}
	return successors
}
