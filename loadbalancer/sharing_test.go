package loadbalancer

import "testing"

func TestSharing(t *testing.T) {
	pool := newPool("public", "10.0.0.0/24")
	stories(t, map[string]func(*script){
		"the same key and other ports": func(s *script) {
			s.setPools(with(pool, together))
			s.expect("a", s.ensure(s.service("a", shares("k", 80))), "10.0.0.0")
			s.expect("b", s.ensure(s.service("b", shares("k", 443))), "10.0.0.0")
			s.expect("across namespaces", s.ensure(s.service("other/c", shares("k", 25))), "10.0.0.0")
			s.expect("message", s.sentence(s.service("b", shares("k", 443))), `10.0.0.0 from pool "public", shared with default/a, other/c`)
		},
		"the owner of an address that another joins is requeued": func(s *script) {
			s.ensure(s.service("a", shares("k", 80)))
			_, out := s.ask(s.service("b", shares("k", 443)))
			s.expect("requeued", names(out.Requeue), "a")
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("requeued", s.release(s.service("b")), "a")
		},
		"of those who are deleted together the last has the address back": func(s *script) {
			s.ensure(s.service("a", shares("k", 80)))
			s.ensure(s.service("b", shares("k", 81)))
			s.release(s.service("a", shares("k", 80)))
			s.release(s.service("b", shares("k", 81)))
			s.expect("a", s.ensure(s.service("a", born("again"))), "10.0.0.1")
			s.expect("b", s.ensure(s.service("b", born("again"))), "10.0.0.0")
		},
		"no sentence names more than a few": func(s *script) {
			for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
				s.ensure(s.service(name, shares("k", int32(len(s.born)))))
			}
			s.expect("message", s.sentence(s.service("f", shares("k", 5))),
				`10.0.0.0 from pool "public", shared with default/a, default/b, default/c, default/d, and others`)
		},
		"a port that is taken": func(s *script) {
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("automatic", s.ensure(s.service("b", shares("k", 80))), "10.0.0.1")
			s.expect("by name", s.ensure(s.service("c", shares("k", 80), asks("10.0.0.0"))), "SharingConflict")
			s.expect("by name", s.sentence(s.service("c", shares("k", 80), asks("10.0.0.0"))),
				"10.0.0.0 cannot be shared with Service default/a: both use port TCP/80")
			udp := s.service("d", shares("k", 80))
			udp.Ports[0].Protocol = "UDP"
			s.expect("another protocol", s.ensure(udp), "10.0.0.0")
		},
		"another key": func(s *script) {
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("by name", s.ensure(s.service("b", shares("l", 443), asks("10.0.0.0"))), "SharingConflict")
			s.expect("without a key", s.ensure(s.service("c", asks("10.0.0.0"))), "AddressInUse")
			s.ensure(s.service("d", asks("10.0.0.9")))
			s.expect("of one without a key", s.ensure(s.service("e", shares("k", 1), asks("10.0.0.9"))), "AddressInUse")
		},
		"other pods behind Local": func(s *script) {
			s.ensure(s.service("a", shares("k", 80), behind("x")))
			s.expect("the same", s.ensure(s.service("b", shares("k", 81), behind("x"))), "10.0.0.0")
			s.expect("others", s.ensure(s.service("c", shares("k", 82), behind("y"))), "10.0.0.1")
			s.expect("by name", s.sentence(s.service("d", shares("k", 83), asks("10.0.0.0"))),
				"10.0.0.0 cannot be shared with Service default/a: with externalTrafficPolicy Local both must have the same pods")
		},
		"a pool that keeps namespaces apart, as all do that do not say": func(s *script) {
			s.setPools(pool)
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("the same", s.ensure(s.service("b", shares("k", 81))), "10.0.0.0")
			s.expect("another", s.ensure(s.service("other/c", shares("k", 82))), "10.0.0.1")
			s.expect("by name", s.sentence(s.service("other/d", shares("k", 83), asks("10.0.0.0"))),
				`10.0.0.0 cannot be shared with Service default/a: pool "public" keeps namespaces apart (sharing: Namespace)`)
		},
		"a pool that does not keep namespaces apart": func(s *script) {
			s.setPools(with(pool, together))
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("another", s.ensure(s.service("other/b", shares("k", 81))), "10.0.0.0")
		},
		"a pool that begins to keep namespaces apart moves the younger": func(s *script) {
			s.setPools(with(pool, together))
			s.ensure(s.service("a", shares("k", 80)))
			s.ensure(s.service("other/b", shares("k", 81)))
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("requeued", s.setPools(pool), "other/b")
			s.expect("the older stays", s.ensure(s.service("a", shares("k", 80))), "10.0.0.0")
			s.expect("the younger moves", s.ensure(s.service("other/b", shares("k", 81))), "10.0.0.1")
		},
		"who insists waits, and is served when conditions change back": func(s *script) {
			s.ensure(s.service("a", shares("k", 80), asks("10.0.0.7")))
			s.ensure(s.service("b", shares("k", 81), asks("10.0.0.7")))
			s.expect("b", s.ensure(s.service("b", shares("k", 80), asks("10.0.0.7"))), "SharingConflict")
			s.expect("the first", s.ensure(s.service("a", shares("k", 80), asks("10.0.0.7"))), "10.0.0.7")
			_, out := s.ask(s.service("a", shares("k", 82), asks("10.0.0.7")))
			s.expect("requeued", names(out.Requeue), "b")
			s.expect("b", s.ensure(s.service("b", shares("k", 80), asks("10.0.0.7"))), "10.0.0.7")
		},
		"who is alone may change its key in place": func(s *script) {
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("a", s.ensure(s.service("a", shares("l", 80))), "10.0.0.0")
			s.expect("b", s.ensure(s.service("b", shares("l", 81))), "10.0.0.0")
			s.expect("c", s.ensure(s.service("c", shares("k", 81))), "10.0.0.1")
		},
		"an address of a full pool can be shared": func(s *script) {
			s.setPools(newPool("public", "10.0.0.1"))
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("b", s.ensure(s.service("b", shares("k", 80))), "PoolExhausted")
			s.expect("c", s.ensure(s.service("c", shares("k", 80))), "PoolExhausted")
			_, out := s.ask(s.service("a", shares("k", 81)))
			s.expect("one can share it, and then the next cannot", names(out.Requeue), "b")
			// It does not take it, so the next can.
			_, out = s.ask(s.service("b", shares("l", 80)))
			s.expect("requeued", names(out.Requeue), "c")
			s.expect("c", s.ensure(s.service("c", shares("k", 80))), "10.0.0.1")
		},
		"an address of a pool that does not assign by itself is not shared by accident": func(s *script) {
			s.setPools(pool, with(newPool("private", "10.1.0.0/24"), notAutomatic))
			s.ensure(s.service("a", shares("k", 80), from("private")))
			s.expect("b", s.ensure(s.service("b", shares("k", 81))), "10.0.0.0")
			s.expect("c", s.ensure(s.service("c", shares("k", 82), from("private"))), "10.1.0.0")
		},
	}, pool)
}
