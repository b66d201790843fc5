package loadbalancer

import (
	"net/netip"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func younger(p *v1alpha1.IPAddressPool) *v1alpha1.IPAddressPool {
	p = p.DeepCopy()
	p.CreationTimestamp = metav1.NewTime(epoch.Add(time.Hour))
	return p
}

func TestConditionOfAPool(t *testing.T) {
	spec := func(change func(*v1alpha1.IPAddressPoolSpec)) *v1alpha1.IPAddressPool {
		return with(newPool("p", "10.0.0.0/24"), change)
	}
	cases := map[string]struct {
		pool    *v1alpha1.IPAddressPool
		reason  string
		message string
	}{
		"valid": {newPool("p", "10.0.0.0/24", "fd00::/64"), "Valid", "the pool is in use"},
		"bad syntax": {
			newPool("p", "10.0.0.0/24", "10.0.0.300"), "InvalidAddress",
			`spec.addresses: "10.0.0.300" is neither a CIDR, a range nor an IP address`,
		},
		"bad syntax in exclude": {
			spec(func(p *v1alpha1.IPAddressPoolSpec) { p.Exclude = []string{"10.0.0.9-10.0.0.1"} }), "InvalidAddress",
			`spec.exclude: "10.0.0.9-10.0.0.1": start of range is after its end`,
		},
		"entries that overlap": {
			newPool("p", "10.0.0.5", "10.0.0.0/24"), "Overlaps", `spec.addresses: "10.0.0.5" and "10.0.0.0/24" overlap`,
		},
		"a selector that cannot be read": {
			spec(only(v1alpha1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{{}, {MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "x", Operator: "Sometimes"}}}}})),
			"InvalidSelector", `spec.serviceAllocation.serviceSelectors[1]: "Sometimes" is not a valid label selector operator`,
		},
		"a selector of namespaces that cannot be read": {
			spec(only(v1alpha1.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "x", Operator: "Sometimes"}}}}})),
			"InvalidSelector", `spec.serviceAllocation.namespaceSelectors[0]: "Sometimes" is not a valid label selector operator`,
		},
		"an older pool that overlaps": {
			younger(newPool("p", "10.9.0.128/25")), "Overlaps",
			`10.9.0.128-10.9.0.255 overlaps 10.9.0.0-10.9.0.255 of pool "healthy", which is older`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			healthy := newPool("healthy", "10.9.0.0/24")
			s := newScript(t, c.pool, healthy)
			status := s.a.PoolStatuses(s.now)["p"]
			if status.Ready != (c.reason == "Valid") || status.Reason != c.reason || status.Message != c.message {
				t.Errorf("got %v %s %q, want %s %q", status.Ready, status.Reason, status.Message, c.reason, c.message)
			}
			if status.Ready == (status.IPv4 == nil) {
				t.Errorf("counts %+v", status.IPv4)
			}
			if other := s.a.PoolStatuses(s.now)["healthy"]; !other.Ready {
				t.Errorf("the healthy pool suffers: %+v", other)
			}
			s.expect("a Service of the healthy pool", s.ensure(s.service("a", asks("10.9.0.200"))), "10.9.0.200")
		})
	}
}

func TestOverlap(t *testing.T) {
	older, newer := newPool("z", "10.0.0.0/25"), younger(newPool("a", "10.0.0.0/24"))
	stories(t, map[string]func(*script){
		"the older pool works, whatever the order in which they come": func(s *script) {
			s.setPools(newer)
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			s.setPools(newer, older)
			if status := s.a.PoolStatuses(s.now); !status["z"].Ready || status["a"].Ready {
				s.t.Errorf("statuses %+v", status)
			}
			s.expect("a stays", s.ensure(s.service("a")), "10.0.0.0")
		},
		"the newer pool works when the older is gone": func(s *script) {
			s.setPools(older, newer)
			s.expect("a", s.ensure(s.service("a", asks("10.0.0.200"))), "AddressNotInPool")
			s.expect("a", s.sentence(s.service("a", asks("10.0.0.200"))),
				`10.0.0.200 is in pool "a", which cannot be used: 10.0.0.0-10.0.0.255 overlaps 10.0.0.0-10.0.0.127 of pool "z", which is older`)
			s.expect("poked", s.setPools(newer), "a")
			s.expect("a", s.ensure(s.service("a", asks("10.0.0.200"))), "10.0.0.200")
		},
		"of two of one second the one in use works": func(s *script) {
			inUse, latecomer := newPool("z", "10.0.0.0/25"), newPool("a", "10.0.0.0/24")
			s.setPools(inUse)
			s.setPools(inUse, latecomer)
			if status := s.a.PoolStatuses(s.now); !status["z"].Ready || status["a"].Ready {
				s.t.Errorf("statuses %+v", status)
			}
		},
		"of two of one second the one that was in use before a restart works": func(s *script) {
			inUse, latecomer := newPool("z", "10.0.0.0/25"), newPool("a", "10.0.0.0/24")
			inUse.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonValid}}
			s.setPools(inUse, latecomer)
			if status := s.a.PoolStatuses(s.now); !status["z"].Ready || status["a"].Ready {
				s.t.Errorf("statuses %+v", status)
			}
		},
		"what is excluded does not overlap": func(s *script) {
			s.setPools(older, with(newer, func(p *v1alpha1.IPAddressPoolSpec) { p.Exclude = []string{"10.0.0.0/25"} }))
			for name, status := range s.a.PoolStatuses(s.now) {
				if !status.Ready {
					s.t.Errorf("%s: %+v", name, status)
				}
			}
			s.expect("a", s.ensure(s.service("a")), "10.0.0.128")
		},
	})
}

func TestPoolsChangeUnderRunningServices(t *testing.T) {
	pool := newPool("public", "10.0.0.0/30")
	stories(t, map[string]func(*script){
		"a pool that did not change concerns nobody": func(s *script) {
			s.ensure(s.service("a"))
			before := s.a.pools["public"]
			s.expect("poked", s.setPools(pool.DeepCopy()), "")
			if s.a.pools["public"] != before {
				s.t.Error("the pool was read again")
			}
		},
		"a pool that grows leaves everybody where they are": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("poked", s.setPools(newPool("public", "10.0.1.0/24", "10.0.0.0/30")), "")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
		},
		"a pool that shrinks moves those whose address it lost": func(s *script) {
			s.ensure(s.service("a"))
			s.ensure(s.service("b"))
			s.expect("poked", s.setPools(newPool("public", "10.0.0.1-10.0.0.3")), "a")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.2")
			s.expect("b", s.ensure(s.service("b")), "10.0.0.1")
		},
		"an address that is excluded later moves its Service": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("poked", s.setPools(with(pool, func(p *v1alpha1.IPAddressPoolSpec) { p.Exclude = []string{"10.0.0.0"} })), "a")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.1")
		},
		"a pool that is deleted leaves its Services with a reason": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("poked", s.setPools(), "a")
			s.expect("a", s.ensure(s.service("a")), "NoMatchingPool")
			s.expect("poked", s.setPools(pool), "a")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
		},
		"a pool that is deleted and comes back before anybody asks changes nothing": func(s *script) {
			s.ensure(s.service("a"))
			s.setPools()
			s.setPools(pool)
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
		},
		"a pool that takes over the addresses of another takes over its Services": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("poked", s.setPools(newPool("renamed", "10.0.0.0/29")), "a")
			s.expect("a", s.sentence(s.service("a")), `10.0.0.0 from pool "renamed"`)
		},
		"a pool that is closed to a namespace loses its Services": func(s *script) {
			s.ensure(s.service("a"))
			s.ensure(s.service("other/b"))
			s.expect("poked", s.setPools(with(pool, only(v1alpha1.ServiceAllocation{Namespaces: []string{"other"}}))), "a")
			s.expect("a", s.ensure(s.service("a")), "NoMatchingPool")
			s.expect("a", s.sentence(s.service("a")), `no pool is for this Service: pool "public" is not for Services in namespace "default"`)
			s.expect("b", s.ensure(s.service("other/b")), "10.0.0.1")
		},
		"a pool that no longer assigns by itself keeps its Services": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("poked", s.setPools(with(pool, notAutomatic)), "")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
		},
		"a better pool that appears moves nobody": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("poked", s.setPools(pool, with(newPool("better", "10.1.0.0/24"), only(v1alpha1.ServiceAllocation{Priority: 1, Namespaces: []string{"default"}}))), "")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
		},
		"a namespace that is relabelled loses its addresses": func(s *script) {
			s.setPools(with(pool, only(v1alpha1.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{byLabel("name", "default")}})))
			s.ensure(s.service("a"))
			s.expect("the same labels", names(s.a.SetNamespace(s.now, "default", map[string]string{"name": "default", "x": "y"})), "")
			s.expect("poked", names(s.a.SetNamespace(s.now, "default", nil)), "a")
			s.expect("a", s.ensure(s.service("a")), "NoMatchingPool")
			s.expect("poked", names(s.a.SetNamespace(s.now, "default", map[string]string{"name": "default"})), "a")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			s.expect("deleted", names(s.a.DeleteNamespace(s.now, "default")), "a")
		},
		"a Service that is relabelled loses its address": func(s *script) {
			s.setPools(with(pool, only(v1alpha1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{byLabel("tier", "web")}})))
			s.expect("a", s.ensure(s.service("a", labelled("tier", "web"))), "10.0.0.0")
			s.expect("a", s.ensure(s.service("a", labelled("tier", "db"))), "NoMatchingPool")
			s.expect("a", s.sentence(s.service("a", labelled("tier", "db"))), `no pool is for this Service: pool "public" does not select the Service by its labels`)
		},
		"a pool that becomes unusable says so to who asks for it": func(s *script) {
			s.setPools(newPool("public", "nonsense"))
			s.expect("a", s.sentence(s.service("a", from("public"))),
				`pool "public" cannot be used: spec.addresses: "nonsense" is neither a CIDR, a range nor an IP address`)
			s.expect("b", s.sentence(s.service("b")),
				`no pool is for this Service: pool "public" cannot be used: spec.addresses: "nonsense" is neither a CIDR, a range nor an IP address`)
		},
	}, pool)
}

func reservedAddr(text, what string) ReservedRange {
	return ReservedRange{netip.MustParsePrefix(text), what}
}

func TestReserved(t *testing.T) {
	pool := newPool("public", "10.0.0.0/30")
	node := reservedAddr("10.0.0.0/32", `the address of node "n1"`)
	stories(t, map[string]func(*script){
		"a node's own address is not handed out": func(s *script) {
			s.a.SetReserved(s.now, []ReservedRange{node})
			s.expect("a", s.ensure(s.service("a")), "10.0.0.1")
			s.expect("b", s.ensure(s.service("b", asks("10.0.0.0"))), "AddressReserved")
			s.expect("b", s.sentence(s.service("b", asks("10.0.0.0"))), `10.0.0.0 is never handed out: it is the address of node "n1"`)
			status := s.a.PoolStatuses(s.now)["public"]
			s.expect("message", status.Message, `10.0.0.0 is the address of node "n1" and is not handed out`)
			if !status.Ready || status.IPv4.Total != 3 || status.IPv4.Assigned != 1 || status.IPv4.Available != 2 {
				s.t.Errorf("status %+v %+v", status, status.IPv4)
			}
			s.expect("poked", names(s.a.SetReserved(s.now, nil)), "b")
			s.expect("b", s.ensure(s.service("b", asks("10.0.0.0"))), "10.0.0.0")
		},
		"a Service that has it keeps it, also after a restart": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("poked", names(s.a.SetReserved(s.now, []ReservedRange{node})), "")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			if counts := s.a.PoolStatuses(s.now)["public"].IPv4; counts.Total != 4 || counts.Assigned != 1 || counts.Available != 3 {
				s.t.Errorf("counts %+v", counts)
			}
			restarted := newScript(s.t, pool)
			restarted.a.SetReserved(s.now, []ReservedRange{node})
			restarted.a.Restore(s.now, []Request{s.service("a", believes("10.0.0.0"))})
			s.expect("a after a restart", restarted.ensure(s.service("a", believes("10.0.0.0"))), "10.0.0.0")
			s.release(s.service("a"))
			s.expect("b", s.ensure(s.service("b")), "10.0.0.1")
		},
		"a Service that has it and breaks the sharing is told the same before and after it loses it": func(s *script) {
			s.ensure(s.service("a", shares("k", 80)))
			s.ensure(s.service("b", shares("k", 81), asks("10.0.0.0")))
			s.a.SetReserved(s.now, []ReservedRange{node})
			for range 2 {
				s.expect("b", s.sentence(s.service("b", shares("k", 80), asks("10.0.0.0"))), `10.0.0.0 is never handed out: it is the address of node "n1"`)
			}
		},
		"a wider range is reported and nothing else": func(s *script) {
			s.a.SetReserved(s.now, []ReservedRange{reservedAddr("10.0.0.0/16", "the cluster's Service CIDR"), reservedAddr("10.96.0.0/12", "nobody's concern")})
			s.expect("message", s.a.PoolStatuses(s.now)["public"].Message, "the pool overlaps the cluster's Service CIDR, 10.0.0.0/16")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
		},
		"the same ranges again concern nobody": func(s *script) {
			s.a.SetReserved(s.now, []ReservedRange{node})
			space := s.a.pools["public"].spaces[ipv4]
			s.a.SetReserved(s.now, []ReservedRange{node, reservedAddr("10.5.0.1/32", "the address of another node")})
			if s.a.pools["public"].spaces[ipv4] != space {
				s.t.Error("the pool was built again")
			}
		},
	}, pool)
}

func TestStrangers(t *testing.T) {
	pool := newPool("public", "10.0.0.0/30")
	const printer = "the host 52:54:00:12:34:56 on the network answers for it (heard by node-1)"
	contested := func(s *script, list ...string) string {
		var conflicts []ContestedAddress
		for _, addr := range parse(list) {
			conflicts = append(conflicts, ContestedAddress{addr, printer})
		}
		return names(s.a.SetConflicts(s.now, conflicts))
	}
	stories(t, map[string]func(*script){
		"an address for which a stranger answers is not handed out": func(s *script) {
			contested(s, "10.0.0.0")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.1")
			s.expect("b", s.ensure(s.service("b", asks("10.0.0.0"))), "AddressConflict")
			s.expect("b", s.sentence(s.service("b", asks("10.0.0.0"))), "10.0.0.0 is not handed out: "+printer)
			status := s.a.PoolStatuses(s.now)["public"]
			s.expect("message", status.Message, "10.0.0.0 is not handed out: "+printer)
			if !status.Ready || status.IPv4.Total != 3 || status.IPv4.Assigned != 1 || status.IPv4.Available != 2 {
				s.t.Errorf("status %+v %+v", status, status.IPv4)
			}
			s.expect("poked", contested(s), "b")
			s.expect("b", s.ensure(s.service("b", asks("10.0.0.0"))), "10.0.0.0")
		},
		"who has it gets another, and does not come back": func(s *script) {
			s.ensure(s.service("a"))
			s.ensure(s.service("b"))
			s.expect("poked", contested(s, "10.0.0.0"), "a")
			s.expect("a", s.ensure(s.service("a", believes("10.0.0.0"))), "10.0.0.2")
			s.expect("poked", contested(s), "")
			s.expect("a", s.ensure(s.service("a", believes("10.0.0.2"))), "10.0.0.2")
			s.expect("c", s.ensure(s.service("c")), "10.0.0.0")
		},
		"or waits, and has it back when the stranger is gone": func(s *script) {
			s.setPools(newPool("public", "10.0.0.0"))
			s.ensure(s.service("a"))
			contested(s, "10.0.0.0")
			s.expect("a", s.ensure(s.service("a")), "PoolExhausted")
			s.expect("poked", contested(s), "a")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
		},
		"who asks for it by name keeps it, for as long as it asks": func(s *script) {
			s.ensure(s.service("a", asks("10.0.0.0")))
			s.expect("poked", contested(s, "10.0.0.0"), "")
			s.expect("a", s.ensure(s.service("a", asks("10.0.0.0"))), "10.0.0.0")
			if counts := s.a.PoolStatuses(s.now)["public"].IPv4; counts.Total != 4 || counts.Assigned != 1 || counts.Available != 3 {
				s.t.Errorf("counts %+v", counts)
			}
			s.expect("another who asks", s.ensure(s.service("b", asks("10.0.0.0"))), "AddressConflict")
			s.expect("a without the wish", s.ensure(s.service("a")), "10.0.0.1")
			s.expect("a with it again", s.ensure(s.service("a", asks("10.0.0.0"))), "AddressConflict")
		},
		"of those who share it only who asks by name keeps it, and nobody joins": func(s *script) {
			s.ensure(s.service("a", shares("k", 80), asks("10.0.0.0")))
			s.ensure(s.service("b", shares("k", 81)))
			s.ensure(s.service("a", shares("k", 80), asks("10.0.0.0")))
			s.expect("poked", contested(s, "10.0.0.0"), "b")
			s.expect("b", s.ensure(s.service("b", shares("k", 81))), "10.0.0.1")
			s.expect("a", s.ensure(s.service("a", shares("k", 80), asks("10.0.0.0"))), "10.0.0.0")
			s.expect("c", s.ensure(s.service("c", shares("k", 82))), "10.0.0.1")
		},
		"the same holds for what Services had before a restart": func(s *script) {
			stubborn, easy := s.service("stubborn", believes("10.0.0.0"), asks("10.0.0.0")), s.service("easy", believes("10.0.0.1"))
			late := s.service("late", believes("10.0.0.2"))
			contested(s, "10.0.0.0", "10.0.0.1", "10.0.0.2")
			s.a.Restore(s.now, []Request{stubborn, easy})
			s.expect("stubborn", s.ensure(stubborn), "10.0.0.0")
			s.expect("easy", s.ensure(easy), "10.0.0.3")
			s.expect("seen for the first time", s.ensure(late), "PoolExhausted")
		},
		"and if the conflict is told after the restart": func(s *script) {
			easy := s.service("easy", believes("10.0.0.1"))
			s.a.Restore(s.now, []Request{easy})
			contested(s, "10.0.0.1")
			s.expect("easy", s.ensure(easy), "10.0.0.0")
		},
		"an invalid request keeps it until it can be understood": func(s *script) {
			r := s.service("a", believes("10.0.0.0"))
			r.Invalid = invalid("nonsense")
			contested(s, "10.0.0.0")
			s.a.Restore(s.now, []Request{r})
			s.expect("a", s.ensure(r), "InvalidRequest [10.0.0.0]")
			s.expect("a", s.ensure(s.service("a", believes("10.0.0.0"))), "10.0.0.1")
		},
		"neither a node nor a reservation comes before a stranger": func(s *script) {
			web := types.NamespacedName{Namespace: "default", Name: "web"}
			r, _ := ParseRange("10.0.0.0/31")
			s.ensure(s.service("a"))
			s.a.SetReserved(s.now, []ReservedRange{reservedAddr("10.0.0.0/32", `the address of node "n1"`)})
			s.a.SetReservations(s.now, []Reservation{{Name: "r", Addresses: []Range{r}, Service: &web}})
			s.expect("poked", contested(s, "10.0.0.0", "10.0.0.1"), "a")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.2")
			s.expect("web", s.ensure(s.service("web")), "10.0.0.3")
			s.expect("web by name", s.ensure(s.service("web", asks("10.0.0.1"))), "AddressConflict")
		},
		"who waits for it is told when somebody else answers": func(s *script) {
			contested(s, "10.0.0.0")
			s.ensure(s.service("a", asks("10.0.0.0")))
			s.expect("the same again", contested(s, "10.0.0.0"), "")
			s.expect("poked", names(s.a.SetConflicts(s.now, []ContestedAddress{{Address: parse([]string{"10.0.0.0"})[0], What: "a camera answers for it"}})), "a")
			s.expect("a", s.sentence(s.service("a", asks("10.0.0.0"))), "10.0.0.0 is not handed out: a camera answers for it")
		},
	}, pool)
}

func TestReservations(t *testing.T) {
	pool := newPool("public", "10.0.0.0/30")
	keep := func(name, service string, addresses ...string) Reservation {
		r := Reservation{Name: name}
		for _, text := range addresses {
			parsed, err := ParseRange(text)
			if err != nil {
				t.Fatal(err)
			}
			r.Addresses = append(r.Addresses, parsed)
		}
		if service != "" {
			r.Service = &types.NamespacedName{Namespace: "default", Name: service}
		}
		return r
	}
	set := func(s *script, list ...Reservation) string { return names(s.a.SetReservations(s.now, list)) }
	stories(t, map[string]func(*script){
		"an address is kept for a Service before it exists": func(s *script) {
			set(s, keep("r", "web", "10.0.0.0"))
			s.expect("a", s.ensure(s.service("a")), "10.0.0.1")
			s.expect("b", s.sentence(s.service("b", asks("10.0.0.0"))), `10.0.0.0 is kept for Service default/web by reservation "r"`)
			if counts := s.a.PoolStatuses(s.now)["public"].IPv4; counts.Total != 4 || counts.Assigned != 1 || counts.Available != 2 {
				s.t.Errorf("counts %+v", counts)
			}
			s.expect("web", s.ensure(s.service("web")), "10.0.0.0")
		},
		"and after it is deleted": func(s *script) {
			set(s, keep("r", "web", "10.0.0.2"))
			s.ensure(s.service("web"))
			s.release(s.service("web"))
			s.now = s.now.Add(time.Hour)
			for _, name := range []string{"a", "b", "c"} {
				s.ensure(s.service(name))
			}
			s.expect("d", s.ensure(s.service("d")), "PoolExhausted")
			s.expect("web", s.ensure(s.service("web", born("again"))), "10.0.0.2")
		},
		"a range is kept, and the Service gets the first": func(s *script) {
			set(s, keep("r", "web", "10.0.0.2-10.0.0.3"))
			s.ensure(s.service("a", asks("10.0.0.0")))
			s.expect("web", s.ensure(s.service("web")), "10.0.0.2")
		},
		"a wish comes before a reservation": func(s *script) {
			set(s, keep("r", "web", "10.0.0.2"))
			s.expect("web", s.ensure(s.service("web", asks("10.0.0.1"))), "10.0.0.1")
		},
		"a pool that does not assign by itself gives what is kept": func(s *script) {
			s.setPools(with(pool, notAutomatic))
			set(s, keep("r", "web", "10.0.0.2"))
			s.expect("web", s.ensure(s.service("web")), "10.0.0.2")
		},
		"a pool that is not for the Service does not": func(s *script) {
			s.setPools(with(pool, only(v1alpha1.ServiceAllocation{Namespaces: []string{"other"}})))
			set(s, keep("r", "web", "10.0.0.2"))
			s.expect("web", s.ensure(s.service("web")), "NoMatchingPool")
		},
		"an address is kept out of use": func(s *script) {
			set(s, keep("printer", "", "10.0.0.0"))
			s.expect("a", s.ensure(s.service("a")), "10.0.0.1")
			s.expect("b", s.sentence(s.service("b", asks("10.0.0.0"))), `10.0.0.0 is kept out of use by reservation "printer"`)
			if counts := s.a.PoolStatuses(s.now)["public"].IPv4; counts.Total != 3 {
				s.t.Errorf("counts %+v", counts)
			}
		},
		"who has the address stays, and then it is kept": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("poked", set(s, keep("r", "web", "10.0.0.0")), "")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			s.expect("web", s.ensure(s.service("web", asks("10.0.0.0"))), "AddressInUse")
			s.expect("poked", s.release(s.service("a")), "web")
			s.expect("b", s.ensure(s.service("b")), "10.0.0.1")
			s.expect("web", s.ensure(s.service("web", asks("10.0.0.0"))), "10.0.0.0")
		},
		"a Service that waits is told of its reservation": func(s *script) {
			s.setPools(newPool("public", "10.0.0.0/31"))
			set(s, keep("printer", "", "10.0.0.1"))
			s.ensure(s.service("a"))
			s.ensure(s.service("first"))
			s.ensure(s.service("web"))
			s.expect("poked", set(s, keep("printer", "web", "10.0.0.1")), "web")
			s.expect("web", s.ensure(s.service("web")), "10.0.0.1")
		},
		"a Service is told when the address kept for it is given back": func(s *script) {
			s.setPools(newPool("public", "10.0.0.0"))
			s.ensure(s.service("a"))
			s.expect("web", s.ensure(s.service("web")), "PoolExhausted")
			set(s, keep("r", "web", "10.0.0.0"))
			s.expect("poked", s.release(s.service("a")), "web")
			s.expect("web", s.ensure(s.service("web")), "10.0.0.0")
		},
		"or when another that shares it makes room": func(s *script) {
			s.setPools(newPool("public", "10.0.0.0"))
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("web", s.ensure(s.service("web", shares("k", 80))), "PoolExhausted")
			set(s, keep("r", "web", "10.0.0.0"))
			_, out := s.ask(s.service("a", shares("k", 81)))
			s.expect("poked", names(out.Poke), "web")
			s.expect("web", s.ensure(s.service("web", shares("k", 80))), "10.0.0.0")
		},
		"a reservation that goes frees its address for those who wait": func(s *script) {
			s.setPools(newPool("public", "10.0.0.0"))
			set(s, keep("r", "web", "10.0.0.0"))
			s.ensure(s.service("a"))
			s.ensure(s.service("b"))
			s.expect("poked", set(s), "a")
		},
		"of two reservations the first counts": func(s *script) {
			set(s, keep("one", "web", "10.0.0.0/31"), keep("two", "db", "10.0.0.1-10.0.0.2"))
			s.expect("db", s.ensure(s.service("db")), "10.0.0.2")
			s.expect("web", s.ensure(s.service("web")), "10.0.0.0")
		},
	}, pool)
}
