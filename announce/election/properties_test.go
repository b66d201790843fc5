package election

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestEveryNodeComputesTheSameInWhateverOrderItLearns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		want := w.owners()
		order := shuffled(t, w.sorted())
		for ip := range w.addresses {
			slices.Reverse(w.addresses[ip].claims)
		}
		if got := owners(w.round(order)); !maps.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestChangesOneByOneLeadToTheSameAsAFreshStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := worlds(t), worlds(t)
		after.alive = before.alive
		r := before.round(before.sorted())
		known := owners(r)
		report := func() {
			for _, ip := range r.Decide() {
				if owner := r.Decision(ip).Owner; owner == "" && r.addresses[ip] == nil {
					delete(known, ip)
				} else {
					known[ip] = owner
				}
			}
		}
		target := after.round(after.sorted())
		for _, ip := range shuffled(t, before.sorted()) {
			if after.addresses[ip] == nil {
				r.Remove(ip)
				report()
			}
		}
		for _, ip := range shuffled(t, after.sorted()) {
			r.Set(ip, after.address(r, ip))
			report()
		}
		want := owners(target)
		if got := owners(r); !maps.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		maps.DeleteFunc(known, func(_ netip.Addr, owner string) bool { return owner == "" })
		maps.DeleteFunc(want, func(_ netip.Addr, owner string) bool { return owner == "" })
		if !maps.Equal(known, want) {
			t.Fatalf("the changes reported add up to %v, want %v", known, want)
		}
	})
}

func TestTheOwnerIsACandidateAndThereIsOneWheneverThereCanBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		for ip, owner := range w.owners() {
			candidates := w.candidates(ip)
			if owner == "" && len(candidates) > 0 || owner != "" && !slices.Contains(candidates, owner) {
				t.Fatalf("%s is owned by %q, candidates are %v", ip, owner, candidates)
			}
		}
	})
}

func TestAClaimHoldsWhateverIsPreferred(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		for ip, owner := range w.owners() {
			best, claimed := Best(w.addresses[ip].claims)
			assignee := best.Node
			if best.HandoverTo != best.Node && slices.Contains(w.candidates(ip), best.HandoverTo) {
				assignee = best.HandoverTo
			} else if w.onlyLastResorts(ip) && slices.Contains(w.candidates(ip), w.addresses[ip].taken) {
				assignee = w.addresses[ip].taken
			}
			if claimed && slices.Contains(w.candidates(ip), assignee) && owner != assignee {
				t.Fatalf("%s is owned by %q although claims give it to %q", ip, owner, assignee)
			}
		}
	})
}

func TestWhatNodesRecordChangesNoDecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		want := w.owners()
		w.record(subset(t, "have recorded", cluster))
		if got := w.owners(); !maps.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		w.record(cluster)
		if got := w.owners(); !maps.Equal(got, want) {
			t.Fatalf("all recorded: got %v, want %v", got, want)
		}
	})
}

func TestWhatNodesHaveTakenOverStaysWithThemWhenOthersDieOrRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := steadyWorlds(t)
		before := w.owners()
		// Takeovers of addresses without a claim are not broadcast: no node announces them yet.
		maps.DeleteFunc(before, func(ip netip.Addr, _ string) bool { return len(w.addresses[ip].claims) == 0 })
		w.broadcastTakeovers()
		dead := subset(t, "dead", cluster)
		w.record(subset(t, "have recorded", cluster))
		for ip, owner := range w.without(dead...).owners() {
			if was := before[ip]; !slices.Contains(dead, was) && was != "" && owner != was {
				t.Fatalf("%s moved from %q to %q", ip, was, owner)
			}
		}
	})
}

func TestAYoungerAddressChangesNothingForOlderOnesOfOtherGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		want := w.owners()
		young := address(1000)
		w.addresses[young] = &addressState{created: 5, eligible: subset(t, "eligible", cluster)}
		got := w.owners()
		delete(got, young)
		if !maps.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestOnlyAddressesOfANodeThatLeavesMove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		w.record(cluster)
		before := w.owners()
		leaves := subset(t, "leaves", w.alive)
		for ip, owner := range w.without(leaves...).owners() {
			if before[ip] != owner && !slices.Contains(leaves, before[ip]) {
				t.Fatalf("%s moved from %s to %s although %v left", ip, before[ip], owner, leaves)
			}
		}
	})
}

func TestANodeThatComesBackTakesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := steadyWorlds(t)
		all := w.alive
		w.alive = subset(t, "stay", all)
		w.record(cluster)
		before := w.owners()
		w.alive = all
		for ip, owner := range w.owners() {
			if before[ip] != "" && before[ip] != owner {
				t.Fatalf("%s moved from %s to %s", ip, before[ip], owner)
			}
		}
	})
}

func TestNodesCarryTheSameNumberOfGroupsThroughAnyJoinsAndLeaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{alive: cluster[:3], addresses: map[netip.Addr]*addressState{}}
		add := func(n int) {
			for range n {
				group := fmt.Sprint(len(w.addresses))
				for range rapid.IntRange(1, 3).Draw(t, "members") {
					i := len(w.addresses)
					w.addresses[address(i)] = &addressState{created: int64(i), eligible: cluster, group: group}
				}
			}
		}
		add(rapid.IntRange(0, 20).Draw(t, "groups"))
		w.record(cluster)
		for range rapid.IntRange(0, 6).Draw(t, "steps") {
			before := w.owners()
			if n := rapid.SampledFrom(cluster).Draw(t, "joins or leaves"); !slices.Contains(w.alive, n) {
				w.alive = slices.Sorted(slices.Values(append(slices.Clone(w.alive), n)))
			} else if len(w.alive) > 1 {
				w.alive = w.without(n).alive
			}
			add(rapid.IntRange(0, 5).Draw(t, "new"))
			// Nobody was given a group while another live node carried two fewer.
			after := w.owners()
			had, has := countGroups(w, before), countGroups(w, after)
			for _, n := range w.alive {
				for _, m := range w.alive {
					if has[n] > had[n] && has[n] > has[m]+1 {
						t.Fatalf("%s was given groups up to %d while %s carries %d", n, has[n], m, has[m])
					}
				}
			}
			w.record(cluster)
		}
	})
}

// countGroups counts the groups of which a node owns an address.
func countGroups(w *world, owners map[netip.Addr]string) map[string]int {
	counted, out := map[string]bool{}, map[string]int{}
	for ip, n := range owners {
		if key := n + "/" + w.addresses[ip].group; !counted[key] {
			counted[key] = true
			out[n]++
		}
	}
	return out
}

func TestTheHashSpreadsFirstChoicesEvenly(t *testing.T) {
	const nodes, addresses = 10, 20_000
	first := map[string]int{}
	var names []string
	for i := range nodes {
		names = append(names, fmt.Sprintf("node-%d", i))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range addresses {
		first[firstOf(address(rng.IntN(1<<16)), names...)]++
	}
	for _, n := range names {
		if got := first[n]; got < addresses/nodes*9/10 || got > addresses/nodes*11/10 {
			t.Errorf("%s is first for %d of %d addresses", n, got, addresses)
		}
	}
}
