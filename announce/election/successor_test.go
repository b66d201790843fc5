package election

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestTheSuccessorIsWhoOwnsTheAddressWithoutItsOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		r := w.round(w.sorted())
		before := owners(r)
		for _, n := range w.alive {
			after := w.without(n).owners()
			for ip, owner := range before {
				if owner != n {
					continue
				}
				if got := r.Successor(ip); got != after[ip] {
					t.Fatalf("the successor of %s for %s is %q, want %q", n, ip, got, after[ip])
				}
			}
		}
		if r.Decide(); len(r.changed) != 0 {
			t.Fatal("asking for successors changed decisions")
		}
		for ip, owner := range owners(r) {
			if owner != before[ip] {
				t.Fatalf("asking for successors moved %s from %s to %s", ip, before[ip], owner)
			}
		}
	})
}

func TestWhoSucceeds(t *testing.T) {
	ip := address(0)
	abc := []string{"a", "b", "c"}
	for _, tt := range []struct {
		name  string
		alive []string
		addressState
		want string
	}{
		{"nobody if the owner is the only one", []string{"a"}, addressState{eligible: abc}, ""},
		{"nobody if nobody owns it", abc, addressState{}, ""},
		{"a last resort", abc, addressState{eligible: []string{"a", "b"}, lastResort: []string{"b"}}, "b"},
		{"the maker of the claim, if the one that takes over fails", abc,
			addressState{eligible: abc, claims: []Claim{{Node: "a", Epoch: 1, HandoverTo: "b"}}}, "a"},
		{"the preferred one", abc,
			addressState{eligible: abc, claims: []Claim{{Node: "a", Epoch: 1}}, weights: map[string]int32{"c": 1}}, "c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{alive: tt.alive, addresses: map[netip.Addr]*addressState{ip: &tt.addressState}}
			if got := w.round(w.sorted()).Successor(ip); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if got := NewRound(abc).Successor(ip); got != "" {
		t.Errorf("an unknown address has the successor %q", got)
	}
	if got := NewRound(abc).Heirs("unknown", 3); len(got) > 0 {
		t.Errorf("an unknown node has the heirs %q", got)
	}
}

func TestTheSuccessorFollowsChanges(t *testing.T) {
	w := &world{alive: []string{"a", "b", "c"}, addresses: map[netip.Addr]*addressState{
		address(0): {eligible: []string{"a", "b"}, claims: []Claim{{Node: "a", Epoch: 1}}},
	}}
	r := w.round(w.sorted())
	if got := r.Successor(address(0)); got != "b" {
		t.Fatalf("got %q, want b", got)
	}
	w.addresses[address(0)].eligible = []string{"a", "c"}
	r.Set(address(0), w.address(r, address(0)))
	r.Decide()
	if got := r.Successor(address(0)); got != "c" {
		t.Fatalf("got %q, want c", got)
	}
}

func TestHeirsAreWhoOwnsTheAddressesAsOneAfterTheOtherDies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		r := w.round(w.sorted())
		before := owners(r)
		for _, n := range w.alive {
			heirs := map[string]bool{}
			dead := []string{n}
			for range 3 {
				for ip, owner := range w.without(dead...).owners() {
					if before[ip] == n && owner != "" {
						heirs[owner] = true
					}
				}
				dead = []string{n}
				for heir := range heirs {
					dead = append(dead, heir)
				}
			}
			for _, other := range w.alive {
				if got := r.Heir(other, n, 3); got != heirs[other] {
					t.Fatalf("%s is an heir of %s: %t", other, n, got)
				}
			}
		}
		if r.Decide(); len(r.changed) != 0 {
			t.Fatal("asking for heirs changed decisions")
		}
	})
}
