package election

import (
	"fmt"
	"net/netip"
	"testing"
)

func eligible(r *Round, nodes ...string) Set {
	s := NewSet(len(r.nodes))
	for _, n := range nodes {
		s.Add(r.index[n])
	}
	return s
}

func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
}

func TestTheOwnerFollowsFromClaimsAndEligibility(t *testing.T) {
	ip := netip.MustParseAddr("192.168.10.222")
	abc := []string{"a", "b", "c"}
	claim := func(node string, epoch int64) Claim { return Claim{Node: node, Epoch: epoch} }
	handing := func(node, to string) Claim { return Claim{Node: node, Epoch: 3, HandoverTo: to} }
	decision := func(owner string, why Why, incumbent string) Decision {
		return Decision{Owner: owner, Why: why, Incumbent: incumbent}
	}
	for _, tt := range []struct {
		name       string
		alive      []string
		eligible   []string
		lastResort []string
		claims     []Claim
		want       Decision
	}{
		{"the incumbent keeps the address", abc, abc, nil,
			[]Claim{claim("b", 1)}, decision("b", Incumbent, "b")},
		{"the higher epoch wins", abc, abc, nil,
			[]Claim{claim("a", 1), claim("b", 2)}, decision("b", Incumbent, "b")},
		{"of two equal epochs the one that was first wins", abc, abc, nil,
			[]Claim{{Node: "b", Epoch: 2, Order: 8}, {Node: "c", Epoch: 2, Order: 7}}, decision("c", Incumbent, "c")},
		{"one that is not recorded comes last", abc, abc, nil,
			[]Claim{{Node: "b", Epoch: 2, Order: Unrecorded}, {Node: "c", Epoch: 2, Order: 7}}, decision("c", Incumbent, "c")},
		{"of two equal epochs that were there from the start the lower name wins", abc, abc, nil,
			[]Claim{claim("c", 2), claim("b", 2)}, decision("b", Incumbent, "b")},
		{"the epoch comes before the order", abc, abc, nil,
			[]Claim{{Node: "b", Epoch: 2, Order: 8}, {Node: "c", Epoch: 1}}, decision("b", Incumbent, "b")},
		{"a dead incumbent is replaced", []string{"a"}, []string{"a"}, nil,
			[]Claim{claim("b", 7)}, decision("a", IncumbentDown, "b")},
		{"an incumbent that is not eligible is replaced", []string{"a", "b"}, []string{"a"}, nil,
			[]Claim{claim("b", 7)}, decision("a", IncumbentIneligible, "b")},
		{"an old claim gives no right when the best one fails", []string{"a", "b", "d"}, []string{"a", "d"}, nil,
			[]Claim{claim("a", 1), claim("c", 2), claim("d", 1)}, decision(firstOf(ip, "a", "d"), IncumbentDown, "c")},
		{"a new address goes to an eligible node", []string{"a", "b"}, []string{"b"}, nil,
			nil, decision("b", Unclaimed, "")},
		{"nobody is eligible", []string{"a", "b"}, nil, nil,
			[]Claim{claim("a", 1)}, decision("", Nobody, "a")},
		{"nobody is alive", nil, nil, nil, nil, decision("", Nobody, "")},
		{"a tentative claim holds like any other", abc, abc, nil,
			[]Claim{{Node: "b", Epoch: 1, Tentative: true}}, Decision{"b", Incumbent, "b", true}},

		{"a claim hands the address over", abc, abc, nil,
			[]Claim{handing("a", "c"), claim("b", 2)}, decision("c", HandedOver, "a")},
		{"only the best claim does", abc, abc, nil,
			[]Claim{handing("a", "c"), claim("b", 4)}, decision("b", Incumbent, "b")},
		{"the one that takes over follows", abc, abc, nil,
			[]Claim{handing("a", "c"), claim("c", 4)}, decision("c", Incumbent, "c")},
		{"nothing is handed to the dead", abc[:2], abc[:2], nil,
			[]Claim{handing("a", "c")}, decision("a", Incumbent, "a")},
		{"nothing is handed to one that is not eligible", abc, abc[:2], nil,
			[]Claim{handing("a", "c")}, decision("a", Incumbent, "a")},
		{"nothing is handed to a last resort", abc, abc, abc[2:],
			[]Claim{handing("a", "c")}, decision("a", Incumbent, "a")},
		{"who hands to himself holds", abc, abc, nil,
			[]Claim{handing("a", "a")}, decision("a", Incumbent, "a")},
		{"the dead hand over", abc[1:], abc[1:], nil,
			[]Claim{handing("a", "c")}, decision("c", HandedOver, "a")},
		{"who is not eligible any more hands over", abc, abc[1:], nil,
			[]Claim{handing("a", "c")}, decision("c", HandedOver, "a")},

		{"a last resort comes after all others", abc, abc, abc[:2], nil, decision("c", Unclaimed, "")},
		{"a last resort serves if nobody else can", abc, abc[1:2], abc[:2], nil, decision("b", Unclaimed, "")},
		{"a last resort gives way", abc, abc, abc[:2], []Claim{claim("a", 1)}, decision("c", IncumbentIneligible, "a")},
		{"a last resort holds if nobody else can", abc, abc[:2], abc[:2], []Claim{claim("b", 1)}, decision("b", Incumbent, "b")},
		{"a last resort that is not eligible is none", abc, nil, abc, nil, decision("", Nobody, "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRound(tt.alive)
			r.Set(ip, Address{
				Claims: tt.claims, Eligible: eligible(r, tt.eligible...), LastResort: eligible(r, tt.lastResort...),
			})
			r.Decide()
			if got := r.Decision(ip); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// firstOf is the node that the hash puts first.
func firstOf(ip netip.Addr, nodes ...string) string {
	first := nodes[0]
	for _, n := range nodes[1:] {
		if score(hashNode(n), hashAddress(ip)) > score(hashNode(first), hashAddress(ip)) {
			first = n
		}
	}
	return first
}

func TestAnUnknownAddressHasNoDecision(t *testing.T) {
	r := NewRound([]string{"a"})
	ip := address(1)
	r.Set(ip, Address{Eligible: eligible(r, "a")})
	r.Decide()
	r.Remove(ip)
	r.Remove(ip)
	if changed := r.Decide(); len(changed) != 1 || changed[0] != ip {
		t.Errorf("changed %v, want %v", changed, ip)
	}
	if got := r.Decision(ip); got != (Decision{}) {
		t.Errorf("got %+v", got)
	}
}

func TestAnAddressThatGoesAndComesBetweenTwoDecisionsHasChangedOnce(t *testing.T) {
	r := NewRound([]string{"a"})
	ip := address(1)
	set := func() { r.Set(ip, Address{Eligible: eligible(r, "a"), Claims: []Claim{{Node: "a", Epoch: 1}}}) }
	set()
	for _, steps := range [][]func(){
		{},
		{func() { r.Remove(ip) }, set},
		{set, func() { r.Remove(ip) }, set, func() { r.Remove(ip) }},
	} {
		for _, step := range steps {
			step()
		}
		if changed := r.Decide(); len(changed) != 1 || changed[0] != ip {
			t.Errorf("after %d steps: changed %v, want %v", len(steps), changed, ip)
		}
	}
}

func TestDecideReportsOnlyWhatChanged(t *testing.T) {
	r := NewRound([]string{"a", "b"})
	all := eligible(r, "a", "b")
	for i := range 10 {
		r.Set(address(i), Address{Created: int64(i), Eligible: all})
	}
	if got := len(r.Decide()); got != 10 {
		t.Fatalf("%d addresses changed, want all 10", got)
	}
	if got := r.Decide(); len(got) != 0 {
		t.Fatalf("%v changed without a reason", got)
	}
	for i := range 10 {
		if r.Decision(address(i)).Owner == "a" {
			r.Set(address(i), Address{Created: int64(i), Eligible: all, Claims: []Claim{{Node: "a", Epoch: 1}}})
		}
	}
	if got := r.Decide(); len(got) != 0 {
		t.Fatalf("%v changed because a node recorded what it had been given", got)
	}
}

// The score is part of the protocol between the nodes: versions that run side by side must agree on
// it.
func TestTheScoreNeverChanges(t *testing.T) {
	for _, tt := range []struct {
		node, ip string
		want     uint64
	}{
		{"n1", "192.168.10.222", 0x193ba2237d99b9f0},
		{"worker-2.example.org", "fd00:10::1", 0x1009ae17c948905},
	} {
		if got := score(hashNode(tt.node), hashAddress(netip.MustParseAddr(tt.ip))); got != tt.want {
			t.Errorf("score(%s, %s) = %#x, want %#x", tt.node, tt.ip, got, tt.want)
		}
	}
}

func BenchmarkRound(b *testing.B) {
	nodes := make([]string, 100)
	for i := range nodes {
		nodes[i] = fmt.Sprintf("node-%03d", i)
	}
	const addresses = 10_000
	fill := func(change func(i int, a Address) Address) *Round {
		r := NewRound(nodes)
		all := eligible(r, nodes...)
		for i := range addresses {
			r.Set(address(i), change(i, Address{Created: int64(i), Eligible: all}))
		}
		r.Decide()
		return r
	}
	unclaimed := func(_ int, a Address) Address { return a }
	claimed := func(i int, a Address) Address {
		a.Claims = []Claim{{Node: nodes[i%len(nodes)], Epoch: 1}}
		return a
	}
	weights, draining := Weights{10, 20, 30, 10}, NewSet(len(nodes))
	draining.Add(50)
	// Every Service has an address of each family, some nodes are preferred, and one is drained.
	everything := func(i int, a Address) Address {
		a.Group, a.LastResort = fmt.Sprint(i/2), draining
		if i%10 < 2 {
			a.Weights = weights
		}
		return a
	}
	b.Run("all new", func(b *testing.B) {
		for b.Loop() {
			fill(unclaimed)
		}
	})
	b.Run("all held", func(b *testing.B) {
		for b.Loop() {
			fill(claimed)
		}
	})
	b.Run("all new in groups with weights", func(b *testing.B) {
		for b.Loop() {
			fill(everything)
		}
	})
	b.Run("all held in groups with weights", func(b *testing.B) {
		for b.Loop() {
			fill(func(i int, a Address) Address { return everything(i, claimed(i/2, a)) })
		}
	})
	b.Run("one changes", func(b *testing.B) {
		r := fill(claimed)
		all := eligible(r, nodes...)
		for b.Loop() {
			r.Set(address(addresses), Address{Eligible: all})
			r.Decide()
			r.Remove(address(addresses))
			r.Decide()
		}
	})
	b.Run("successors of a node with 1000 addresses", func(b *testing.B) {
		r := fill(func(i int, a Address) Address { return claimed(max(0, i-1000), a) })
		for b.Loop() {
			clear(r.successors)
			for i := range 1000 {
				if r.Successor(address(i)) == "" {
					b.Fatalf("nobody succeeds in %s", address(i))
				}
			}
		}
	})
}
