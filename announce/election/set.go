package election

import (
	"math/bits"
	"slices"
)

// Set is a set of nodes, by their index in Round.Nodes. The zero value is empty. A Set must not be
// changed after it was given to a Round.
type Set []uint64

// NewSet returns an empty set with room for indices below n.
func NewSet(n int) Set { return make(Set, (n+63)/64) }

// Add puts node i into the set, which must have room for it.
func (s Set) Add(i int) { s[i/64] |= 1 << (i % 64) }

// AddAll puts the nodes of another set into the set, which must have room for them.
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

// Has says whether node i is in the set. A negative index never is.
func (s Set) Has(i int) bool { return i >= 0 && i/64 < len(s) && s[i/64]&(1<<(i%64)) != 0 }

// All calls f with every node of the set, in ascending order.
func (s Set) All(f func(i int)) {
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			f(w*64 + bits.TrailingZeros64(word))
		}
	}
}

func (s Set) empty() bool {
	for _, word := range s {
		if word != 0 {
			return false
		}
	}
	return true
}

func (s Set) intersects(other Set) bool {
	for w := range min(len(s), len(other)) {
		if s[w]&other[w] != 0 {
			return true
		}
	}
	return false
}

// and returns the nodes that are in both sets.
func (s Set) and(other Set) Set {
	out := make(Set, min(len(s), len(other)))
	for w := range out {
		out[w] = s[w] & other[w]
	}
	return out
}

// without returns the nodes that are not in the other set. It returns s itself if the sets have no
// node in common.
func (s Set) without(other Set) Set {
	if !s.intersects(other) {
		return s
	}
	out := slices.Clone(s)
	for w := range min(len(s), len(other)) {
		out[w] &^= other[w]
	}
	return out
}
