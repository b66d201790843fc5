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
		successors = r.decideWithout(c.owner)
		r.successors[c.owner] = successors
	}
	if successor := successors[c]; successor != nobody {
		return r.nodes[successor]
	}
	return ""
}

// decideWithout returns who would own the addresses of the node if it were dead. Addresses with
// another assignee stay there. So the cost depends on how many addresses the node has and how many
// are open.
func (r *Round) decideWithout(node int) map[*candidacy]int {
	var vacant []*candidacy
	for _, c := range r.addresses {
		if c.assignee == nobody || c.assignee == node {
			vacant = append(vacant, c)
		}
	}
	slices.SortFunc(vacant, older)

	b := r.newBallot(node)
	b.assessments = make(map[*candidacy]assessment, len(vacant))
	// Without the node, the claim of another may hold: of one that was to hand the address over to
	// it, or of a last resort.
	for _, c := range vacant {
		if assignee := b.assessment(c).assignee; assignee != nobody {
			b.elect(c, assignee)
		}
	}
	b.cast(vacant)
	successors := map[*candidacy]int{}
	for _, c := range vacant {
		if c.owner == node {
			successors[c] = c.elected
		}
	}
	return successors
}
