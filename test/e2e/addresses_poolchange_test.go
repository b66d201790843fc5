package e2e

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func testPoolsThatChange(d *deployment) {
	d.scenario("a pool that grows serves Services that wait, the oldest first", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0"))
		d.loadBalancers(nil, "served")
		for _, name := range []string{"waits-1", "waits-2", "waits-3"} {
			if name == "waits-3" {
				d.awaitNextSecond()
			}
			d.loadBalancer(name, nil)
			d.awaitRefusal(name, "PoolExhausted", `pool "pool" has no free IPv4 address`)
		}
		check := d.untouched("served", "waits-3")
		d.provide(pool("pool", "192.0.2.0-192.0.2.2"))
		d.awaitAddress("waits-1")
		d.awaitAddress("waits-2")
		check()
		d.provide(pool("other", "198.51.100.0"))
		d.awaitAddresses("waits-3", "198.51.100.0")
	})

	d.scenario("a pool that shrinks moves the Services whose addresses it loses, and no others", func(d *deployment) {
		d.provide(pool("a", "192.0.2.0/30"))
		d.loadBalancers(nil, "s0", "s1", "s2", "s3")
		check := d.untouched("s0", "s1")
		d.provide(pool("b", "198.51.100.0/31"))
		d.provide(poolWith("a", "exclude: [192.0.2.2]", "192.0.2.0-192.0.2.2"))
		d.awaitCounts("a", v1alpha1.AddressCounts{Total: 2, Assigned: 2})
		d.awaitCounts("b", v1alpha1.AddressCounts{Total: 2, Assigned: 2})
		for _, name := range []string{"s2", "s3"} {
			d.awaitAssignment(name, "Assigned", `from pool "b"`, d.awaitOtherAddress(name, "192.0.2.2", "192.0.2.3"))
		}
		check()
		check = d.untouched("s0", "s1", "s2", "s3") // all of them stay
		d.provide(pool("a", "192.0.2.0/30"))
		d.loadBalancer("new", nil)
		d.awaitAddresses("new", "192.0.2.2")
		check()
	})

	d.scenario("a Service waits for the address that it asks for when its pool loses that", func(d *deployment) {
		d.provide(pool("a", "192.0.2.0/30"))
		d.loadBalancers(wish("192.0.2.3"), "insists")
		d.provide(pool("a", "192.0.2.0/31"))
		d.awaitRefusal("insists", "AddressNotInPool", "192.0.2.3 is in no pool")
		d.provide(pool("a", "192.0.2.0/30"))
		d.awaitAddresses("insists", "192.0.2.3")
	})

	d.scenario("Services of a deleted pool move, or wait and say why", func(d *deployment) {
		d.provide(pool("a", "192.0.2.0/30"), pool("b", "198.51.100.0/30"))
		d.loadBalancers(nil, "moves")
		d.loadBalancers(annotate("clarionlb.io/address-pool", "a"), "loyal")
		d.loadBalancers(wish("192.0.2.3"), "insists")
		d.loadBalancers(annotate("clarionlb.io/address-pool", "b"), "unaffected")
		check := d.untouched("unaffected")
		d.withdraw("a")
		d.awaitAddresses("moves", "198.51.100.1")
		d.awaitRefusal("loyal", "NoMatchingPool", `pool "a" does not exist`)
		d.awaitRefusal("insists", "AddressNotInPool", "192.0.2.3 is in no pool")
		check()
		d.provide(pool("a", "192.0.2.0/30"))
		d.awaitAddresses("loyal", "192.0.2.0")
		d.awaitAddresses("insists", "192.0.2.3")
		d.awaitAddresses("moves", "198.51.100.1")
		check()
		d.withdraw("a", "b")
		d.awaitRefusal("moves", "NoMatchingPool", "there is no IPAddressPool")
	})

	d.scenario("a change of a pool that leaves assigned addresses in it writes to no Service", func(d *deployment) {
		d.provide(pool("a", "192.0.2.0/30"))
		d.loadBalancers(nil, "first", "second")
		check := d.untouched("first", "second")
		d.kubectl("label", "ipaddresspool", "a", "tier=gold")
		d.provide(poolWith("a", "autoAssign: false\n  reuseAfter: 1m\n  serviceAllocation: {priority: 7, namespaces: [default]}", "192.0.2.9", "192.0.2.0-192.0.2.3"))
		d.loadBalancer("fence", wish("192.0.2.9"))
		d.awaitAddresses("fence", "192.0.2.9")
		check()
	})

	d.scenario("changed selectors of a pool, and changed labels of namespaces and Services, count at once", func(d *deployment) {
		allocation := func(spec string) string {
			return poolWith("a", "reuseAfter: 1h\n  serviceAllocation: {"+spec+"}", "192.0.2.0/30")
		}
		team := d.within("team-b")
		d.provide(allocation("namespaces: [default]"), pool("z-rest", "198.51.100.0/30"))
		d.loadBalancers(nil, "ours")
		team.loadBalancers(annotate("clarionlb.io/address-pool", "z-rest"), "fence")
		team.loadBalancer("theirs", annotate("clarionlb.io/address-pool", "a"))
		team.awaitRefusal("theirs", "NoMatchingPool", `pool "a" is not for Services in namespace "team-b"`)

		d.provide(allocation("namespaces: [default], namespaceSelectors: [{matchLabels: {team: b}}]"))
		check := d.untouched("ours")
		d.kubectl("label", "namespace", "team-b", "team=b")
		team.awaitAddresses("theirs", "192.0.2.1")
		d.kubectl("label", "namespace", "team-b", "team=c", "--overwrite")
		team.awaitRefusal("theirs", "NoMatchingPool", `pool "a" is not for Services in namespace "team-b"`)
		d.kubectl("label", "namespace", "team-b", "team=b", "--overwrite")
		team.awaitAddresses("theirs", "192.0.2.1")
		d.kubectl("label", "namespace", "team-b", "team-")
		team.awaitRefusal("theirs", "NoMatchingPool", `pool "a" is not for Services in namespace "team-b"`)
		check()

		d.provide(allocation("serviceSelectors: [{matchLabels: {tier: front}}]"))
		d.awaitAddresses("ours", "198.51.100.1")
		team.awaitRefusal("theirs", "NoMatchingPool", `pool "a" does not select the Service by its labels`)
		team.update("theirs", label("tier", "front"))
		team.awaitAddresses("theirs", "192.0.2.1") // the address that it had before
		team.update("theirs", func(s *corev1.Service) { s.Labels = nil })
		team.awaitRefusal("theirs", "NoMatchingPool", `pool "a" does not select the Service by its labels`)
		d.provide(poolWith("a", "reuseAfter: 1h", "192.0.2.0/30"))
		team.awaitAddresses("theirs", "192.0.2.1")
		d.awaitAddresses("ours", "198.51.100.1") // it stays
	})
}
