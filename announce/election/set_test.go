package election

import (
	"slices"
	"testing"
)

func TestASetHasRoomForItsNodesAndNoMore(t *testing.T) {
	for nodes, words := range map[int]int{0: 0, 1: 1, 63: 1, 64: 1, 65: 2, 128: 2} {
		if got := len(NewSet(nodes)); got != words {
			t.Errorf("the set of %d nodes has %d words, want %d", nodes, got, words)
		}
	}
}

func TestNodesThatASetHasNoRoomForAreNotInIt(t *testing.T) {
	s := NewSet(192)
	for _, inside := range []int{0, 63, 64, 130, 191} {
		s.Add(inside)
	}
	for _, outside := range []int{-1, 1, 192, 200} {
		if s.Has(outside) {
			t.Errorf("node %d is in the set", outside)
		}
	}
	for _, gone := range []int{0, 64, 192, 200} {
		s.Remove(gone)
	}
	var left []int
	s.All(func(i int) { left = append(left, i) })
	if !slices.Equal(left, []int{63, 130, 191}) {
		t.Errorf("nodes %v are left", left)
	}
}
