package loadbalancer

import (
	"testing"
	"time"
)

func TestIdentity(t *testing.T) {
	stories(t, map[string]func(*script){
		"a Service of the same name is another one, and has the address back": func(s *script) {
			s.ensure(s.service("first"))
			s.ensure(s.service("a"))
			s.expect("a", s.ensure(s.service("a", born("again"))), "10.0.0.1")
			s.expect("the former is gone", s.release(s.service("a")), "")
			addresses, known := s.a.Lookup(s.service("a").Service)
			if !known || len(addresses) != 1 {
				s.t.Errorf("the release of the former took %v %v", addresses, known)
			}
		},
		"releasing twice is releasing once": func(s *script) {
			s.ensure(s.service("a"))
			s.release(s.service("a"))
			s.release(s.service("a"))
			if _, known := s.a.Lookup(s.service("a").Service); known {
				s.t.Error("still known")
			}
		},
		"an empty UID is any": func(s *script) {
			s.ensure(s.service("a"))
			s.a.Release(s.now, s.service("a").Service, "")
			if _, known := s.a.Lookup(s.service("a").Service); known {
				s.t.Error("still known")
			}
		},
		"who waits is known": func(s *script) {
			s.ensure(s.service("a", asks("10.9.9.9")))
			if addresses, known := s.a.Lookup(s.service("a").Service); !known || len(addresses) > 0 {
				s.t.Errorf("lookup %v %v", addresses, known)
			}
		},
	}, newPool("public", "10.0.0.0/24"))
}

func TestClaims(t *testing.T) {
	pool := newPool("public", "10.0.0.0/24")
	stories(t, map[string]func(*script){
		"after a restart everybody has what it had, and new Services come after them": func(s *script) {
			s.a.Restore(s.now, []Request{s.service("a", believes("10.0.0.1")), s.service("b"), s.service("c", believes("10.0.0.0"))})
			s.expect("b", s.ensure(s.service("b")), "10.0.0.2")
			s.expect("a", s.ensure(s.service("a", believes("10.0.0.1"))), "10.0.0.1")
			s.expect("c", s.ensure(s.service("c", believes("10.0.0.0"))), "10.0.0.0")
		},
		"of two that claim one address the older keeps it": func(s *script) {
			older := s.service("older", believes("10.0.0.1"))
			younger := s.service("younger", believes("10.0.0.1"))
			s.expect("double claims", doubleClaims(s.a.Restore(s.now, []Request{younger, older})), "10.0.0.1: older, not younger")
			answer, out := s.ask(younger)
			s.expect("younger", answer, "10.0.0.0")
			s.expect("told once", doubleClaims(out.DoubleClaims), "")
			s.expect("older", s.ensure(older), "10.0.0.1")
		},
		"two that share may both claim": func(s *script) {
			s.expect("double claims", doubleClaims(s.a.Restore(s.now, []Request{
				s.service("a", believes("10.0.0.1"), shares("k", 80)), s.service("b", believes("10.0.0.1"), shares("k", 81)),
			})), "")
			s.expect("b", s.ensure(s.service("b", believes("10.0.0.1"), shares("k", 81))), "10.0.0.1")
		},
		"an address that was asked for by name and is not any more is claimed all the same": func(s *script) {
			s.setPools(with(pool, notAutomatic))
			s.a.Restore(s.now, []Request{s.service("a", believes("10.0.0.1"))})
			s.expect("a", s.ensure(s.service("a", believes("10.0.0.1"))), "10.0.0.1")
		},
		"an address that the Service may not have is not claimed": func(s *script) {
			s.a.Restore(s.now, []Request{
				s.service("outside", believes("10.9.0.1")), s.service("wish", believes("10.0.0.1"), asks("10.0.0.2")),
				s.service("family", believes("fd00::1")), s.service("pool", believes("10.0.0.1"), from("nowhere")),
			})
			for _, name := range []string{"outside", "wish", "family", "pool"} {
				if addresses, _ := s.a.Lookup(s.service(name).Service); len(addresses) > 0 {
					s.t.Errorf("%s has %v", name, addresses)
				}
			}
		},
		"a Service that turns up with the status of a younger one takes its address": func(s *script) {
			older := s.service("older", believes("10.0.0.0"))
			younger := s.service("younger")
			s.ensure(younger)
			answer, out := s.ask(older)
			s.expect("older", answer, "10.0.0.0")
			s.expect("double claims", doubleClaims(out.DoubleClaims), "10.0.0.0: older, not younger")
			s.expect("requeued", names(out.Requeue), "younger")
			s.expect("younger", s.ensure(younger), "10.0.0.1")
		},
		"or that of one which is gone, whatever the age of its namesake": func(s *script) {
			older, younger := s.service("older", believes("10.0.0.0")), s.service("younger")
			s.ensure(younger)
			namesake := s.service("younger", born("again"))
			namesake.Created = epoch.Add(-time.Hour)
			s.expect("older", s.ensure(older), "10.0.0.0")
			s.expect("the namesake", s.ensure(namesake), "10.0.0.1")
			s.expect("the younger is gone", s.release(younger), "")
			s.expect("older", s.ensure(older), "10.0.0.0")
		},
		"unless it cannot use it": func(s *script) {
			older := s.service("older", believes("10.0.0.0"), stack(require, v4, v6))
			s.ensure(s.service("younger"))
			s.expect("older", s.ensure(older), "FamilyUnavailable")
			s.expect("younger", s.ensure(s.service("younger")), "10.0.0.0")
		},
		"a clone is told apart and both are named": func(s *script) {
			s.ensure(s.service("original"))
			answer, out := s.ask(s.service("clone", believes("10.0.0.0")))
			s.expect("clone", answer, "10.0.0.1")
			s.expect("double claims", doubleClaims(out.DoubleClaims), "10.0.0.0: original, not clone")
			_, out = s.ask(s.service("clone", believes("10.0.0.0")))
			s.expect("told once", doubleClaims(out.DoubleClaims), "")
		},
		"a late write over a status does not take from the one who has the address": func(s *script) {
			older, younger := s.service("older"), s.service("younger")
			s.ensure(younger)
			s.ensure(older)
			answer, out := s.ask(s.service("older", believes("10.0.0.0")))
			s.expect("older", answer, "10.0.0.1")
			s.expect("double claims", doubleClaims(out.DoubleClaims), "10.0.0.0: younger, not older")
		},
		"a status that is not repaired yet is no conflict": func(s *script) {
			a := s.service("a")
			s.ensure(a)
			s.ensure(s.service("a", believes("10.0.0.0"), asks("10.0.0.9")))
			s.ensure(s.service("b", asks("10.0.0.0")))
			_, out := s.ask(s.service("a", believes("10.0.0.0"), asks("10.0.0.9")))
			s.expect("double claims", doubleClaims(out.DoubleClaims), "")
		},
	}, pool)
}
