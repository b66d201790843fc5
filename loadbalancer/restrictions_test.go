package loadbalancer

import (
	"net/netip"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func reservedAddr(text, what string) ReservedRange {
	return ReservedRange{Prefix: netip.MustParsePrefix(text), What: what}
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
			s.expect("requeued", names(s.a.SetReserved(s.now, nil)), "b")
			s.expect("b", s.ensure(s.service("b", asks("10.0.0.0"))), "10.0.0.0")
		},
		"a Service that has it keeps it, also after a restart": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("requeued", names(s.a.SetReserved(s.now, []ReservedRange{node})), "a")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			s.expect("a is told", s.sentence(s.service("a")), `10.0.0.0 from pool "public"; 10.0.0.0 is kept although it is the address of node "n1"`)
			s.expect("requeued", names(s.a.SetReserved(s.now, nil)), "a")
			s.expect("a is told", s.sentence(s.service("a")), `10.0.0.0 from pool "public"`)
			s.a.SetReserved(s.now, []ReservedRange{node})
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
		"the address of a Service of others is for nobody else": func(s *script) {
			other := types.NamespacedName{Namespace: "default", Name: "other"}
			s.a.SetReserved(s.now, []ReservedRange{{netip.MustParsePrefix("10.0.0.0/32"), "an external IP of Service default/other", other}})
			s.expect("a", s.ensure(s.service("a")), "10.0.0.1")
			s.expect("b", s.ensure(s.service("b", asks("10.0.0.0"))), "AddressInUse")
			s.expect("b", s.sentence(s.service("b", asks("10.0.0.0"))), "10.0.0.0 is an external IP of Service default/other")
			s.expect("other", s.ensure(s.service("other", asks("10.0.0.0"))), "10.0.0.0")
			s.expect("other", s.sentence(s.service("other", asks("10.0.0.0"))), `10.0.0.0 from pool "public"`)
		},
		"of several that use an address the first is named, whatever their order is": func(s *script) {
			s.a.SetReserved(s.now, []ReservedRange{reservedAddr("10.0.0.1/32", "second"), reservedAddr("10.0.0.0/32", "first"), reservedAddr("10.0.0.0/32", "another")})
			s.expect("message", s.a.PoolStatuses(s.now)["public"].Message, "10.0.0.0 is first and is not handed out; 10.0.0.1 is second and is not handed out")
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
		"a CIDR with host bits says what it stands for, and the addresses of nodes in it are reported too": func(s *script) {
			s.setPools(newPool("public", "10.0.0.2/30"))
			s.a.SetReserved(s.now, []ReservedRange{node})
			s.expect("message", s.a.PoolStatuses(s.now)["public"].Message,
				`10.0.0.2/30 stands for 10.0.0.0-10.0.0.3; 10.0.0.0 is the address of node "n1" and is not handed out`)
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

func TestConflictingAddresses(t *testing.T) {
	pool := newPool("public", "10.0.0.0/30")
	const printer = "the host 52:54:00:12:34:56 on the network answers for it (heard by node-1)"
	conflict := func(s *script, list ...string) string {
		var conflicts []ConflictingAddress
		for _, addr := range parse(list) {
			conflicts = append(conflicts, ConflictingAddress{addr, printer})
		}
		return names(s.a.SetConflicts(s.now, conflicts))
	}
	stories(t, map[string]func(*script){
		"an address that another host answers for is not handed out": func(s *script) {
			conflict(s, "10.0.0.0")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.1")
			s.expect("b", s.ensure(s.service("b", asks("10.0.0.0"))), "AddressConflict")
			s.expect("b", s.sentence(s.service("b", asks("10.0.0.0"))), "10.0.0.0 is not handed out: "+printer)
			status := s.a.PoolStatuses(s.now)["public"]
			s.expect("message", status.Message, "10.0.0.0 is not handed out: "+printer)
			if !status.Ready || status.IPv4.Total != 3 || status.IPv4.Assigned != 1 || status.IPv4.Available != 2 {
				s.t.Errorf("status %+v %+v", status, status.IPv4)
			}
			s.expect("requeued", conflict(s), "b")
			s.expect("b", s.ensure(s.service("b", asks("10.0.0.0"))), "10.0.0.0")
		},
		"who has it gets another, and does not come back": func(s *script) {
			s.ensure(s.service("a"))
			s.ensure(s.service("b"))
			s.expect("requeued", conflict(s, "10.0.0.0"), "a")
			s.expect("a", s.ensure(s.service("a", believes("10.0.0.0"))), "10.0.0.2")
			s.expect("requeued", conflict(s), "")
			s.expect("a", s.ensure(s.service("a", believes("10.0.0.2"))), "10.0.0.2")
			s.expect("c", s.ensure(s.service("c")), "10.0.0.0")
		},
		"or waits, and has it back when the conflict is over": func(s *script) {
			s.setPools(newPool("public", "10.0.0.0"))
			s.ensure(s.service("a"))
			conflict(s, "10.0.0.0")
			s.expect("a", s.ensure(s.service("a")), "PoolExhausted")
			s.expect("requeued", conflict(s), "a")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
		},
		"who asks for it by name keeps it, for as long as it asks": func(s *script) {
			s.ensure(s.service("a", asks("10.0.0.0")))
			s.expect("requeued", conflict(s, "10.0.0.0"), "")
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
			s.expect("requeued", conflict(s, "10.0.0.0"), "b")
			s.expect("b", s.ensure(s.service("b", shares("k", 81))), "10.0.0.1")
			s.expect("a", s.ensure(s.service("a", shares("k", 80), asks("10.0.0.0"))), "10.0.0.0")
			s.expect("c", s.ensure(s.service("c", shares("k", 82))), "10.0.0.1")
		},
		"the same holds for what Services had before a restart": func(s *script) {
			stubborn, easy := s.service("stubborn", believes("10.0.0.0"), asks("10.0.0.0")), s.service("easy", believes("10.0.0.1"))
			late := s.service("late", believes("10.0.0.2"))
			conflict(s, "10.0.0.0", "10.0.0.1", "10.0.0.2")
			s.a.Restore(s.now, []Request{stubborn, easy})
			s.expect("stubborn", s.ensure(stubborn), "10.0.0.0")
			s.expect("easy", s.ensure(easy), "10.0.0.3")
			s.expect("seen for the first time", s.ensure(late), "PoolExhausted")
		},
		"and if the conflict is known only after the restart": func(s *script) {
			easy := s.service("easy", believes("10.0.0.1"))
			s.a.Restore(s.now, []Request{easy})
			conflict(s, "10.0.0.1")
			s.expect("easy", s.ensure(easy), "10.0.0.0")
		},
		"an invalid request keeps it until it can be understood": func(s *script) {
			r := s.service("a", believes("10.0.0.0"))
			r.Invalid = invalid("nonsense", "")
			conflict(s, "10.0.0.0")
			s.a.Restore(s.now, []Request{r})
			s.expect("a", s.ensure(r), "InvalidRequest [10.0.0.0]")
			s.expect("a", s.ensure(s.service("a", believes("10.0.0.0"))), "10.0.0.1")
		},
		"a conflict comes before a node and before a reservation": func(s *script) {
			web := types.NamespacedName{Namespace: "default", Name: "web"}
			r, _ := ParseRange("10.0.0.0/31")
			s.ensure(s.service("a"))
			s.a.SetReserved(s.now, []ReservedRange{reservedAddr("10.0.0.0/32", `the address of node "n1"`)})
			s.a.SetReservations(s.now, []Reservation{{Name: "r", Addresses: []Range{r}, Service: &web}})
			s.expect("requeued", conflict(s, "10.0.0.0", "10.0.0.1"), "a")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.2")
			s.expect("web", s.ensure(s.service("web")), "10.0.0.3")
			s.expect("web by name", s.ensure(s.service("web", asks("10.0.0.1"))), "AddressConflict")
		},
		"who waits for it is requeued when another host answers": func(s *script) {
			conflict(s, "10.0.0.0")
			s.ensure(s.service("a", asks("10.0.0.0")))
			s.expect("the same again", conflict(s, "10.0.0.0"), "")
			s.expect("requeued", names(s.a.SetConflicts(s.now, []ConflictingAddress{{Address: parse([]string{"10.0.0.0"})[0], What: "a camera answers for it"}})), "a")
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
			s.expect("requeued", set(s, keep("r", "web", "10.0.0.0")), "")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			s.expect("web", s.ensure(s.service("web", asks("10.0.0.0"))), "AddressInUse")
			s.expect("requeued", s.release(s.service("a")), "web")
			s.expect("b", s.ensure(s.service("b")), "10.0.0.1")
			s.expect("web", s.ensure(s.service("web", asks("10.0.0.0"))), "10.0.0.0")
		},
		"a Service that waits is requeued when an address is reserved for it": func(s *script) {
			s.setPools(newPool("public", "10.0.0.0/31"))
			set(s, keep("printer", "", "10.0.0.1"))
			s.ensure(s.service("a"))
			s.ensure(s.service("first"))
			s.ensure(s.service("web"))
			s.expect("requeued", set(s, keep("printer", "web", "10.0.0.1")), "web")
			s.expect("web", s.ensure(s.service("web")), "10.0.0.1")
		},
		"a Service is requeued when the address kept for it is given back": func(s *script) {
			s.setPools(newPool("public", "10.0.0.0"))
			s.ensure(s.service("a"))
			s.expect("web", s.ensure(s.service("web")), "PoolExhausted")
			set(s, keep("r", "web", "10.0.0.0"))
			s.expect("requeued", s.release(s.service("a")), "web")
			s.expect("web", s.ensure(s.service("web")), "10.0.0.0")
		},
		"or when another that shares it frees a port": func(s *script) {
			s.setPools(newPool("public", "10.0.0.0"))
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("web", s.ensure(s.service("web", shares("k", 80))), "PoolExhausted")
			set(s, keep("r", "web", "10.0.0.0"))
			_, out := s.ask(s.service("a", shares("k", 81)))
			s.expect("requeued", names(out.Requeue), "web")
			s.expect("web", s.ensure(s.service("web", shares("k", 80))), "10.0.0.0")
		},
		"a reservation that goes frees its address for those who wait": func(s *script) {
			s.setPools(newPool("public", "10.0.0.0"))
			set(s, keep("r", "web", "10.0.0.0"))
			s.ensure(s.service("a"))
			s.ensure(s.service("b"))
			s.expect("requeued", set(s), "a")
		},
		"of two reservations the first counts": func(s *script) {
			set(s, keep("one", "web", "10.0.0.0/31"), keep("two", "db", "10.0.0.1-10.0.0.2"))
			s.expect("db", s.ensure(s.service("db")), "10.0.0.2")
			s.expect("web", s.ensure(s.service("web")), "10.0.0.0")
		},
	}, pool)
}
