package e2e

import (
	corev1 "k8s.io/api/core/v1"
)

func testRequests(d *deployment) {
	d.scenario("a Service can ask for an address or a pool by every field and annotation", func(d *deployment) {
		d.provide(pool("a-general", "192.0.2.0/28"), poolWith("named", "autoAssign: false", "198.51.100.0/28"))
		for name, s := range map[string]struct {
			change func(*corev1.Service)
			want   string
		}{
			"field":        {wish("192.0.2.10"), "192.0.2.10"},
			"ours":         {annotate("clarionlb.io/addresses", "192.0.2.11"), "192.0.2.11"},
			"metallb":      {annotate("metallb.io/loadBalancerIPs", "192.0.2.12"), "192.0.2.12"},
			"old-metallb":  {annotate("metallb.universe.tf/loadBalancerIPs", "192.0.2.13"), "192.0.2.13"},
			"in-pool":      {all(annotate("clarionlb.io/address-pool", "named"), wish("198.51.100.9")), "198.51.100.9"},
			"in-agreement": {all(annotate("clarionlb.io/addresses", "192.0.2.14"), annotate("metallb.io/loadBalancerIPs", "192.0.2.14"), wish("192.0.2.14")), "192.0.2.14"},
		} {
			d.loadBalancer(name, s.change)
			d.awaitAddresses(name, s.want)
		}
		for i, annotation := range []string{"clarionlb.io/address-pool", "metallb.io/address-pool", "metallb.universe.tf/address-pool"} {
			name := []string{"pool-ours", "pool-metallb", "pool-old-metallb"}[i]
			d.loadBalancer(name, annotate(annotation, "named"))
			d.awaitAddresses(name, []string{"198.51.100.0", "198.51.100.1", "198.51.100.2"}[i])
		}
	})

	d.scenario("a request that contradicts itself, is malformed or cannot be met is refused with a reason", func(d *deployment) {
		d.provide(pool("a", "192.0.2.0/28"), pool("b", "198.51.100.0/28"))
		d.loadBalancers(wish("192.0.2.1"), "holder")
		for name, s := range map[string]struct {
			change       func(*corev1.Service)
			reason, text string
		}{
			"two-addresses": {all(annotate("clarionlb.io/addresses", "192.0.2.2"), annotate("metallb.io/loadBalancerIPs", "192.0.2.3")), "InvalidRequest",
				"annotations clarionlb.io/addresses and metallb.io/loadBalancerIPs contradict each other"},
			"two-pools": {all(annotate("metallb.io/address-pool", "a"), annotate("metallb.universe.tf/address-pool", "b")), "InvalidRequest",
				"annotations metallb.io/address-pool and metallb.universe.tf/address-pool contradict each other"},
			"two-keys": {all(annotate("clarionlb.io/allow-shared-ip", "a"), annotate("metallb.io/allow-shared-ip", "b")), "InvalidRequest",
				"annotations clarionlb.io/allow-shared-ip and metallb.io/allow-shared-ip contradict each other"},
			"field-and-annotation": {all(wish("192.0.2.2"), annotate("clarionlb.io/addresses", "192.0.2.3")), "InvalidRequest",
				"spec.loadBalancerIP 192.0.2.2 contradicts annotation clarionlb.io/addresses"},
			"two-of-a-family": {annotate("clarionlb.io/addresses", "192.0.2.2,192.0.2.3"), "InvalidRequest", "annotation clarionlb.io/addresses has two IPv4 addresses"},
			"prose":           {wish("any"), "InvalidRequest", `spec.loadBalancerIP: "any" is not an IP address`},
			"other-pool": {all(wish("192.0.2.2"), annotate("clarionlb.io/address-pool", "b")), "AddressNotInPool",
				`192.0.2.2 is not in pool "b" but in pool "a"`},
			"no-pool":     {wish("203.0.113.1"), "AddressNotInPool", "203.0.113.1 is in no pool"},
			"absent-pool": {annotate("clarionlb.io/address-pool", "c"), "NoMatchingPool", `pool "c" does not exist`},
			"taken":       {wish("192.0.2.1"), "AddressInUse", "192.0.2.1 is in use by Service default/holder"},
		} {
			d.loadBalancer(name, s.change)
			d.awaitRefusal(name, s.reason, s.text)
		}
	})

	d.scenario("a changed request moves the Service, and a removed one leaves it where it is", func(d *deployment) {
		d.provide(pool("a", "192.0.2.0/28"), pool("b", "198.51.100.0/28"))
		for _, s := range []struct {
			name      string
			wish      func(string) func(*corev1.Service)
			one, two  string
			now, then string
		}{
			{"field", wish, "192.0.2.4", "198.51.100.4", "192.0.2.4", "198.51.100.4"},
			{"annotation", func(v string) func(*corev1.Service) { return annotate("clarionlb.io/addresses", v) }, "192.0.2.5", "198.51.100.5", "192.0.2.5", "198.51.100.5"},
			{"pool", func(v string) func(*corev1.Service) { return annotate("metallb.io/address-pool", v) }, "a", "b", "192.0.2.0", "198.51.100.0"},
		} {
			d.loadBalancer(s.name, s.wish(s.one))
			d.awaitAddresses(s.name, s.now)
			d.update(s.name, s.wish(s.two))
			d.awaitAddresses(s.name, s.then)
			d.update(s.name, all(withoutAnnotations, wish("")))
			// The address that it left is free for others. It keeps the one that it has, and nobody
			// writes to it.
			check := d.untouched(s.name)
			d.loadBalancer("heir", wish(s.now))
			d.awaitAddresses("heir", s.now)
			check()
			d.delete("heir")
		}
	})

	d.scenario("a Service that asks for an address of another one waits for it, and has none meanwhile", func(d *deployment) {
		d.provide(poolWith("a", "reuseAfter: 1h", "192.0.2.0/28"))
		d.loadBalancers(nil, "holder", "wisher")
		d.awaitNextSecond()
		d.loadBalancers(nil, "later")
		for _, name := range []string{"wisher", "later"} {
			d.update(name, wish("192.0.2.0"))
			d.awaitRefusal(name, "AddressInUse", "192.0.2.0 is in use by Service default/holder")
		}
		d.delete("holder")
		d.awaitAddresses("wisher", "192.0.2.0")
		d.awaitRefusal("later", "AddressInUse", "192.0.2.0 is in use by Service default/wisher")
		d.update("later", wish(""))
		d.awaitAddresses("later", "192.0.2.2") // the address that it had before
	})

	d.scenario("a Service whose request is malformed keeps the address that it has", func(d *deployment) {
		d.provide(pool("a", "192.0.2.0/28"))
		d.loadBalancers(nil, "confused")
		d.update("confused", annotate("clarionlb.io/addresses", "192.0.2"))
		d.awaitAssignment("confused", "InvalidRequest", `"192.0.2" is not an IP address`, "192.0.2.0")
		d.loadBalancer("other", nil)
		d.awaitAddresses("other", "192.0.2.1")
		d.update("confused", annotate("clarionlb.io/addresses", "192.0.2.2"))
		d.awaitAddresses("confused", "192.0.2.2")
	})
}
