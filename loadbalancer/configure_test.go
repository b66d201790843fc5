package loadbalancer

import (
	"strings"
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
			`10.9.0.128-10.9.0.255 is left to pool "healthy", which had it first`,
		},
		"an older pool that overlaps some of it": {
			younger(newPool("p", "10.8.255.0-10.9.0.1", "10.9.0.4/30")), "Overlaps",
			`10.9.0.0-10.9.0.1 is left to pool "healthy", which had it first; 10.9.0.4-10.9.0.7 is left to pool "healthy", which had it first`,
		},
		"namespaces that do not exist": {
			spec(only(v1alpha1.ServiceAllocation{Namespaces: []string{"shpo", "default", "a"}})), "Valid",
			`spec.serviceAllocation.namespaces: there is no namespace "a"; spec.serviceAllocation.namespaces: there is no namespace "shpo"`,
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
			if usable := status.Ready || strings.Contains(status.Message, "left to"); usable == (status.IPv4 == nil) {
				t.Errorf("counts %+v", status.IPv4)
			}
			if other := s.a.PoolStatuses(s.now)["healthy"]; !other.Ready {
				t.Errorf("the healthy pool suffers: %+v", other)
			}
			s.expect("a Service of the healthy pool", s.ensure(s.service("a", asks("10.9.0.200"))), "10.9.0.200")
		})
	}
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
		"a pool that is closed to a namespace keeps its Services, and takes no other": func(s *script) {
			s.ensure(s.service("a"))
			s.expect("requeued", s.setPools(with(pool, only(v1alpha1.ServiceAllocation{Namespaces: []string{"other"}}))), "")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			s.expect("a by name", s.ensure(s.service("a", from("public"), asks("10.0.0.0"))), "10.0.0.0")
			s.expect("another address", s.sentence(s.service("a", asks("10.0.0.1"))), `pool "public" is not for Services in namespace "default"`)
			s.expect("c", s.sentence(s.service("c")), `no pool is for this Service: pool "public" is not for Services in namespace "default"`)
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
		"a namespace that is relabelled keeps its addresses, and gets no other": func(s *script) {
			s.setPools(with(pool, only(v1alpha1.ServiceAllocation{NamespaceSelectors: []v1alpha1.LabelSelector{byLabel("name", "default")}})))
			s.ensure(s.service("a"))
			s.expect("the same labels", names(s.a.SetNamespace(s.now, "default", map[string]string{"name": "default", "x": "y"})), "")
			s.expect("requeued", names(s.a.SetNamespace(s.now, "default", nil)), "")
			s.expect("a", s.ensure(s.service("a")), "10.0.0.0")
			s.expect("b", s.ensure(s.service("b")), "NoMatchingPool")
			s.expect("requeued", names(s.a.SetNamespace(s.now, "default", map[string]string{"name": "default"})), "b")
			s.expect("deleted", names(s.a.DeleteNamespace(s.now, "default")), "")
		},
		"a Service that is relabelled keeps its address": func(s *script) {
			s.setPools(with(pool, only(v1alpha1.ServiceAllocation{ServiceSelectors: []v1alpha1.LabelSelector{byLabel("tier", "web")}})))
			s.expect("a", s.ensure(s.service("a", labelled("tier", "web"))), "10.0.0.0")
			s.expect("a", s.ensure(s.service("a", labelled("tier", "db"))), "10.0.0.0")
			s.expect("b", s.sentence(s.service("b", labelled("tier", "db"))), `no pool is for this Service: pool "public" does not select the Service by its labels`)
		},
		"a pool that was never good says so to who asks for it": func(s *script) {
			s.setPools(newPool("broken", "10.0.1.1", "nonsense"))
			s.expect("a", s.sentence(s.service("a", from("broken"))),
				`pool "broken" cannot be used: spec.addresses: "nonsense" is neither a CIDR, a range nor an IP address`)
			s.expect("b", s.sentence(s.service("b")),
				`no pool is for this Service: pool "broken" cannot be used: spec.addresses: "nonsense" is neither a CIDR, a range nor an IP address`)
		},
	}, pool)
}
