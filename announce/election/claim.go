package election

import "math"

// Claim is a node's statement that it announces an address, or is about to.
type Claim struct {
	Node string
	// Epoch is one more than that of the best claim when this one was made.
	Epoch int64
	// Order is when the claim was first seen in the order of the API's changes, which is the same for all nodes: 0 if it was
	// there from the start, Unrecorded if it has not been seen there yet.
	Order uint64
	// HandoverTo is the node that is to take the address over from the one that claims it; "" for none.
	HandoverTo string
	// Tentative says that the node has not announced the address yet. The claim holds like any other.
	Tentative bool
}

// Unrecorded is the Order of a claim that the API does not show yet: it comes after all that it does.
const Unrecorded = math.MaxUint64

// Beats says whether c holds against d: the higher epoch does, of two equal ones the one that was there first, and of two
// that were there from the start that of the node whose name sorts first.
func (c Claim) Beats(d Claim) bool {
	if c.Epoch != d.Epoch {
		return c.Epoch > d.Epoch
	}
	if c.Order != d.Order {
		return c.Order < d.Order
	}
	return c.Node < d.Node
}

// Best returns the claim that beats all others; false if there is none.
func Best(claims []Claim) (Claim, bool) {
	if len(claims) == 0 {
		return Claim{}, false
	}
	best := 0
	for i := range claims {
		if claims[i].Beats(claims[best]) {
			best = i
		}
	}
	return claims[best], true
}
