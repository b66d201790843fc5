package election

import (
	"math"
	"slices"
)

// Address is what decides about an address.
type Address struct {
	// Created orders the addresses that need a new owner: smaller is older and is served first.
	Created int64
	// Claims of all nodes, dead ones too.
	Claims []Claim
	// Taken is the node that has taken the address over from the maker of the best claim, as far as is known without a claim
	// of its own; "" for none. It counts where the address would be open, or where neither node is better than a last resort.
	Taken string
	// Eligible are the live nodes that may announce the address.
	Eligible Set
	// LastResort are nodes that own the address only if they are eligible and no other node is.
	LastResort Set
	// Weights prefer some of the eligible nodes to others.
	Weights Weights
	// Group names addresses that go to one node where they can: those of the same group. Nothing depends on the name but
	// who is together. "" for an address that belongs to no other.
	Group string
}

// Weights are the weights of nodes, by their index in Round.Nodes. Nodes beyond its end have weight 0, so nil prefers none.
// Weights may be shared between addresses, and are never changed after they were handed to a Round.
type Weights []int32

func (w Weights) of(i int) int32 {
	if i < len(w) {
		return w[i]
	}
	return 0
}

// plus adds the weights of each node.
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

// heaviest returns the nodes of a set that have the highest weight.
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

// Why is the reason for which an address has its owner.
type Why int

const (
	// Nobody : no live node is eligible.
	Nobody Why = iota
	// Incumbent : the owner has the best claim.
	Incumbent
	// Unclaimed : no node has a claim.
	Unclaimed
	// IncumbentDown : the node with the best claim is not alive.
	IncumbentDown
	// IncumbentIneligible : the node with the best claim is alive, but not eligible or only as a last resort.
	IncumbentIneligible
	// HandedOver : the node with the best claim hands the address to the owner.
	HandedOver
)

// Decision is who owns an address.
type Decision struct {
	// Owner is the node's name; "" if nobody can own the address.
	Owner string
	// Why it is the owner.
	Why Why
	// Incumbent is the node with the best claim, dead or alive; "" without any claim.
	Incumbent string
	// Tentative says that the holder has not announced the address yet.
	Tentative bool
}
