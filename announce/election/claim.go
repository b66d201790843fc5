package election

import (
	"cmp"
	"math"
)

// Claim is a node's statement that it announces an address, or is about to.
type Claim struct {
	Node string
	// Epoch is one more than the epoch of the claim that was the best when this one was made.
	Epoch int64
	// Order is the place of the claim in the sequence of the API's changes, which is the same for
	// all nodes. It is 0 for a claim that was there from the start, and Unrecorded for one that the
	// API does not show yet.
	Order uint64
	// HandoverTo is the node that is to take the address over from the one that claims it; "" for
	// none.
	HandoverTo string
	// Tentative says that the node has not announced the address yet. The claim holds like any other.
	Tentative bool
}

// MaxEpoch is the highest epoch that counts: far more than an address can ever move, and far from what overflows. Claims beyond
// it are ignored, so that nobody can end the count by a single write.
const MaxEpoch = 1 << 40

// Counts says whether a claim has an epoch that a node can have come to.
func (c Claim) Counts() bool { return 0 < c.Epoch && c.Epoch <= MaxEpoch }

// NextEpoch is the epoch of a claim that follows one of the given epoch, which is at most MaxEpoch. It is at most MaxEpoch itself.
func NextEpoch(epoch int64) int64 { return min(epoch+1, MaxEpoch) }

// Unrecorded is the Order of a claim that the API does not show yet. Such a claim comes after all
// that the API shows.
const Unrecorded = math.MaxUint64

// Beats says whether c holds against d. The higher epoch wins. Of two equal epochs the lower Order
// wins, and of two equal Orders the node whose name sorts first.
func (c Claim) Beats(d Claim) bool {
	return cmp.Or(cmp.Compare(d.Epoch, c.Epoch), cmp.Compare(c.Order, d.Order), cmp.Compare(c.Node, d.Node)) < 0
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
