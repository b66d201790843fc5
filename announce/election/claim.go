package election

// Claim is a node's statement that it announces an address.
type Claim struct {
	Node string
	// Epoch is one more than that of the best claim when this one was made.
	Epoch int64
}

// Beats says whether c holds against d: the higher epoch does, and of two equal ones that of the node whose name sorts first.
func (c Claim) Beats(d Claim) bool {
	if c.Epoch != d.Epoch {
		return c.Epoch > d.Epoch
	}
	return c.Node < d.Node
}

// Best returns the claim that beats all others; false if there is none.
func Best(claims []Claim) (Claim, bool) {
	if len(claims) == 0 {
		return Claim{}, false
	}
	best := claims[0]
	for _, c := range claims[1:] {
		if c.Beats(best) {
			best = c
		}
	}
	return best, true
}
