package election

import "math/bits"

// Set is a set of nodes, by their index in Round.Nodes. The zero value is empty; sets are values to their users: never
// changed after they were handed to a Round.
type Set []uint64

// NewSet returns an empty set that holds indices below n.
func NewSet(n int) Set { return make(Set, (n+63)/64) }

// Add puts node i into the set, which must have been made for it.
func (s Set) Add(i int) { s[i/64] |= 1 << (i % 64) }

// AddAll puts the nodes of another set into the set, which must have been made for them.
func (s Set) AddAll(other Set) {
	for w, word := range other {
		s[w] |= word
	}
}

// Remove takes node i out of the set.
func (s Set) Remove(i int) {
	if i/64 < len(s) {
		s[i/64] &^= 1 << (i % 64)
	}
}

// Has says whether node i is in the set.
func (s Set) Has(i int) bool { return i/64 < len(s) && s[i/64]&(1<<(i%64)) != 0 }

// All calls f with every node of the set, in ascending order.
func (s Set) All(f func(i int)) {
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			f(w*64 + bits.TrailingZeros64(word))
		}
	}
}
