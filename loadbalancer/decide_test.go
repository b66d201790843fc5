package loadbalancer

import (
	"testing"
	"time"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestAutomaticAddress(t *testing.T) {
	stories(t, map[string]func(*script){
		"the first free address in the order in which the pool lists them": func(s *script) {
			s.setPools(newPool("public", "192.168.1.8/31", "192.168.1.1", "192.168.1.10"))
			s.expect("a", s.ensure(s.service("a")), "192.168.1.8")
			s.expect("b", s.ensure(s.service("b")), "192.168.1.9")
			s.expect("c", s.ensure(s.service("c")), "192.168.1.1")
			s.expect("d", s.ensure(s.service("d")), "192.168.1.10")
			s.now = s.now.Add(time.Hour)
			for _, name := range []string{"a", "b", "c", "d"} {
				s.release(s.service(name))
			}
			s.now = s.now.Add(time.Hour)
			s.expect("e", s.ensure(s.service("e")), "192.168.1.8")
		},
		"network and broadcast addresses are addresses": func(s *script) {
			s.setPools(newPool("public", "192.168.1.0/31"))
			s.expect("a", s.ensure(s.service("a")), "192.168.1.0")
		},
		"buggy addresses are left out where the pool says so": func(s *script) {
			s.setPools(with(newPool("public", "192.168.0.254-192.168.1.1"), func(p *v1alpha1.IPAddressPoolSpec) { p.AvoidBuggyIPs = true }))
			s.expect("a", s.ensure(s.service("a")), "192.168.0.254")
			s.expect("b", s.ensure(s.service("b")), "192.168.1.1")
			s.expect("c", s.ensure(s.service("c")), "PoolExhausted")
			s.expect("d", s.ensure(s.service("d", asks("192.168.0.255"))), "AddressNotInPool")
		},
		"excluded addresses are left out": func(s *script) {
			s.setPools(with(newPool("public", "192.168.1.0/30"), func(p *v1alpha1.IPAddressPoolSpec) { p.Exclude = []string{"192.168.1.0-192.168.1.2"} }))
			s.expect("a", s.ensure(s.service("a")), "192.168.1.3")
			s.expect("b", s.sentence(s.service("b", asks("192.168.1.1"))), `192.168.1.1 is excluded from pool "public"`)
		},
		"the same request gets the same answer": func(s *script) {
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			s.expect("a again", s.ensure(s.service("a")), "10.0.0.0")
			s.expect("a with its status", s.ensure(s.service("a", believes("10.0.0.0"))), "10.0.0.0")
			s.expect("a with an edited status", s.ensure(s.service("a", believes("10.0.0.9"))), "10.0.0.0")
		},
		"a huge IPv6 pool works": func(s *script) {
			s.setPools(newPool("six", "2001:db8::/32"))
			s.expect("a", s.ensure(s.service("a", stack(single, v6))), "2001:db8::")
			s.expect("b", s.ensure(s.service("b", stack(single, v6), asks("2001:db8:ffff::1"))), "2001:db8:ffff::1")
			s.expect("c", s.ensure(s.service("c", stack(single, v6))), "2001:db8::1")
			counts := s.a.PoolStatuses(s.now)["six"].IPv6
			if counts.Total != 1<<63-1 || counts.Assigned != 3 || counts.Available != 1<<63-1 {
				s.t.Errorf("counts %+v", counts)
			}
		},
		"a full pool says so and names itself": func(s *script) {
			s.setPools(newPool("tiny", "10.0.0.1"))
			s.expect("a", s.ensure(s.service("a")), "10.0.0.1")
			s.expect("b", s.ensure(s.service("b")), "PoolExhausted")
			s.expect("b", s.sentence(s.service("b")), `pool "tiny" has no free IPv4 address`)
		},
		"several full pools are all named": func(s *script) {
			s.setPools(newPool("x", "10.0.0.1"), newPool("y", "10.0.0.2"))
			s.ensure(s.service("a"))
			s.ensure(s.service("b"))
			s.expect("c", s.sentence(s.service("c")), `pools "x", "y" have no free IPv4 address`)
		},
		"without pools there is nothing": func(s *script) {
			s.setPools()
			s.expect("a", s.ensure(s.service("a")), "NoMatchingPool")
			s.expect("a", s.sentence(s.service("a")), "there is no IPAddressPool")
		},
	}, newPool("public", "10.0.0.0/24"))
}

func TestWishes(t *testing.T) {
	public := newPool("public", "10.0.0.0/24")
	private := with(newPool("private", "10.1.0.0/24"), notAutomatic)
	stories(t, map[string]func(*script){
		"an address by name": func(s *script) {
			s.expect("a", s.ensure(s.service("a", asks("10.0.0.222"))), "10.0.0.222")
		},
		"a pool by name": func(s *script) {
			s.expect("a", s.ensure(s.service("a", from("private"))), "10.1.0.0")
		},
		"a pool that does not assign by itself gives to who asks for an address": func(s *script) {
			s.expect("a", s.ensure(s.service("a", asks("10.1.0.7"))), "10.1.0.7")
		},
		"a pool that does not assign by itself gives to nobody else": func(s *script) {
			s.setPools(private)
			s.expect("a", s.sentence(s.service("a")), `no pool is for this Service: pool "private" is only for Services that ask for it (autoAssign: false)`)
		},
		"a new wish moves the Service": func(s *script) {
			s.ensure(s.service("a", asks("10.0.0.5")))
			s.expect("other address", s.ensure(s.service("a", asks("10.0.0.6"))), "10.0.0.6")
			s.expect("other pool", s.ensure(s.service("a", from("private"))), "10.1.0.0")
		},
		"a wish that is removed changes nothing": func(s *script) {
			s.ensure(s.service("a", asks("10.0.0.5")))
			s.expect("no address", s.ensure(s.service("a")), "10.0.0.5")
			s.ensure(s.service("b", from("private")))
			s.expect("no pool", s.ensure(s.service("b")), "10.1.0.0")
		},
		"a wish for the pool that it is from changes nothing": func(s *script) {
			s.ensure(s.service("a", asks("10.0.0.5")))
			s.expect("a", s.ensure(s.service("a", from("public"))), "10.0.0.5")
		},
		"who asks for an address that is in use waits without any": func(s *script) {
			s.ensure(s.service("owner", asks("10.0.0.5")))
			s.ensure(s.service("a"))
			s.expect("a", s.ensure(s.service("a", asks("10.0.0.5"))), "AddressInUse")
			s.expect("a", s.sentence(s.service("a", asks("10.0.0.5"))), "10.0.0.5 is in use by Service default/owner")
			s.expect("requeued", s.release(s.service("owner")), "a")
			s.expect("a", s.ensure(s.service("a", asks("10.0.0.5"))), "10.0.0.5")
		},
		"of several who ask for an address the oldest is requeued, and then the others are told who has it now": func(s *script) {
			s.ensure(s.service("owner", asks("10.0.0.5")))
			s.ensure(s.service("a", asks("10.0.0.5")))
			s.ensure(s.service("b", asks("10.0.0.5")))
			s.expect("requeued", s.release(s.service("owner")), "a")
			_, out := s.ask(s.service("a", asks("10.0.0.5")))
			s.expect("requeued", names(out.Requeue), "b")
			s.expect("b", s.sentence(s.service("b", asks("10.0.0.5"))), "10.0.0.5 is in use by Service default/a")
		},
		"of several who ask for an address those who can share it are requeued together": func(s *script) {
			s.ensure(s.service("owner", asks("10.0.0.5")))
			s.ensure(s.service("a", asks("10.0.0.5"), shares("k", 80)))
			s.ensure(s.service("b", asks("10.0.0.5"), shares("k", 80)))
			s.ensure(s.service("c", asks("10.0.0.5"), shares("k", 81)))
			s.expect("requeued", s.release(s.service("owner")), "a c")
		},
		"who takes the wish back has its former address at once": func(s *script) {
			s.ensure(s.service("owner", asks("10.0.0.5")))
			s.ensure(s.service("first"))
			s.ensure(s.service("a"))
			s.ensure(s.service("a", asks("10.0.0.5")))
			s.ensure(s.service("b"))
			s.expect("a", s.ensure(s.service("a")), "10.0.0.1")
		},
		"an address in no pool": func(s *script) {
			s.expect("a", s.ensure(s.service("a", asks("10.9.0.1"))), "AddressNotInPool")
			s.expect("a", s.sentence(s.service("a", asks("10.9.0.1"))), "10.9.0.1 is in no pool")
		},
		"an address that is not in the pool asked for": func(s *script) {
			s.expect("a", s.sentence(s.service("a", from("public"), asks("10.1.0.1"))), `10.1.0.1 is not in pool "public" but in pool "private"`)
		},
		"a pool that does not exist": func(s *script) {
			s.expect("a", s.ensure(s.service("a", from("nowhere"))), "NoMatchingPool")
			s.expect("a", s.sentence(s.service("a", from("nowhere"))), `pool "nowhere" does not exist`)
			s.expect("requeued", s.setPools(public, newPool("nowhere", "10.9.0.1")), "a")
		},
		"an invalid request keeps what the Service has": func(s *script) {
			s.ensure(s.service("a", asks("10.0.0.5")))
			r := s.service("a")
			r.Invalid = invalid("nonsense", "")
			s.expect("a", s.ensure(r), "InvalidRequest [10.0.0.5]")
			fresh := s.service("b")
			fresh.Invalid = invalid("nonsense", "")
			s.expect("b", s.ensure(fresh), "InvalidRequest")
			fresh = s.service("c", believes("10.0.0.8"))
			fresh.Invalid = invalid("nonsense", "")
			s.expect("c after a restart", s.ensure(fresh), "InvalidRequest [10.0.0.8]")
		},
		"waiting Services are counted by reason": func(s *script) {
			s.ensure(s.service("a", asks("10.9.0.1")))
			s.ensure(s.service("b", asks("10.9.0.2")))
			s.ensure(s.service("c", from("nowhere")))
			s.ensure(s.service("d"))
			got := s.a.Waiting()
			if len(got) != 2 || got[AddressNotInPool] != 2 || got[NoMatchingPool] != 1 {
				s.t.Errorf("waiting %v", got)
			}
		},
	}, public, private)
}

func TestFamilies(t *testing.T) {
	four, six := newPool("four", "10.0.0.0/30"), newPool("six", "fd00::/126")
	stories(t, map[string]func(*script){
		"each family from its own pool": func(s *script) {
			s.expect("a", s.ensure(s.service("a", stack(require, v4, v6))), "10.0.0.0 fd00::")
			s.expect("b", s.ensure(s.service("b", stack(prefer, v6, v4))), "fd00::1 10.0.0.1")
			out, _ := s.a.Ensure(s.now, s.service("b", stack(prefer, v6, v4)))
			s.expect("message", out.Message, `fd00::1 from pool "six", 10.0.0.1 from pool "four"`)
		},
		"a family is added and dropped and the first stays": func(s *script) {
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			s.expect("a", s.ensure(s.service("a", stack(prefer, v4, v6))), "10.0.0.0 fd00::")
			s.expect("a", s.ensure(s.service("a", stack(single, v4))), "10.0.0.0")
			s.expect("single stack uses the first family", s.ensure(s.service("a", stack(single, v4, v6))), "10.0.0.0")
		},
		"both are required and one is missing": func(s *script) {
			s.setPools(four)
			s.expect("a", s.ensure(s.service("a", stack(require, v4, v6))), "FamilyUnavailable")
			s.expect("a", s.sentence(s.service("a", stack(require, v4, v6))), `pool "four" has no IPv6 addresses`)
			s.expect("requeued", s.setPools(four, six), "a")
			s.expect("a", s.ensure(s.service("a", stack(require, v4, v6))), "10.0.0.0 fd00::")
			s.expect("requeued", s.setPools(four, with(six, func(p *v1alpha1.IPAddressPoolSpec) { p.Exclude = p.Addresses })), "a")
			s.expect("neither", s.ensure(s.service("a", stack(require, v4, v6))), "PoolExhausted")
			s.setPools(four, six)
			s.expect("the same again", s.ensure(s.service("a", stack(require, v4, v6))), "10.0.0.0 fd00::")
		},
		"one is preferred and missing": func(s *script) {
			s.setPools(four)
			s.expect("a", s.ensure(s.service("a", stack(prefer, v4, v6))), "10.0.0.0")
			s.expect("a", s.sentence(s.service("a", stack(prefer, v4, v6))), `10.0.0.0 from pool "four"; no IPv6 address: pool "four" has no IPv6 addresses`)
			s.expect("requeued", s.setPools(four, six), "a")
			s.expect("a", s.ensure(s.service("a", stack(prefer, v4, v6))), "10.0.0.0 fd00::")
		},
		"the second alone is better than nothing, and stays": func(s *script) {
			s.setPools(six)
			s.expect("a", s.ensure(s.service("a", stack(prefer, v4, v6))), "fd00::")
			s.setPools(four, six)
			s.expect("a", s.ensure(s.service("a", stack(prefer, v4, v6))), "10.0.0.0 fd00::")
		},
		"a cluster with one family cannot give both": func(s *script) {
			s.expect("require", s.ensure(s.service("a", stack(require, v4))), "FamilyUnavailable")
			s.expect("prefer", s.ensure(s.service("b", stack(prefer, v4))), "10.0.0.0")
		},
		"both are asked for by address and the cluster has one: that one, and why not the other": func(s *script) {
			both := asks("10.0.0.2", "fd00::3")
			s.expect("a", s.ensure(s.service("a", stack(prefer, v4), both)), "10.0.0.2")
			s.expect("a", s.sentence(s.service("a", stack(prefer, v4), both)),
				`10.0.0.2 from pool "four"; no IPv6 address: the Service asks for fd00::3 but the cluster gives it only IPv4`)
			s.expect("nothing comes of waiting", s.setPools(four), "")
			s.setPools(four, six)
			s.expect("b", s.sentence(s.service("b", stack(prefer, v6), asks("10.0.0.3", "fd00::3"))),
				`fd00::3 from pool "six"; no IPv4 address: the Service asks for 10.0.0.3 but the cluster gives it only IPv6`)
			s.expect("the address that is there is in use", s.ensure(s.service("c", stack(prefer, v4), both)), "AddressInUse")
			s.expect("and free", s.release(s.service("a")), "c")
			s.expect("c", s.ensure(s.service("c", stack(prefer, v4), both)), "10.0.0.2")
			s.release(s.service("b"))
			s.expect("the cluster has both now", s.ensure(s.service("c", stack(prefer, v4, v6), both)), "10.0.0.2 fd00::3")
			s.expect("and one again", s.ensure(s.service("c", stack(prefer, v4), both)), "10.0.0.2")
		},
		"a wish for one family leaves the other to us": func(s *script) {
			s.expect("a", s.ensure(s.service("a", stack(require, v4, v6), asks("fd00::3"))), "10.0.0.0 fd00::3")
		},
		"a pool that is asked for must have both families": func(s *script) {
			s.expect("a", s.sentence(s.service("a", stack(require, v4, v6), from("four"))), `pool "four" has no IPv6 addresses`)
			s.expect("b", s.ensure(s.service("b", stack(prefer, v4, v6), from("four"))), "10.0.0.0")
		},
		"who waits for both takes neither from others": func(s *script) {
			s.setPools(newPool("four", "10.0.0.1"), newPool("six", "fd00::1"))
			s.ensure(s.service("owner", stack(single, v6)))
			s.expect("a", s.ensure(s.service("a", stack(require, v4, v6))), "PoolExhausted")
			s.expect("b", s.ensure(s.service("b")), "10.0.0.1")
			s.expect("requeued", s.release(s.service("owner")), "a")
			s.expect("a", s.ensure(s.service("a", stack(require, v4, v6))), "PoolExhausted")
			s.expect("requeued", s.release(s.service("b")), "a")
			s.expect("a", s.ensure(s.service("a", stack(require, v4, v6))), "10.0.0.1 fd00::1")
		},
	}, four, six)
}
