package election

import (
	"math"
	"slices"
)

// Address is all that an election has to know of one address.
type Address struct {
	// Created orders the addresses that need a new owner: smaller is older and is served first.
	Created int64
	// Claims of all nodes, dead ones too.
	Claims []Claim
	// Taken is the node that is known to have taken the address over from the incumbent, although
	// the API does not show its claim yet; "" for none. It counts only if the claims leave the
	// address open, or if all candidates are last resorts.
	Taken string
	// Eligible are the live nodes that may announce the address.
	Eligible Set
	// LastResort are nodes that own the address only if they are eligible and no other node is.
	LastResort Set
	// Weights prefer some of the eligible nodes to others. nil prefers none.
	Weights Weights
	// Group is the name of the group that the address belongs to: the addresses of a group go to
	// one node where they can. Only equality of names matters. "" is for an address without a
	// group.
	Group string
}

// Weights are the weights of nodes, by their index in Round.Nodes. Nodes beyond the end have weight
// 0, so nil prefers none. Several addresses may share the same Weights. They must not be changed
// after they were given to a Round.
type Weights []int32

func (w Weights) of(i int) int32 {
	if i < len(w) {
		return w[i]
	}
	return 0
}

// plus returns the sum of both weights for each node.
func (w Weights) plus(other Weights) Weights {
	if len(w) == 0 {
		return other
	}
	if len(other) == 0 {
		return w
	}
	sum := make(Weights, max(len(w), len(other)))
	for i := range sum {
		sum[i] = w.of(i) + other.of(i)
	}
	return sum
}

// heaviest returns the nodes of the set that have the highest weight.
func (w Weights) heaviest(of Set) Set {
	if len(w) == 0 {
		return of
	}
	most := int32(math.MinInt32)
	of.All(func(i int) { most = max(most, w.of(i)) })
	heaviest := slices.Clone(of)
	of.All(func(i int) {
		if w.of(i) < most {
			heaviest.Remove(i)
		}
	})
	return heaviest
}

// Why is the reason for which an address has its owner. The incumbent is the node with the best
// claim.
type Why int

const (
	// Nobody : no live node is eligible.
	Nobody Why = iota
	// Incumbent : the owner is the incumbent.
	Incumbent
	// Unclaimed : no node has a claim.
	Unclaimed
	// IncumbentDown : the incumbent is not alive.
	IncumbentDown
	// IncumbentIneligible : the incumbent is alive, but not eligible or only as a last resort.
	IncumbentIneligible
	// HandedOver : the incumbent hands the address over to the owner.
	HandedOver
)

// Decision is who owns an address.
type Decision struct {
	// Owner is the node's name; "" if no node can own the address.
	Owner string
	// Why it is the owner.
	Why Why
	// Incumbent is the node with the best claim, dead or alive; "" without any claim.
	Incumbent string
	// Tentative says that the incumbent has not announced the address yet.
	Tentative bool
}
