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

// world is a whole election as plain values, from which every node builds its own Round.
type world struct {
	alive     []string
	addresses map[netip.Addr]*situation
}

type situation struct {
	created  int64
	claims   []Claim
	eligible []string
}

func (w *world) round(order []netip.Addr) *Round {
	r := NewRound(w.alive)
	for _, ip := range order {
		s := w.addresses[ip]
		set := NewSet(len(w.alive))
		for _, n := range s.eligible {
			if i, alive := r.index[n]; alive {
				set.Add(i)
			}
		}
		r.Set(ip, Address{Created: s.created, Claims: s.claims, Eligible: set})
	}
	r.Decide()
	return r
}

func (w *world) sorted() []netip.Addr {
	return slices.SortedFunc(maps.Keys(w.addresses), netip.Addr.Compare)
}

func (w *world) owners() map[netip.Addr]string {
	return owners(w.round(w.sorted()))
}

func owners(r *Round) map[netip.Addr]string {
	out := map[netip.Addr]string{}
	for ip := range r.addresses {
		out[ip] = r.Decision(ip).Owner
	}
	return out
}

// record has the given nodes write down what they own, as they do after a decision.
func (w *world) record(nodes []string) {
	for ip, owner := range w.owners() {
		if owner == "" || !slices.Contains(nodes, owner) {
			continue
		}
		s := w.addresses[ip]
		epoch := int64(1)
		if best, claimed := Best(s.claims); claimed {
			if best.Node == owner {
				continue
			}
			epoch = best.Epoch + 1
		}
		s.claims = append(slices.DeleteFunc(slices.Clone(s.claims), func(c Claim) bool { return c.Node == owner }),
			Claim{Node: owner, Epoch: epoch})
	}
}

var cluster = []string{"n1", "n2", "n3", "n4", "n5", "n6"}

func subset(t *rapid.T, label string, of []string) []string {
	var out []string
	for _, n := range of {
		if rapid.Bool().Draw(t, label+" "+n) {
			out = append(out, n)
		}
	}
	return out
}

// worlds draws elections with any claims and any eligible nodes.
func worlds(t *rapid.T) *world {
	w := &world{alive: subset(t, "alive", cluster), addresses: map[netip.Addr]*situation{}}
	for i := range rapid.IntRange(0, 12).Draw(t, "addresses") {
		s := &situation{
			created:  rapid.Int64Range(0, 4).Draw(t, "created"),
			eligible: subset(t, "eligible", cluster),
		}
		for _, n := range subset(t, "claims", cluster) {
			s.claims = append(s.claims, Claim{Node: n, Epoch: rapid.Int64Range(1, 3).Draw(t, "epoch")})
		}
		w.addresses[address(i)] = s
	}
	return w
}

func shuffled(t *rapid.T, ips []netip.Addr) []netip.Addr {
	return rapid.Permutation(ips).Draw(t, "order")
}

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
			s := after.addresses[ip]
			r.Set(ip, Address{Created: s.created, Claims: s.claims, Eligible: target.addresses[ip].eligible})
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

func TestTheOwnerIsAliveAndEligibleAndThereIsOneWheneverThereCanBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		for ip, owner := range w.owners() {
			fit := slices.DeleteFunc(slices.Clone(w.addresses[ip].eligible), func(n string) bool { return !slices.Contains(w.alive, n) })
			if owner == "" && len(fit) > 0 || owner != "" && !slices.Contains(fit, owner) {
				t.Fatalf("%s is owned by %q, fit are %v", ip, owner, fit)
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

func TestAYoungerAddressChangesNothingForOlderOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		want := w.owners()
		young := address(1000)
		w.addresses[young] = &situation{created: 5, eligible: subset(t, "eligible", cluster)}
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
		w.alive = slices.DeleteFunc(slices.Clone(w.alive), func(n string) bool { return slices.Contains(leaves, n) })
		for ip, owner := range w.owners() {
			if before[ip] != owner && !slices.Contains(leaves, before[ip]) {
				t.Fatalf("%s moved from %s to %s although %v left", ip, before[ip], owner, leaves)
			}
		}
	})
}

func TestANodeThatComesBackTakesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
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

func TestNodesCarryTheSameNumberOfAddressesThroughAnyJoinsAndLeaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{alive: cluster[:3], addresses: map[netip.Addr]*situation{}}
		add := func(n int) {
			for range n {
				i := len(w.addresses)
				w.addresses[address(i)] = &situation{created: int64(i), eligible: cluster}
			}
		}
		add(rapid.IntRange(0, 30).Draw(t, "addresses"))
		w.record(cluster)
		for range rapid.IntRange(0, 6).Draw(t, "steps") {
			before := w.owners()
			var moved int
			if n := rapid.SampledFrom(cluster).Draw(t, "joins or leaves"); slices.Contains(w.alive, n) && len(w.alive) > 1 {
				w.alive = slices.DeleteFunc(slices.Clone(w.alive), func(m string) bool { return m == n })
			} else if !slices.Contains(w.alive, n) {
				w.alive = slices.Sorted(slices.Values(append(slices.Clone(w.alive), n)))
			}
			add(rapid.IntRange(0, 5).Draw(t, "new"))
			held := count(w, before, true)
			after := w.owners()
			for ip, owner := range after {
				if before[ip] != owner {
					moved++
				}
			}
			// Nobody was given an address while another live node carried two fewer.
			final := count(w, after, false)
			for _, n := range w.alive {
				for _, m := range w.alive {
					if final[n] > held[n] && final[n] > final[m]+1 {
						t.Fatalf("%s was given addresses up to %d while %s carries %d (%d moved)", n, final[n], m, final[m], moved)
					}
				}
			}
			w.record(cluster)
		}
	})
}

func count(w *world, owners map[netip.Addr]string, aliveOnly bool) map[string]int {
	out := map[string]int{}
	for _, n := range owners {
		if !aliveOnly || slices.Contains(w.alive, n) {
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
