package election

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestAnAddressThatNeedsANodeGoesToOneOfTheHighestWeight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		r := w.round(w.sorted())
		assigned := w.assignees(r, w.sorted())
		for ip, owner := range owners(r) {
			s := w.addresses[ip]
			if assigned[ip] != "" || s.group != "" {
				continue
			}
			for _, n := range w.candidates(ip) {
				if s.weights[n] > s.weights[owner] {
					t.Fatalf("%s goes to %s although %s weighs more: %v", ip, owner, n, s.weights)
				}
			}
		}
	})
}

func TestOfSeveralPreferredNodesTheOneWithTheLeastLoadIsTaken(t *testing.T) {
	w := &world{alive: []string{"a", "b", "c"}, addresses: map[netip.Addr]*addressState{}}
	for i := range 10 {
		w.addresses[address(i)] = &addressState{
			created: int64(i), eligible: w.alive, weights: map[string]int32{"b": 10, "c": 10},
		}
	}
	counts := map[string]int{}
	for _, owner := range w.owners() {
		counts[owner]++
	}
	if counts["b"] != 5 || counts["c"] != 5 {
		t.Fatalf("got %v, want 5 on each of b and c", counts)
	}
}

func TestTheWeightsOfAGroupAddUp(t *testing.T) {
	w := &world{alive: []string{"a", "b", "c"}, addresses: map[netip.Addr]*addressState{
		address(0): {created: 0, group: "g", weights: map[string]int32{"a": 10, "b": 6}},
		address(1): {created: 1, group: "g", weights: map[string]int32{"c": 10, "b": 6}},
	}}
	for _, s := range w.addresses {
		s.eligible = w.alive
	}
	for ip, owner := range w.owners() {
		if owner != "b" {
			t.Errorf("%s is owned by %s, want b", ip, owner)
		}
	}
}

func TestNodesBeyondTheEndOfTheWeightsHaveNone(t *testing.T) {
	r := NewRound([]string{"a", "b", "c"})
	all := eligible(r, "a", "b", "c")
	for i := range 20 {
		r.Set(address(i), Address{Created: int64(i), Eligible: all, Weights: Weights{-1, 0}})
	}
	r.Decide()
	counts := map[string]int{}
	for _, owner := range owners(r) {
		counts[owner]++
	}
	if counts["a"] != 0 || counts["b"] != 10 || counts["c"] != 10 {
		t.Fatalf("got %v, want 10 on each of b and c", counts)
	}
}
