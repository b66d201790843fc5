package loadbalancer

import (
	"testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func limited(n int32) func(*v1alpha1.IPAddressPoolSpec) {
	return only(v1alpha1.ServiceAllocation{MaxAddressesPerNamespace: n})
}

func TestANamespaceIsGivenNoMoreAddressesOfAPoolThanItsLimit(t *testing.T) {
	pool := with(newPool("public", "10.0.0.0/29", "fd00::/120"), limited(2), together, reusedAtOnce)
	const refusal = `namespace "default" has 2 IPv4 addresses of pool "public", which gives a namespace 2 at most (maxAddressesPerNamespace)`
	full := func(s *script) {
		s.ensure(s.service("a"))
		s.ensure(s.service("b"))
	}
	limits := func(s *script, n int32) string { return s.setPools(with(s.pools[0], limited(n))) }
	stories(t, map[string]func(*script){
		"who comes too late is told limit and use, and served when one goes, the oldest first": func(s *script) {
			full(s)
			s.service("older")
			s.expect("younger", s.ensure(s.service("younger")), "NamespaceLimitReached")
			s.expect("older", s.sentence(s.service("older")), refusal)
			s.expect("another namespace", s.ensure(s.service("other/c")), "10.0.0.2")
			s.expect("requeued", s.release(s.service("other/c")), "")
			s.expect("requeued", s.release(s.service("a")), "older")
			_, out := s.ask(s.service("older"))
			s.expect("requeued", names(out.Requeue), "")
			s.expect("younger", s.sentence(s.service("younger")), refusal)
		},
		"by name, by pool and by its former address too": func(s *script) {
			s.setPools(with(newPool("public", "10.0.0.0/29"), limited(2)))
			s.ensure(s.service("c"))
			s.ensure(s.service("b"))
			s.release(s.service("c"))
			s.ensure(s.service("a", asks("10.0.0.5")))
			s.expect("by name", s.sentence(s.service("by-name", asks("10.0.0.6"))), refusal)
			s.expect("by pool", s.sentence(s.service("by-pool", from("public"))), refusal)
			s.expect("c", s.sentence(s.service("c")), refusal)
			s.expect("requeued", s.release(s.service("a")), "c")
			s.expect("c", s.ensure(s.service("c")), "10.0.0.0")
			s.expect("requeued", s.release(s.service("b")), "by-name")
			s.expect("by name", s.ensure(s.service("by-name", asks("10.0.0.6"))), "10.0.0.6")
		},
		"that somebody else has an address is said first": func(s *script) {
			full(s)
			s.ensure(s.service("other/c", asks("10.0.0.7")))
			s.expect("d", s.ensure(s.service("d", asks("10.0.0.7"))), "AddressInUse")
			s.expect("requeued", s.release(s.service("other/c")), "d")
			s.expect("d", s.sentence(s.service("d", asks("10.0.0.7"))), refusal)
		},
		"a Service may change its address": func(s *script) {
			full(s)
			s.expect("a", s.ensure(s.service("a", asks("10.0.0.6"))), "10.0.0.6")
		},
		"families are counted apart": func(s *script) {
			full(s)
			s.expect("c", s.ensure(s.service("c", stack(single, v6))), "fd00::")
			s.expect("d", s.sentence(s.service("d", stack(prefer, v4, v6))), `fd00::1 from pool "public"; no IPv4 address: `+refusal)
			s.expect("e", s.ensure(s.service("e", stack(require, v4, v6))), "NamespaceLimitReached")
			s.expect("f", s.ensure(s.service("f", stack(prefer, v4, v6))), "NamespaceLimitReached")
		},
		"a shared address counts once, and for each namespace that has it": func(s *script) {
			s.ensure(s.service("a", shares("k", 80)))
			s.ensure(s.service("b", shares("k", 81)))
			s.expect("c", s.ensure(s.service("c")), "10.0.0.1")
			s.expect("d", s.ensure(s.service("d")), "NamespaceLimitReached")
			s.expect("what the namespace has can be shared", s.ensure(s.service("e", shares("k", 82))), "10.0.0.0")
			s.expect("of another namespace", s.ensure(s.service("other/f", shares("k", 83))), "10.0.0.0")
			s.ensure(s.service("other/g", shares("l", 80)))
			s.expect("what others have cannot", s.ensure(s.service("h", shares("l", 81))), "NamespaceLimitReached")
			s.expect("nor by name", s.ensure(s.service("i", shares("l", 82), asks("10.0.0.2"))), "NamespaceLimitReached")
			s.expect("it is still shared", s.release(s.service("a")), "b e other/f")
			for _, name := range []string{"b", "e"} {
				s.release(s.service(name))
			}
			s.expect("d", s.ensure(s.service("d")), "10.0.0.3")
			s.expect("f has it still", s.ensure(s.service("other/f", shares("k", 83))), "10.0.0.0")
		},
		"a lower limit takes nothing away": func(s *script) {
			full(s)
			s.ensure(s.service("d"))
			s.expect("requeued", limits(s, 1), "d")
			s.expect("d", s.sentence(s.service("d")), `namespace "default" has 2 IPv4 addresses of pool "public", which gives a namespace 1 at most (maxAddressesPerNamespace)`)
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			s.expect("requeued", s.release(s.service("a")), "d")
			s.expect("d", s.sentence(s.service("d")), `namespace "default" has 1 IPv4 address of pool "public", which gives a namespace 1 at most (maxAddressesPerNamespace)`)
			s.expect("requeued", s.release(s.service("b")), "d")
			s.expect("d", s.ensure(s.service("d")), "10.0.0.0")
		},
		"nor does a restart with one": func(s *script) {
			full(s)
			a, b := s.recorded(s.service("a")), s.recorded(s.service("b"))
			limits(s, 1)
			s.restart(b, a)
			s.expect("c", s.ensure(s.service("c")), "NamespaceLimitReached")
			s.expect("b", s.ensure(b), "10.0.0.1")
			s.expect("a", s.ensure(a), "10.0.0.0")
		},
		"a higher one, or none, serves who waits": func(s *script) {
			full(s)
			s.ensure(s.service("c"))
			s.expect("requeued", limits(s, 3), "c")
			s.ensure(s.service("c"))
			s.ensure(s.service("d"))
			s.expect("requeued", s.setPools(with(s.pools[0], only(v1alpha1.ServiceAllocation{}))), "d")
		},
		"what a reservation keeps for a Service counts, and is given to it all the same": func(s *script) {
			full(s)
			r := s.service("reserved")
			s.ensure(r)
			at := parse([]string{"10.0.0.7"})[0]
			s.expect("requeued", names(s.a.SetReservations(s.now, []Reservation{{"r", []Range{{at, at}}, &r.Service}})), "reserved")
			s.expect("reserved", s.ensure(r), "10.0.0.7")
			s.release(s.service("a"))
			s.expect("c", s.ensure(s.service("c")), "NamespaceLimitReached")
		},
		"another pool helps, and is named if it is full": func(s *script) {
			s.setPools(pool, newPool("small", "10.1.0.0"))
			full(s)
			s.expect("c", s.ensure(s.service("c")), "10.1.0.0")
			s.expect("d", s.sentence(s.service("d")), refusal+`; pool "small" has no free IPv4 address`)
			s.expect("requeued", s.release(s.service("c")), "d")
			s.expect("d", s.ensure(s.service("d")), "10.1.0.0")
		},
		"who waits for a full pool learns that its namespace has reached the limit": func(s *script) {
			s.setPools(with(newPool("public", "10.0.0.0/31"), limited(1), reusedAtOnce))
			s.ensure(s.service("other/a"))
			s.setPools(with(newPool("public", "10.0.0.0/32"), limited(1), reusedAtOnce))
			s.expect("b", s.ensure(s.service("b")), "PoolExhausted")
			s.expect("c", s.ensure(s.service("c")), "PoolExhausted")
			s.expect("requeued", s.release(s.service("other/a")), "b")
			_, out := s.ask(s.service("b"))
			s.expect("requeued", names(out.Requeue), "c")
			s.expect("c", s.ensure(s.service("c")), "NamespaceLimitReached")
		},
		"the pool says who has as many as it may": func(s *script) {
			full(s)
			s.ensure(s.service("other/c"))
			s.expect("message", s.a.PoolStatuses(s.now)["public"].Message,
				`namespace "default" has 2 IPv4 addresses, and is given 2 at most`)
		},
	}, pool)
}

func TestAPoolExcludesNamespaces(t *testing.T) {
	excludes := func(s v1alpha1.ServiceAllocation, list ...string) func(*v1alpha1.IPAddressPoolSpec) {
		s.ExcludedNamespaces = list
		return only(s)
	}
	pool := newPool("public", "10.0.0.0/29")
	stories(t, map[string]func(*script){
		"they are refused, however they ask": func(s *script) {
			s.setPools(with(pool, excludes(v1alpha1.ServiceAllocation{}, "other")))
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			const refusal = `pool "public" excludes namespace "other"`
			s.expect("b", s.sentence(s.service("other/b")), "no pool is for this Service: "+refusal)
			s.expect("by name", s.sentence(s.service("other/c", asks("10.0.0.1"))), refusal)
			s.expect("by pool", s.sentence(s.service("other/d", from("public"))), refusal)
			s.expect("requeued", s.setPools(pool), "other/b other/d other/c")
		},
		"whatever admits them": func(s *script) {
			for _, admits := range []v1alpha1.ServiceAllocation{
				{Namespaces: []string{"other", "default"}},
				{NamespaceSelectors: []v1alpha1.LabelSelector{{}}},
				{ServiceSelectors: []v1alpha1.LabelSelector{{}}},
			} {
				s.setPools(with(pool, excludes(admits, "other")))
				s.expect("b", s.ensure(s.service("other/b")), "NoMatchingPool")
				s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			}
		},
		"who has an address keeps it, also after a restart": func(s *script) {
			s.ensure(s.service("other/b"))
			b := s.recorded(s.service("other/b"))
			s.expect("requeued", s.setPools(with(pool, excludes(v1alpha1.ServiceAllocation{}, "other"))), "")
			s.expect("b", s.ensure(b), "10.0.0.0")
			s.restart(b)
			s.expect("b", s.ensure(b), "10.0.0.0")
		},
		"the order of pools stays": func(s *script) {
			s.setPools(with(newPool("a-excluding", "10.1.0.0"), excludes(v1alpha1.ServiceAllocation{}, "nobody")),
				with(newPool("selecting", "10.0.0.0"), only(v1alpha1.ServiceAllocation{Namespaces: []string{"default"}})))
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
		},
		"one that does not exist is named": func(s *script) {
			s.setPools(with(pool, excludes(v1alpha1.ServiceAllocation{}, "othr")))
			s.expect("message", s.a.PoolStatuses(s.now)["public"].Message, `spec.serviceAllocation.excludedNamespaces: there is no namespace "othr"`)
		},
	}, pool)
}
