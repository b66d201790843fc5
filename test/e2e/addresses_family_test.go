package e2e

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func testFamilies(d *deployment) {
	both := []string{pool("v4", "192.0.2.0/28"), pool("v6", "2001:db8::/124")}

	d.scenario("a Service gets the families that it asks for, in its order and from different pools", func(d *deployment) {
		d.provide(both...)
		for _, s := range []struct {
			name     string
			policy   corev1.IPFamilyPolicy
			families []corev1.IPFamily
			want     []string
		}{
			{"single-4", single, []corev1.IPFamily{ipv4}, []string{"192.0.2.0"}},
			{"single-6", single, []corev1.IPFamily{ipv6}, []string{"2001:db8::"}},
			{"prefer-46", prefer, []corev1.IPFamily{ipv4, ipv6}, []string{"192.0.2.1", "2001:db8::1"}},
			{"prefer-64", prefer, []corev1.IPFamily{ipv6, ipv4}, []string{"2001:db8::2", "192.0.2.2"}},
			{"require-46", require, []corev1.IPFamily{ipv4, ipv6}, []string{"192.0.2.3", "2001:db8::3"}},
			{"require-64", require, []corev1.IPFamily{ipv6, ipv4}, []string{"2001:db8::4", "192.0.2.4"}},
			{"prefer", prefer, nil, []string{"192.0.2.5", "2001:db8::5"}},
		} {
			d.loadBalancer(s.name, families(s.policy, s.families...))
			d.awaitAddresses(s.name, s.want...)
		}
		d.awaitAssignment("prefer-64", "Assigned", `2001:db8::2 from pool "v6", 192.0.2.2 from pool "v4"`, "2001:db8::2", "192.0.2.2")
		d.loadBalancer("wishes", all(families(require), annotate("clarionlb.io/addresses", "2001:db8::e, 192.0.2.14")))
		d.awaitAddresses("wishes", "192.0.2.14", "2001:db8::e")
		d.loadBalancer("one-wish", all(families(prefer, ipv6, ipv4), wish("192.0.2.13")))
		d.awaitAddresses("one-wish", "2001:db8::6", "192.0.2.13")
	})

	d.scenario("a preferred second family is added when it becomes possible, and the first stays", func(d *deployment) {
		for _, s := range []struct {
			name            string
			families        []corev1.IPFamily
			pools           [2]string
			without         string
			first, second   string
			missing, gotten string
		}{
			{"prefer-46", []corev1.IPFamily{ipv4, ipv6}, [2]string{pool("first", "192.0.2.8/30"), pool("second", "2001:db8::8/126")}, poolWith("second", `exclude: ["2001:db8::8/126"]`, "2001:db8::8/126"), "192.0.2.8", "2001:db8::8", "no IPv6 address", "from pool \"second\""},
			{"prefer-64", []corev1.IPFamily{ipv6, ipv4}, [2]string{pool("first", "2001:db8::8/126"), pool("second", "192.0.2.8/30")}, poolWith("second", "exclude: [192.0.2.8/30]", "192.0.2.8/30"), "2001:db8::8", "192.0.2.8", "no IPv4 address", "from pool \"second\""},
		} {
			d.provide(s.pools[0])
			d.loadBalancer(s.name, families(prefer, s.families...))
			d.awaitAssignment(s.name, "Assigned", s.missing, s.first)
			d.provide(s.pools[1])
			d.awaitAssignment(s.name, "Assigned", s.gotten, s.first, s.second)
			d.provide(s.without)
			d.awaitAssignment(s.name, "Assigned", s.missing, s.first)
			d.delete(s.name)
			d.withdraw("first", "second")
			d.awaitGone()
		}
	})

	d.scenario("either family alone serves a Service that prefers both", func(d *deployment) {
		d.provide(pool("v6", "2001:db8::/124"))
		d.loadBalancer("prefer-46", families(prefer, ipv4, ipv6))
		d.awaitAssignment("prefer-46", "Assigned", "no IPv4 address", "2001:db8::")
		d.provide(pool("v4", "192.0.2.0/28"))
		d.awaitAddresses("prefer-46", "192.0.2.0", "2001:db8::")
	})

	d.scenario("the second family comes and goes as the Service wants it", func(d *deployment) {
		d.provide(both...)
		for _, s := range []struct {
			name          string
			order         []corev1.IPFamily
			first, second string
		}{
			{"grows-46", []corev1.IPFamily{ipv4, ipv6}, "192.0.2.0", "2001:db8::"},
			{"grows-64", []corev1.IPFamily{ipv6, ipv4}, "2001:db8::1", "192.0.2.1"},
		} {
			d.loadBalancer(s.name, families(single, s.order[0]))
			d.awaitAddresses(s.name, s.first)
			d.update(s.name, families(require, s.order...))
			d.awaitAddresses(s.name, s.first, s.second)
			d.update(s.name, func(s *corev1.Service) {
				families(single, s.Spec.IPFamilies[0])(s)
				s.Spec.ClusterIPs = s.Spec.ClusterIPs[:1]
			})
			d.awaitAddresses(s.name, s.first)
			d.update(s.name, families(prefer, s.order...))
			d.awaitAddresses(s.name, s.first, s.second)
		}
		d.awaitCountsByFamily("v4", &v1alpha1.AddressCounts{Total: 16, Assigned: 2, Available: 14}, nil)
	})

	d.scenario("a Service that requires both families has both or neither", func(d *deployment) {
		d.provide(pool("v4", "192.0.2.0"), pool("v6", "2001:db8::/124"))
		d.loadBalancer("first", nil)
		d.awaitAddresses("first", "192.0.2.0")
		d.loadBalancer("demanding", families(require, ipv6, ipv4))
		d.awaitRefusal("demanding", "PoolExhausted", `pool "v4" has no free IPv4 address`)
		d.awaitCountsByFamily("v6", nil, &v1alpha1.AddressCounts{Total: 16, Available: 16})
		d.delete("first")
		d.awaitAddresses("demanding", "2001:db8::", "192.0.2.0")
		d.provide(pool("v6", "198.51.100.0"))
		d.awaitRefusal("demanding", "FamilyUnavailable", `pools "v4", "v6" have no IPv6 addresses`)
		d.provide(pool("v6", "2001:db8::/124"))
		d.awaitAddresses("demanding", "2001:db8::", "192.0.2.0")
	})

	d.scenario("a pool that is asked for by name gives both families", func(d *deployment) {
		d.provide(append(both, poolWith("mixed", "autoAssign: false", "192.0.2.64/30", "2001:db8::64/126"))...)
		d.loadBalancer("loyal", all(families(require), annotate("clarionlb.io/address-pool", "mixed")))
		d.awaitAddresses("loyal", "192.0.2.64", "2001:db8::64")
		d.loadBalancer("loyal-4", all(families(require), annotate("clarionlb.io/address-pool", "v4")))
		d.awaitRefusal("loyal-4", "FamilyUnavailable", `pool "v4" has no IPv6 addresses`)
	})
}

func testMissingFamily(d *deployment) {
	d.scenario("a Service that requires both families is refused by the API", func(d *deployment) {
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "demanding"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}}}
		families(require)(service)
		_, err := d.Kubernetes().CoreV1().Services(d.namespace).Create(d.ctx, service, metav1.CreateOptions{})
		if err == nil || !strings.Contains(err.Error(), "not configured for dual-stack") {
			d.t.Errorf("got error %v, want that the cluster is not configured for dual-stack", err)
		}
	})

	d.scenario("a Service that prefers both families has the one of the cluster, without complaint", func(d *deployment) {
		d.provide(pool("mixed", "192.0.2.0/30", "2001:db8::/126"))
		d.loadBalancer("modest", families(prefer))
		d.awaitAssignment("modest", "Assigned", `192.0.2.0 from pool "mixed"`, "192.0.2.0")
	})

	d.scenario("an address or a pool of the other family alone does not serve a Service", func(d *deployment) {
		d.provide(pool("v6", "2001:db8::/126"))
		d.loadBalancer("any", nil)
		d.awaitRefusal("any", "FamilyUnavailable", `pool "v6" has no IPv4 addresses`)
		d.loadBalancer("wish", wish("2001:db8::1"))
		d.awaitRefusal("wish", "InvalidRequest", "the Service asks for 2001:db8::1 but has no IPv6: add it to spec.ipFamilies")
	})
}
