package loadbalancer

import "testing"

func TestWaiting(t *testing.T) {
	stories(t, map[string]func(*script){
		"one address that is freed is offered to one Service, the oldest": func(s *script) {
			s.ensure(s.service("owner"))
			old := s.service("old")
			for _, name := range []string{"x", "y", "z"} {
				s.ensure(s.service(name))
			}
			s.ensure(old)
			s.expect("requeued", s.release(s.service("owner")), "old")
		},
		"of those who need both families as many are requeued as there are addresses of the scarcer": func(s *script) {
			s.setPools(newPool("four", "10.0.0.0"), newPool("six", "fd00::"))
			for _, name := range []string{"a", "x", "y", "z"} {
				s.ensure(s.service(name, stack(require, v4, v6)))
			}
			s.expect("requeued", s.setPools(newPool("four", "10.0.0.0"), newPool("six", "fd00::/64")), "")
			s.expect("requeued", s.setPools(newPool("four", "10.0.0.0/31"), newPool("six", "fd00::/64")), "x")
			s.ensure(s.service("x", stack(require, v4, v6)))
			s.expect("requeued", s.setPools(newPool("four", "10.0.0.0/29"), newPool("six", "fd00::-fd00::2")), "y")
		},
		"who is requeued and wants it no more passes it on": func(s *script) {
			s.ensure(s.service("owner"))
			s.ensure(s.service("x"))
			s.ensure(s.service("y"))
			s.expect("requeued", s.release(s.service("owner")), "x")
			_, out := s.ask(s.service("x", from("nowhere")))
			s.expect("requeued", names(out.Requeue), "y")
		},
		"who is requeued and is deleted passes it on": func(s *script) {
			s.ensure(s.service("owner"))
			s.ensure(s.service("x"))
			s.ensure(s.service("y"))
			s.release(s.service("owner"))
			s.expect("requeued", s.release(s.service("x")), "y")
		},
		"a second address goes to the second": func(s *script) {
			s.setPools(newPool("two", "10.0.0.0/31"))
			s.ensure(s.service("a"))
			s.ensure(s.service("b"))
			s.ensure(s.service("x"))
			s.ensure(s.service("y"))
			s.expect("requeued", s.release(s.service("a")), "x")
			s.expect("requeued", s.release(s.service("b")), "y")
		},
		"a pool that grows is offered to as many as it has addresses for": func(s *script) {
			for _, name := range []string{"a", "b", "c", "d", "e"} {
				s.ensure(s.service(name))
			}
			s.expect("requeued", s.setPools(newPool("one", "10.0.0.1-10.0.0.3")), "b c")
		},
		"a pool that is not for them concerns nobody": func(s *script) {
			s.ensure(s.service("a"))
			s.ensure(s.service("b"))
			s.expect("requeued", s.setPools(newPool("one", "10.0.0.1"), with(newPool("two", "10.0.0.2"), notAutomatic)), "")
			s.expect("requeued", s.setPools(newPool("one", "10.0.0.1"), newPool("six", "fd00::/64")), "")
		},
		"who is served by another pool leaves the queue of this one": func(s *script) {
			s.setPools(newPool("one", "10.0.0.1"), newPool("two", "10.0.0.2"))
			for _, name := range []string{"a", "b", "x", "y"} {
				s.ensure(s.service(name))
			}
			s.expect("requeued", s.release(s.service("a")), "x")
			s.expect("x may come for this one too", s.release(s.service("b")), "")
			answer, out := s.ask(s.service("x"))
			s.expect("x", answer, "10.0.0.1")
			s.expect("requeued", names(out.Requeue), "y")
			s.expect("y", s.ensure(s.service("y")), "10.0.0.2")
		},
	}, newPool("one", "10.0.0.1"))
}
