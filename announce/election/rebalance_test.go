package election

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// handOver has the owners of addresses claim them and hand them over.
func (w *world) handOver(owners, moves map[netip.Addr]string) {
	for ip, to := range moves {
		s := w.addresses[ip]
		best, _ := Best(s.claims)
		s.claims, s.taken = []Claim{{Node: owners[ip], Epoch: best.Epoch + 1, HandoverTo: to}}, ""
	}
}

func TestAfterRebalancingThereIsNothingToRebalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		w.record(cluster)
		r := w.round(shuffled(t, w.sorted()))
		before := owners(r)
		moves := r.Rebalance()
		if again := w.round(w.sorted()).Rebalance(); !maps.Equal(again, moves) {
			t.Fatalf("one node would move %v, another %v", moves, again)
		}
		for ip, to := range moves {
			if to == before[ip] || !slices.Contains(w.candidates(ip), to) {
				t.Fatalf("%s moves from %s to %s", ip, before[ip], to)
			}
		}
		want := maps.Clone(before)
		maps.Copy(want, moves)
		w.handOver(before, moves)
		r = w.round(w.sorted())
		if got := owners(r); !maps.Equal(got, want) {
			t.Fatalf("handed over, the owners are %v, want %v", got, want)
		}
		if moves := r.Rebalance(); len(moves) != 0 {
			t.Fatalf("rebalanced, still moves %v", moves)
		}
		w.record(cluster)
		if moves := w.round(w.sorted()).Rebalance(); len(moves) != 0 {
			t.Fatalf("rebalanced and recorded, still moves %v", moves)
		}
	})
}

// cost is what rebalancing is judged by.
type cost struct{ unevenness, moves int }

func (c cost) less(d cost) bool {
	return c.unevenness < d.unevenness || c.unevenness == d.unevenness && c.moves < d.moves
}

// The test tries all ways to put whole groups on nodes of the highest weight. Rebalance must find the
// most even one, and of those the one with the fewest moves.
func TestRebalancingMovesTheFewestAddresses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{alive: cluster[:rapid.IntRange(1, 4).Draw(t, "nodes")], addresses: map[netip.Addr]*addressState{}}
		var groups [][]netip.Addr
		var choices [][]string
		for i := range rapid.IntRange(0, 6).Draw(t, "groups") {
			s := addressState{group: fmt.Sprint(i), eligible: subset(t, "eligible", w.alive)}
			choice := s.eligible
			if rapid.IntRange(0, 3).Draw(t, "weighted") == 0 && len(choice) > 0 {
				preferred := rapid.SampledFrom(choice).Draw(t, "preferred")
				s.weights = map[string]int32{preferred: 1}
				choice = []string{preferred}
			}
			if len(choice) == 0 {
				choice = []string{""}
			}
			var members []netip.Addr
			for range rapid.IntRange(1, 3).Draw(t, "members") {
				m := s
				m.claims = []Claim{{Node: rapid.SampledFrom(w.alive).Draw(t, "incumbent"), Epoch: 1}}
				ip := address(len(w.addresses))
				members = append(members, ip)
				w.addresses[ip] = &m
			}
			groups, choices = append(groups, members), append(choices, choice)
		}
		r := w.round(w.sorted())
		before := owners(r)

		judge := func(places []string) cost {
			c, loads := cost{}, map[string]int{}
			for i, members := range groups {
				if places[i] == "" {
					continue
				}
				loads[places[i]]++
				for _, ip := range members {
					if before[ip] != places[i] {
						c.moves++
					}
				}
			}
			for _, l := range loads {
				c.unevenness += l * l
			}
			return c
		}
		best := cost{1 << 30, 0}
		places := make([]string, len(groups))
		var try func(int)
		try = func(i int) {
			if i == len(groups) {
				if c := judge(places); c.less(best) {
					best = c
				}
				return
			}
			for _, n := range choices[i] {
				places[i] = n
				try(i + 1)
			}
		}
		try(0)

		after := maps.Clone(before)
		moves := r.Rebalance()
		maps.Copy(after, moves)
		for i, members := range groups {
			places[i] = after[members[0]]
			for _, ip := range members {
				if after[ip] != places[i] || !slices.Contains(choices[i], after[ip]) {
					t.Fatalf("%s goes to %q, the first of its group to %q, out of %v", ip, after[ip], places[i], choices[i])
				}
			}
		}
		if got := judge(places); got != best {
			t.Fatalf("got %+v with %v, best is %+v", got, moves, best)
		}
	})
}

func TestWhatRebalancingMoves(t *testing.T) {
	held := func(by string, eligible ...string) *addressState {
		return &addressState{eligible: eligible, claims: []Claim{{Node: by, Epoch: 1}}}
	}
	in := func(group string, s *addressState) *addressState {
		s.group = group
		return s
	}
	preferring := func(node string, s *addressState) *addressState {
		s.weights = map[string]int32{node: 1}
		return s
	}
	for _, tt := range []struct {
		name      string
		addresses []*addressState
		// loads are the addresses that a, b, c and d have then.
		loads [4]int
		moves int
	}{
		{"nothing without addresses", nil, [4]int{}, 0},
		{"nothing if the loads differ by one", []*addressState{
			held("a", "a", "b", "c"), held("a", "a", "b", "c"), held("b", "a", "b", "c"), held("c", "a", "b", "c"),
		}, [4]int{2, 1, 1, 0}, 0},
		{"the surplus", []*addressState{
			held("a", "a", "b", "c"), held("a", "a", "b", "c"), held("a", "a", "b", "c"), held("a", "a", "b", "c"),
			held("b", "a", "b", "c"),
		}, [4]int{2, 2, 1, 0}, 2},
		{"not to where it may not be", []*addressState{
			held("a", "a", "b"), held("a", "a", "b"), held("a", "a", "b"), held("a", "a"),
		}, [4]int{2, 2, 0, 0}, 2},
		{"over a node in between", []*addressState{
			held("a", "a", "b"), held("a", "a", "b"), held("b", "b", "c"),
		}, [4]int{1, 1, 1, 0}, 2},
		{"to the preferred node, however many are there", []*addressState{
			held("c", "a", "b", "c"), preferring("c", held("a", "a", "b", "c")), preferring("c", held("c", "a", "b", "c")),
			preferring("c", held("b", "a", "b", "c")),
		}, [4]int{1, 0, 3, 0}, 3},
		{"what was separated", []*addressState{
			in("g", held("a", "a", "b", "c")), in("g", held("b", "a", "b", "c")), in("g", held("b", "a", "b", "c")),
			held("a", "a", "b", "c"), held("c", "a", "b", "c"),
		}, [4]int{1, 3, 1, 0}, 1},
		{"the smaller group", []*addressState{
			in("g", held("a", "a", "b")), in("g", held("a", "a", "b")), held("a", "a", "b"), held("c", "c"),
		}, [4]int{2, 1, 1, 0}, 1},
		{"not the larger group, although the first path that evens the loads out takes it", []*addressState{
			held("a", "a"), held("b", "b"), in("g", held("b", "a", "b")), in("g", held("b", "a", "b")), held("b", "b", "d"),
			held("a", "a", "c"), held("d", "d"),
		}, [4]int{1, 3, 1, 2}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{alive: []string{"a", "b", "c", "d"}, addresses: map[netip.Addr]*addressState{}}
			for i, s := range tt.addresses {
				s.created = int64(i)
				w.addresses[address(i)] = s
			}
			r := w.round(w.sorted())
			moves := r.Rebalance()
			after := owners(r)
			maps.Copy(after, moves)
			counts := map[string]int{}
			for _, owner := range after {
				counts[owner]++
			}
			if got := [4]int{counts["a"], counts["b"], counts["c"], counts["d"]}; got != tt.loads || len(moves) != tt.moves {
				t.Errorf("got %v with %d moves, want %v with %d: %v", got, len(moves), tt.loads, tt.moves, moves)
			}
		})
	}
}

func BenchmarkRebalance(b *testing.B) {
	const addresses = 10_000
	nodes := make([]string, 100)
	for i := range nodes {
		nodes[i] = fmt.Sprintf("node-%03d", i)
	}
	for _, bb := range []struct {
		name      string
		eligible  func(r *Round, i int) Set
		incumbent func(i int) string
	}{
		{"balanced", func(r *Round, i int) Set { return eligible(r, nodes...) }, func(i int) string { return nodes[i%100] }},
		{"a node is new", func(r *Round, i int) Set { return eligible(r, nodes...) }, func(i int) string { return nodes[i%99] }},
		{"half of the nodes are new", func(r *Round, i int) Set { return eligible(r, nodes...) }, func(i int) string { return nodes[i%50] }},
		{"all on one node", func(r *Round, i int) Set { return eligible(r, nodes...) }, func(i int) string { return nodes[0] }},
		{"three eligible nodes each, on the first", func(r *Round, i int) Set {
			return eligible(r, nodes[i%100], nodes[i*7%100], nodes[i*31%97])
		}, func(i int) string { return nodes[min(i%100, i*7%100, i*31%97)] }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := NewRound(nodes)
			for i := range addresses {
				r.Set(address(i), Address{
					Created: int64(i), Eligible: bb.eligible(r, i), Claims: []Claim{{Node: bb.incumbent(i), Epoch: 1}},
				})
			}
			r.Decide()
			var moves int
			for b.Loop() {
				moves = len(r.Rebalance())
			}
			b.ReportMetric(float64(moves), "moves")
		})
	}
}
