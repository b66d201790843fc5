package loadbalancer

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
		"a CIDR with host bits": {
			newPool("p", "10.0.0.77/24"), "Valid", "10.0.0.77/24 stands for 10.0.0.0-10.0.0.255",
		},
		"an IPv6 CIDR with host bits, beside others": {
			newPool("p", " 2001:DB8::7/120 ", "10.0.0.0/24", "10.0.1.1/32", "10.0.2.0-10.0.2.9"), "Valid",
			"2001:db8::7/120 stands for 2001:db8::-2001:db8::ff",
		},
		"host bits in exclude": {
			spec(func(p *v1alpha1.IPAddressPoolSpec) { p.Exclude = []string{"10.0.0.77/25"} }), "Valid",
			"spec.exclude: 10.0.0.77/25 stands for 10.0.0.0-10.0.0.127",
		},
		"many CIDRs with host bits": {
			newPool("p", "10.0.6.1/24", "10.0.5.1/24", "10.0.4.1/24", "10.0.3.1/24", "10.0.2.1/24"), "Valid",
			"10.0.6.1/24 stands for 10.0.6.0-10.0.6.255; 10.0.5.1/24 stands for 10.0.5.0-10.0.5.255; " +
				"10.0.4.1/24 stands for 10.0.4.0-10.0.4.255; 10.0.3.1/24 stands for 10.0.3.0-10.0.3.255; and others",
		},
		"entries that overlap because of host bits": {
			newPool("p", "10.0.0.5", "10.0.0.77/24"), "Overlaps",
			`spec.addresses: "10.0.0.5" and "10.0.0.77/24" overlap; 10.0.0.77/24 stands for 10.0.0.0-10.0.0.255`,
		},
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
			spec(only(v1alpha1.ServiceAllocation{ServiceSelectors: []v1alpha1.LabelSelector{{}, {MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "x", Operator: "Sometimes"}}}}})),
			"InvalidSelector", `spec.serviceAllocation.serviceSelectors[1]: "Sometimes" is not a valid label selector operator`,
		},
		"a selector of namespaces that cannot be read": {
			spec(only(v1alpha1.ServiceAllocation{NamespaceSelectors: []v1alpha1.LabelSelector{{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "x", Operator: "Sometimes"}}}}})),
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
			s.expect("requeued", s.setPools(newer), "a")
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
			s.expect("requeued", s.setPools(pool.DeepCopy()), "")
			if s.a.pools["public"] != before {
				s.t.Error("the pool was read again")
			}
		},
		"a pool that grows leaves everybody where they are": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("requeued", s.setPools(newPool("public", "10.0.1.0/24", "10.0.0.0/30")), "")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
		},
		"a pool that shrinks moves those whose address it lost": func(s *script) {
			s.ensure(s.service("a"))
			s.ensure(s.service("b"))
			s.expect("requeued", s.setPools(newPool("public", "10.0.0.1-10.0.0.3")), "a")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.2")
			s.expect("b", s.ensure(s.service("b")), "10.0.0.1")
		},
		"an address that is excluded later moves its Service": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("requeued", s.setPools(with(pool, func(p *v1alpha1.IPAddressPoolSpec) { p.Exclude = []string{"10.0.0.0"} })), "a")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.1")
		},
		"a pool that is deleted leaves its Services with a reason": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("requeued", s.setPools(), "a")
			s.expect("a", s.ensure(s.service("a")), "NoMatchingPool")
			s.expect("requeued", s.setPools(pool), "a")
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
			s.expect("requeued", s.setPools(newPool("renamed", "10.0.0.0/29")), "a")
			s.expect("a", s.sentence(s.service("a")), `10.0.0.0 from pool "renamed"`)
		},
		"a pool that is closed to a namespace loses its Services": func(s *script) {
			s.ensure(s.service("a"))
			s.ensure(s.service("other/b"))
			s.expect("requeued", s.setPools(with(pool, only(v1alpha1.ServiceAllocation{Namespaces: []string{"other"}}))), "a")
			s.expect("a", s.ensure(s.service("a")), "NoMatchingPool")
			s.expect("a", s.sentence(s.service("a")), `no pool is for this Service: pool "public" is not for Services in namespace "default"`)
			s.expect("b", s.ensure(s.service("other/b")), "10.0.0.1")
		},
		"a pool that no longer assigns by itself keeps its Services": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("requeued", s.setPools(with(pool, notAutomatic)), "")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
		},
		"a better pool that appears moves nobody": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("requeued", s.setPools(pool, with(newPool("better", "10.1.0.0/24"), only(v1alpha1.ServiceAllocation{Priority: 1, Namespaces: []string{"default"}}))), "")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
		},
		"a namespace that is relabelled loses its addresses": func(s *script) {
			s.setPools(with(pool, only(v1alpha1.ServiceAllocation{NamespaceSelectors: []v1alpha1.LabelSelector{byLabel("name", "default")}})))
			s.ensure(s.service("a"))
			s.expect("the same labels", names(s.a.SetNamespace(s.now, "default", map[string]string{"name": "default", "x": "y"})), "")
			s.expect("requeued", names(s.a.SetNamespace(s.now, "default", nil)), "a")
			s.expect("a", s.ensure(s.service("a")), "NoMatchingPool")
			s.expect("requeued", names(s.a.SetNamespace(s.now, "default", map[string]string{"name": "default"})), "a")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			s.expect("deleted", names(s.a.DeleteNamespace(s.now, "default")), "a")
		},
		"a Service that is relabelled loses its address": func(s *script) {
			s.setPools(with(pool, only(v1alpha1.ServiceAllocation{ServiceSelectors: []v1alpha1.LabelSelector{byLabel("tier", "web")}})))
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
