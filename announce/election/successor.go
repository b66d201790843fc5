package election

import (
	"net/netip"
	"slices"
)

// Successor returns who would own an address if its owner were not alive: what the same claims decide among the other nodes.
// It is "" if nobody would, or if the address has no owner. Decide must have been called since the last change. The first
// question about an address of a node answers for all of that node's.
func (r *Round) Successor(ip netip.Addr) string {
	c := r.addresses[ip]
	if c == nil || c.owner == nobody {
		return ""
	}
	heirs, known := r.successors[c.owner]
	if !known {
		heirs = r.decideWithout(c.owner)
		r.successors[c.owner] = heirs
	}
	if heir := heirs[c]; heir != nobody {
		return r.nodes[heir]
	}
	return ""
}

// decideWithout returns who owns the addresses of a node if it is not alive. Addresses with another keeper stay there, so the
// cost depends on how many the node has and how many are open.
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
	// A claim that was not the node's may hold now: one that it was to take over, or one of a last resort.
	for _, c := range vacant {
		if keeper := b.assessment(c).assignee; keeper != nobody {
			b.elect(c, keeper)
		}
	}
	b.cast(vacant)
	heirs := map[*candidacy]int{}
	for _, c := range vacant {
		if c.owner == node {
			heirs[c] = c.elected
		}
	}
	return heirs
}
