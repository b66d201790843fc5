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
	for _, tt := range []struct {
		name     string
		alive    []string
		eligible []string
		claims   []Claim
		want     Decision
	}{
		{"the incumbent keeps the address", []string{"a", "b", "c"}, []string{"a", "b", "c"},
			[]Claim{{"b", 1}}, Decision{"b", Holds, "b"}},
		{"the higher epoch wins", []string{"a", "b", "c"}, []string{"a", "b", "c"},
			[]Claim{{"a", 1}, {"b", 2}}, Decision{"b", Holds, "b"}},
		{"of two equal epochs the lower name wins", []string{"a", "b", "c"}, []string{"a", "b", "c"},
			[]Claim{{"c", 2}, {"b", 2}}, Decision{"b", Holds, "b"}},
		{"a dead incumbent is replaced", []string{"a"}, []string{"a"},
			[]Claim{{"b", 7}}, Decision{"a", HolderDown, "b"}},
		{"an incumbent that is not eligible is replaced", []string{"a", "b"}, []string{"a"},
			[]Claim{{"b", 7}}, Decision{"a", HolderUnfit, "b"}},
		{"an old claim gives no right when the best one fails", []string{"a", "b", "d"}, []string{"a", "d"},
			[]Claim{{"a", 1}, {"c", 2}, {"d", 1}}, Decision{firstOf(ip, "a", "d"), HolderDown, "c"}},
		{"a new address goes to an eligible node", []string{"a", "b"}, []string{"b"},
			nil, Decision{"b", Unclaimed, ""}},
		{"nobody is eligible", []string{"a", "b"}, nil,
			[]Claim{{"a", 1}}, Decision{"", Nobody, "a"}},
		{"nobody is alive", nil, nil, nil, Decision{"", Nobody, ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRound(tt.alive)
			r.Set(ip, Address{Claims: tt.claims, Eligible: eligible(r, tt.eligible...)})
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
			r.Set(address(i), Address{Created: int64(i), Eligible: all, Claims: []Claim{{"a", 1}}})
		}
	}
	if got := r.Decide(); len(got) != 0 {
		t.Fatalf("%v changed because a node recorded what it had been given", got)
	}
}

// The score is part of the protocol between the nodes: versions that run side by side must agree on it.
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
	fill := func(claimed bool) *Round {
		r := NewRound(nodes)
		all := eligible(r, nodes...)
		for i := range addresses {
			a := Address{Created: int64(i), Eligible: all}
			if claimed {
				a.Claims = []Claim{{nodes[i%len(nodes)], 1}}
			}
			r.Set(address(i), a)
		}
		r.Decide()
		return r
	}
	b.Run("all new", func(b *testing.B) {
		for b.Loop() {
			fill(false)
		}
	})
	b.Run("all held", func(b *testing.B) {
		for b.Loop() {
			fill(true)
		}
	})
	b.Run("one changes", func(b *testing.B) {
		r := fill(true)
		all := eligible(r, nodes...)
		for b.Loop() {
			r.Set(address(addresses), Address{Eligible: all})
			r.Decide()
			r.Remove(address(addresses))
			r.Decide()
		}
	})
}
