package loadbalancer

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Each story is a sentence about behaviour.

func stories(t *testing.T, list map[string]func(*script), pools ...*v1alpha1.IPAddressPool) {
	for name, story := range list {
		t.Run(name, func(t *testing.T) { story(newScript(t, pools...)) })
	}
}

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

func TestOrderOfPools(t *testing.T) {
	forDefault := v1alpha1.ServiceAllocation{Namespaces: []string{"default"}}
	cases := map[string]struct {
		pools []*v1alpha1.IPAddressPool
		want  string
	}{
		"by name": {
			[]*v1alpha1.IPAddressPool{newPool("b", "10.0.0.2"), newPool("a", "10.0.0.1"), newPool("c", "10.0.0.3")},
			"10.0.0.1 10.0.0.2 10.0.0.3",
		},
		"lower priority first, none last": {
			[]*v1alpha1.IPAddressPool{
				newPool("a", "10.0.0.1"),
				with(newPool("b", "10.0.0.2"), only(v1alpha1.ServiceAllocation{Priority: 20})),
				with(newPool("c", "10.0.0.3"), only(v1alpha1.ServiceAllocation{Priority: 10})),
			},
			"10.0.0.3 10.0.0.2 10.0.0.1",
		},
		"selected before general, whatever the priority": {
			[]*v1alpha1.IPAddressPool{
				with(newPool("a", "10.0.0.1"), only(v1alpha1.ServiceAllocation{Priority: 1})),
				with(newPool("b", "10.0.0.2"), only(forDefault)),
				with(newPool("c", "10.0.0.3"), only(v1alpha1.ServiceAllocation{Priority: 9, Namespaces: []string{"default"}})),
			},
			"10.0.0.3 10.0.0.2 10.0.0.1",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, c.pools...)
			var got []string
			for _, name := range []string{"first", "second", "third"} {
				got = append(got, s.ensure(s.service(name)))
			}
			s.expect("order", strings.Join(got, " "), c.want)
		})
	}
}

func TestSelection(t *testing.T) {
	cases := map[string]struct {
		allocation v1alpha1.ServiceAllocation
		service    string
		label      string
		want       string
	}{
		"a namespace by name":                         {v1alpha1.ServiceAllocation{Namespaces: []string{"other"}}, "other/a", "", "10.0.0.1"},
		"not another namespace":                       {v1alpha1.ServiceAllocation{Namespaces: []string{"other"}}, "a", "", "NoMatchingPool"},
		"a namespace by label":                        {v1alpha1.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{byLabel("name", "other")}}, "other/a", "", "10.0.0.1"},
		"not a namespace with another label":          {v1alpha1.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{byLabel("name", "other")}}, "a", "", "NoMatchingPool"},
		"names and labels of namespaces add up":       {v1alpha1.ServiceAllocation{Namespaces: []string{"default"}, NamespaceSelectors: []metav1.LabelSelector{byLabel("name", "other")}}, "a", "", "10.0.0.1"},
		"an empty list of namespaces is nobody":       {v1alpha1.ServiceAllocation{Namespaces: []string{}}, "a", "", "NoMatchingPool"},
		"an empty list of selectors is nobody":        {v1alpha1.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{}}, "a", "", "NoMatchingPool"},
		"a selector that matches nothing is nobody":   {v1alpha1.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{byLabel("no", "such")}}, "a", "", "NoMatchingPool"},
		"an empty selector is any known namespace":    {v1alpha1.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{{}}}, "a", "", "10.0.0.1"},
		"an unknown namespace matches no selector":    {v1alpha1.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{{}}}, "unknown/a", "", "NoMatchingPool"},
		"a Service by label":                          {v1alpha1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{byLabel("tier", "web")}}, "a", "web", "10.0.0.1"},
		"not a Service with another label":            {v1alpha1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{byLabel("tier", "web")}}, "a", "db", "NoMatchingPool"},
		"one of several selectors is enough":          {v1alpha1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{byLabel("no", "such"), byLabel("tier", "web")}}, "a", "web", "10.0.0.1"},
		"both the namespace and the Service must fit": {v1alpha1.ServiceAllocation{Namespaces: []string{"other"}, ServiceSelectors: []metav1.LabelSelector{byLabel("tier", "web")}}, "a", "web", "NoMatchingPool"},
		"an empty list of Services is nobody":         {v1alpha1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{}}, "a", "web", "NoMatchingPool"},
		"a priority alone restricts nobody":           {v1alpha1.ServiceAllocation{Priority: 3}, "a", "", "10.0.0.1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, with(newPool("public", "10.0.0.1"), only(c.allocation)))
			r := s.service(c.service, labelled("tier", c.label))
			s.expect("automatic", s.ensure(r), c.want)
			// A wish does not open what is closed.
			r.Pool = "public"
			s.expect("by pool", s.ensure(r), c.want)
			r.Addresses = parse([]string{"10.0.0.1"})
			s.expect("by address", s.ensure(r), c.want)
		})
	}
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
			s.ensure(s.service("holder", asks("10.0.0.5")))
			s.ensure(s.service("a"))
			s.expect("a", s.ensure(s.service("a", asks("10.0.0.5"))), "AddressInUse")
			s.expect("a", s.sentence(s.service("a", asks("10.0.0.5"))), "10.0.0.5 is in use by Service default/holder")
			s.expect("poked", s.release(s.service("holder")), "a")
			s.expect("a", s.ensure(s.service("a", asks("10.0.0.5"))), "10.0.0.5")
		},
		"of several who ask for an address the oldest is told, and then the others who has it now": func(s *script) {
			s.ensure(s.service("holder", asks("10.0.0.5")))
			s.ensure(s.service("a", asks("10.0.0.5")))
			s.ensure(s.service("b", asks("10.0.0.5")))
			s.expect("poked", s.release(s.service("holder")), "a")
			_, out := s.ask(s.service("a", asks("10.0.0.5")))
			s.expect("poked", names(out.Poke), "b")
			s.expect("b", s.sentence(s.service("b", asks("10.0.0.5"))), "10.0.0.5 is in use by Service default/a")
		},
		"of several who ask for an address those who can share it are told together": func(s *script) {
			s.ensure(s.service("holder", asks("10.0.0.5")))
			s.ensure(s.service("a", asks("10.0.0.5"), shares("k", 80)))
			s.ensure(s.service("b", asks("10.0.0.5"), shares("k", 80)))
			s.ensure(s.service("c", asks("10.0.0.5"), shares("k", 81)))
			s.expect("poked", s.release(s.service("holder")), "a c")
		},
		"who takes the wish back has its former address at once": func(s *script) {
			s.ensure(s.service("holder", asks("10.0.0.5")))
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
			s.expect("poked", s.setPools(public, newPool("nowhere", "10.9.0.1")), "a")
		},
		"an invalid request keeps what the Service has": func(s *script) {
			s.ensure(s.service("a", asks("10.0.0.5")))
			r := s.service("a")
			r.Invalid = invalid("nonsense")
			s.expect("a", s.ensure(r), "InvalidRequest [10.0.0.5]")
			fresh := s.service("b")
			fresh.Invalid = invalid("nonsense")
			s.expect("b", s.ensure(fresh), "InvalidRequest")
			fresh = s.service("c", believes("10.0.0.8"))
			fresh.Invalid = invalid("nonsense")
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
			s.expect("poked", s.setPools(four, six), "a")
			s.expect("a", s.ensure(s.service("a", stack(require, v4, v6))), "10.0.0.0 fd00::")
			s.expect("poked", s.setPools(four), "a")
			s.expect("neither", s.ensure(s.service("a", stack(require, v4, v6))), "FamilyUnavailable")
			s.setPools(four, six)
			s.expect("the same again", s.ensure(s.service("a", stack(require, v4, v6))), "10.0.0.0 fd00::")
		},
		"one is preferred and missing": func(s *script) {
			s.setPools(four)
			s.expect("a", s.ensure(s.service("a", stack(prefer, v4, v6))), "10.0.0.0")
			s.expect("a", s.sentence(s.service("a", stack(prefer, v4, v6))), `10.0.0.0 from pool "four"; no IPv6 address: pool "four" has no IPv6 addresses`)
			s.expect("poked", s.setPools(four, six), "a")
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
		"a wish for one family leaves the other to us": func(s *script) {
			s.expect("a", s.ensure(s.service("a", stack(require, v4, v6), asks("fd00::3"))), "10.0.0.0 fd00::3")
		},
		"a pool that is asked for must have both families": func(s *script) {
			s.expect("a", s.sentence(s.service("a", stack(require, v4, v6), from("four"))), `pool "four" has no IPv6 addresses`)
			s.expect("b", s.ensure(s.service("b", stack(prefer, v4, v6), from("four"))), "10.0.0.0")
		},
		"who waits for both takes neither from others": func(s *script) {
			s.setPools(newPool("four", "10.0.0.1"), newPool("six", "fd00::1"))
			s.ensure(s.service("holder", stack(single, v6)))
			s.expect("a", s.ensure(s.service("a", stack(require, v4, v6))), "PoolExhausted")
			s.expect("b", s.ensure(s.service("b")), "10.0.0.1")
			s.expect("poked", s.release(s.service("holder")), "a")
			s.expect("a", s.ensure(s.service("a", stack(require, v4, v6))), "PoolExhausted")
			s.expect("poked", s.release(s.service("b")), "a")
			s.expect("a", s.ensure(s.service("a", stack(require, v4, v6))), "10.0.0.1 fd00::1")
		},
	}, four, six)
}

func TestRest(t *testing.T) {
	pool := newPool("public", "10.0.0.0/30")
	stories(t, map[string]func(*script){
		"a freed address is not given to the next who comes": func(s *script) {
			s.ensure(s.service("a"))
			s.release(s.service("a"))
			s.expect("b", s.ensure(s.service("b")), "10.0.0.1")
			s.now = s.now.Add(30 * time.Second)
			s.expect("c", s.ensure(s.service("c")), "10.0.0.0")
		},
		"unless it is asked for": func(s *script) {
			s.ensure(s.service("a"))
			s.release(s.service("a"))
			s.expect("b", s.ensure(s.service("b", asks("10.0.0.0"))), "10.0.0.0")
		},
		"or nothing else is left, and then the one that rested longest": func(s *script) {
			for _, name := range []string{"a", "b", "c", "d"} {
				s.ensure(s.service(name))
			}
			s.release(s.service("c"))
			s.now = s.now.Add(time.Second)
			s.release(s.service("a"))
			s.expect("e", s.ensure(s.service("e")), "10.0.0.2")
			s.expect("f", s.ensure(s.service("f")), "10.0.0.0")
		},
		"or the Service of that name is back": func(s *script) {
			s.ensure(s.service("a"))
			s.release(s.service("a"))
			s.expect("a", s.ensure(s.service("a", born("again"))), "10.0.0.0")
		},
		"the pool says for how long": func(s *script) {
			s.setPools(with(pool, withoutRest))
			s.ensure(s.service("a"))
			s.release(s.service("a"))
			s.expect("b", s.ensure(s.service("b")), "10.0.0.0")
		},
		"resting addresses are available": func(s *script) {
			s.ensure(s.service("a"))
			s.release(s.service("a"))
			status := s.a.PoolStatuses(s.now)["public"]
			if status.QuarantinedIPv4 != 1 || status.IPv4.Available != 4 || status.IPv4.Assigned != 0 {
				s.t.Errorf("status %+v %+v", status, status.IPv4)
			}
			if status := s.a.PoolStatuses(s.now.Add(time.Minute))["public"]; status.QuarantinedIPv4 != 0 {
				s.t.Errorf("rests for ever: %+v", status)
			}
			if len(s.a.table.services)+len(s.a.table.addresses) > 0 {
				s.t.Errorf("leaks %v %v", s.a.table.services, s.a.table.addresses)
			}
		},
	}, pool)
}

func TestSharing(t *testing.T) {
	pool := newPool("public", "10.0.0.0/24")
	stories(t, map[string]func(*script){
		"the same key and other ports": func(s *script) {
			s.expect("a", s.ensure(s.service("a", shares("k", 80))), "10.0.0.0")
			s.expect("b", s.ensure(s.service("b", shares("k", 443))), "10.0.0.0")
			s.expect("across namespaces", s.ensure(s.service("other/c", shares("k", 25))), "10.0.0.0")
			s.expect("message", s.sentence(s.service("b", shares("k", 443))), `10.0.0.0 from pool "public", shared with default/a, other/c`)
		},
		"who is joined is told": func(s *script) {
			s.ensure(s.service("a", shares("k", 80)))
			_, out := s.ask(s.service("b", shares("k", 443)))
			s.expect("poked", names(out.Poke), "a")
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("poked", s.release(s.service("b")), "a")
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
		"a pool that keeps namespaces apart": func(s *script) {
			s.setPools(with(pool, apart))
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("the same", s.ensure(s.service("b", shares("k", 81))), "10.0.0.0")
			s.expect("another", s.ensure(s.service("other/c", shares("k", 82))), "10.0.0.1")
			s.expect("by name", s.sentence(s.service("other/d", shares("k", 83), asks("10.0.0.0"))),
				`10.0.0.0 cannot be shared with Service default/a: pool "public" keeps namespaces apart (sharing: Namespace)`)
		},
		"a pool that begins to keep namespaces apart moves the younger": func(s *script) {
			s.ensure(s.service("a", shares("k", 80)))
			s.ensure(s.service("other/b", shares("k", 81)))
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("poked", s.setPools(with(pool, apart)), "other/b")
			s.expect("the older stays", s.ensure(s.service("a", shares("k", 80))), "10.0.0.0")
			s.expect("the younger moves", s.ensure(s.service("other/b", shares("k", 81))), "10.0.0.1")
		},
		"who breaks the condition loses, even if it is older": func(s *script) {
			s.ensure(s.service("a", shares("k", 80)))
			s.ensure(s.service("b", shares("k", 81)))
			s.expect("a", s.ensure(s.service("a", shares("k", 81))), "10.0.0.1")
			s.expect("b", s.ensure(s.service("b", shares("k", 81))), "10.0.0.0")
		},
		"who insists waits, and is served when conditions change back": func(s *script) {
			s.ensure(s.service("a", shares("k", 80), asks("10.0.0.7")))
			s.ensure(s.service("b", shares("k", 81), asks("10.0.0.7")))
			s.expect("b", s.ensure(s.service("b", shares("k", 80), asks("10.0.0.7"))), "SharingConflict")
			_, out := s.ask(s.service("a", shares("k", 82), asks("10.0.0.7")))
			s.expect("poked", names(out.Poke), "b")
			s.expect("b", s.ensure(s.service("b", shares("k", 80), asks("10.0.0.7"))), "10.0.0.7")
		},
		"who is alone may change its key in place": func(s *script) {
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("a", s.ensure(s.service("a", shares("l", 80))), "10.0.0.0")
			s.expect("b", s.ensure(s.service("b", shares("l", 81))), "10.0.0.0")
			s.expect("c", s.ensure(s.service("c", shares("k", 81))), "10.0.0.1")
		},
		"a full pool has room beside others": func(s *script) {
			s.setPools(newPool("public", "10.0.0.1"))
			s.ensure(s.service("a", shares("k", 80)))
			s.expect("b", s.ensure(s.service("b", shares("k", 80))), "PoolExhausted")
			s.expect("c", s.ensure(s.service("c", shares("k", 80))), "PoolExhausted")
			_, out := s.ask(s.service("a", shares("k", 81)))
			s.expect("one fits, and the next would not beside it", names(out.Poke), "b")
			// It has changed its mind, so there is room for the next.
			_, out = s.ask(s.service("b", shares("l", 80)))
			s.expect("poked", names(out.Poke), "c")
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

func TestWaiting(t *testing.T) {
	stories(t, map[string]func(*script){
		"one address that is freed is offered to one Service, the oldest": func(s *script) {
			s.ensure(s.service("holder"))
			old := s.service("old")
			for _, name := range []string{"x", "y", "z"} {
				s.ensure(s.service(name))
			}
			s.ensure(old)
			s.expect("poked", s.release(s.service("holder")), "old")
		},
		"who needs both families is told of as many as there are of the scarcer": func(s *script) {
			s.setPools(newPool("four", "10.0.0.0"), newPool("six", "fd00::"))
			for _, name := range []string{"a", "x", "y", "z"} {
				s.ensure(s.service(name, stack(require, v4, v6)))
			}
			s.expect("poked", s.setPools(newPool("four", "10.0.0.0"), newPool("six", "fd00::/64")), "")
			s.expect("poked", s.setPools(newPool("four", "10.0.0.0/31"), newPool("six", "fd00::/64")), "x")
			s.ensure(s.service("x", stack(require, v4, v6)))
			s.expect("poked", s.setPools(newPool("four", "10.0.0.0/29"), newPool("six", "fd00::-fd00::2")), "y")
		},
		"who was told and wants it no more passes it on": func(s *script) {
			s.ensure(s.service("holder"))
			s.ensure(s.service("x"))
			s.ensure(s.service("y"))
			s.expect("poked", s.release(s.service("holder")), "x")
			_, out := s.ask(s.service("x", from("nowhere")))
			s.expect("poked", names(out.Poke), "y")
		},
		"who was told and is deleted passes it on": func(s *script) {
			s.ensure(s.service("holder"))
			s.ensure(s.service("x"))
			s.ensure(s.service("y"))
			s.release(s.service("holder"))
			s.expect("poked", s.release(s.service("x")), "y")
		},
		"a second address goes to the second": func(s *script) {
			s.setPools(newPool("two", "10.0.0.0/31"))
			s.ensure(s.service("a"))
			s.ensure(s.service("b"))
			s.ensure(s.service("x"))
			s.ensure(s.service("y"))
			s.expect("poked", s.release(s.service("a")), "x")
			s.expect("poked", s.release(s.service("b")), "y")
		},
		"a pool that grows is offered to as many as it has room for": func(s *script) {
			for _, name := range []string{"a", "b", "c", "d", "e"} {
				s.ensure(s.service(name))
			}
			s.expect("poked", s.setPools(newPool("one", "10.0.0.1-10.0.0.3")), "b c")
		},
		"a pool that is not for them concerns nobody": func(s *script) {
			s.ensure(s.service("a"))
			s.ensure(s.service("b"))
			s.expect("poked", s.setPools(newPool("one", "10.0.0.1"), with(newPool("two", "10.0.0.2"), notAutomatic)), "")
			s.expect("poked", s.setPools(newPool("one", "10.0.0.1"), newPool("six", "fd00::/64")), "")
		},
		"who is served by another pool leaves the queue of this one": func(s *script) {
			s.setPools(newPool("one", "10.0.0.1"), newPool("two", "10.0.0.2"))
			for _, name := range []string{"a", "b", "x", "y"} {
				s.ensure(s.service(name))
			}
			s.expect("poked", s.release(s.service("a")), "x")
			s.expect("x may come for this one too", s.release(s.service("b")), "")
			answer, out := s.ask(s.service("x"))
			s.expect("x", answer, "10.0.0.1")
			s.expect("poked", names(out.Poke), "y")
			s.expect("y", s.ensure(s.service("y")), "10.0.0.2")
		},
	}, newPool("one", "10.0.0.1"))
}

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
			s.expect("conflicts", conflicts(s.a.Restore(s.now, []Request{younger, older})), "10.0.0.1: older, not younger")
			answer, out := s.ask(younger)
			s.expect("younger", answer, "10.0.0.0")
			s.expect("told once", conflicts(out.Conflicts), "")
			s.expect("older", s.ensure(older), "10.0.0.1")
		},
		"two that share may both claim": func(s *script) {
			s.expect("conflicts", conflicts(s.a.Restore(s.now, []Request{
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
			s.expect("conflicts", conflicts(out.Conflicts), "10.0.0.0: older, not younger")
			s.expect("poked", names(out.Poke), "younger")
			s.expect("younger", s.ensure(younger), "10.0.0.1")
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
			s.expect("conflicts", conflicts(out.Conflicts), "10.0.0.0: original, not clone")
			_, out = s.ask(s.service("clone", believes("10.0.0.0")))
			s.expect("told once", conflicts(out.Conflicts), "")
		},
		"a late write over a status does not take from the one who has the address": func(s *script) {
			older, younger := s.service("older"), s.service("younger")
			s.ensure(younger)
			s.ensure(older)
			answer, out := s.ask(s.service("older", believes("10.0.0.0")))
			s.expect("older", answer, "10.0.0.1")
			s.expect("conflicts", conflicts(out.Conflicts), "10.0.0.0: younger, not older")
		},
		"a status that is not repaired yet is no conflict": func(s *script) {
			a := s.service("a")
			s.ensure(a)
			s.ensure(s.service("a", believes("10.0.0.0"), asks("10.0.0.9")))
			s.ensure(s.service("b", asks("10.0.0.0")))
			_, out := s.ask(s.service("a", believes("10.0.0.0"), asks("10.0.0.9")))
			s.expect("conflicts", conflicts(out.Conflicts), "")
		},
	}, pool)
}
