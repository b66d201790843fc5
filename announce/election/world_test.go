package election

import (
	"maps"
	"net/netip"
	"slices"

	"pgregory.net/rapid"
)

// world is a whole election as plain values. Every node builds its own Round from it.
type world struct {
	alive     []string
	addresses map[netip.Addr]*addressState
}

type addressState struct {
	created              int64
	claims               []Claim
	eligible, lastResort []string
	weights              map[string]int32
	group                string
	taken                string
}

func (w *world) round(order []netip.Addr) *Round {
	r := NewRound(w.alive)
	for _, ip := range order {
		r.Set(ip, w.address(r, ip))
	}
	r.Decide()
	return r
}

func (w *world) address(r *Round, ip netip.Addr) Address {
	s := w.addresses[ip]
	a := Address{
		Created: s.created, Claims: s.claims, Taken: s.taken, Group: s.group, Eligible: w.set(s.eligible), LastResort: w.set(s.lastResort),
	}
	if s.weights != nil {
		for _, n := range w.alive {
			a.Weights = append(a.Weights, s.weights[n])
		}
	}
	return a
}

// set is the set of those nodes that are alive.
func (w *world) set(nodes []string) Set {
	set := NewSet(len(w.alive))
	for i, n := range w.alive {
		if slices.Contains(nodes, n) {
			set.Add(i)
		}
	}
	return set
}

// candidates are the live nodes that may own an address: last resorts only if there is no other.
func (w *world) candidates(ip netip.Addr) []string {
	s := w.addresses[ip]
	var first, last []string
	for _, n := range w.alive {
		switch {
		case !slices.Contains(s.eligible, n):
		case slices.Contains(s.lastResort, n):
			last = append(last, n)
		default:
			first = append(first, n)
		}
	}
	if len(first) > 0 {
		return first
	}
	return last
}

// onlyLastResorts says whether all nodes that may own an address are last resorts.
func (w *world) onlyLastResorts(ip netip.Addr) bool {
	s := w.addresses[ip]
	return !slices.ContainsFunc(w.candidates(ip), func(n string) bool { return !slices.Contains(s.lastResort, n) })
}

// members are the addresses of a group, sorted.
func (w *world) members(group string) []netip.Addr {
	return slices.DeleteFunc(w.sorted(), func(ip netip.Addr) bool { return w.addresses[ip].group != group })
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

// record has the given nodes claim what they own, as they do after a decision.
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
		s.taken = "" // the claim that was made then has come, or a later one
	}
}

// broadcastTakeovers has all nodes tell the others what they own, as they do before they record it.
func (w *world) broadcastTakeovers() {
	for ip, owner := range w.owners() {
		if owner != "" {
			w.addresses[ip].taken = owner
		}
	}
}

// without is the world without some of its live nodes.
func (w *world) without(nodes ...string) *world {
	return &world{
		alive:     slices.DeleteFunc(slices.Clone(w.alive), func(n string) bool { return slices.Contains(nodes, n) }),
		addresses: w.addresses,
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

// worlds draws elections with any claims, nodes, weights and groups.
func worlds(t *rapid.T) *world {
	w := steadyWorlds(t)
	for _, ip := range w.sorted() {
		s := w.addresses[ip]
		if rapid.Bool().Draw(t, "last resorts") {
			s.lastResort = subset(t, "last resort", cluster)
		}
		for i := range s.claims {
			if rapid.IntRange(0, 3).Draw(t, "hands over") == 0 {
				s.claims[i].HandoverTo = rapid.SampledFrom(cluster).Draw(t, "hand to")
			}
		}
	}
	return w
}

// steadyWorlds draws elections in which nothing is about to move: without a node that is a last
// resort or hands over.
func steadyWorlds(t *rapid.T) *world {
	w := &world{alive: subset(t, "alive", cluster), addresses: map[netip.Addr]*addressState{}}
	for i := range rapid.IntRange(0, 12).Draw(t, "addresses") {
		s := &addressState{
			created:  rapid.Int64Range(0, 4).Draw(t, "created"),
			eligible: subset(t, "eligible", cluster),
			group:    rapid.SampledFrom([]string{"", "", "g", "h"}).Draw(t, "group"),
		}
		if rapid.IntRange(0, 3).Draw(t, "weighted") == 0 {
			s.weights = map[string]int32{}
			for _, n := range cluster {
				s.weights[n] = rapid.Int32Range(0, 2).Draw(t, "weight")
			}
		}
		for _, n := range subset(t, "claims", cluster) {
			s.claims = append(s.claims, Claim{
				Node: n, Epoch: rapid.Int64Range(1, 3).Draw(t, "epoch"), Order: rapid.Uint64Range(0, 2).Draw(t, "order"),
			})
		}
		if rapid.IntRange(0, 3).Draw(t, "taken over") == 0 {
			s.taken = rapid.SampledFrom(cluster).Draw(t, "taken by")
		}
		w.addresses[address(i)] = s
	}
	return w
}

func shuffled(t *rapid.T, ips []netip.Addr) []netip.Addr {
	return rapid.Permutation(ips).Draw(t, "order")
}
