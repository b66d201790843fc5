package e2e

import (
	"fmt"
	"slices"

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

	d.scenario("a pool is not deleted under Services, and hands out nothing meanwhile", func(d *deployment) {
		d.provide(pool("a", "192.0.2.0/30"), poolWith("b", "autoAssign: false", "198.51.100.0/30"))
		d.loadBalancers(nil, "any")
		d.loadBalancers(annotate("clarionlb.io/address-pool", "a"), "loyal")
		d.loadBalancers(wish("192.0.2.3"), "insists")
		d.loadBalancers(annotate("clarionlb.io/address-pool", "b"), "unaffected")
		d.awaitFinalizer("a")
		check := d.untouched("any", "loyal", "insists", "unaffected")
		d.withdraw("a")
		d.awaitReady("ipaddresspool/a", v1alpha1.ReasonDeleting, "default/any, default/insists, default/loyal")
		d.loadBalancer("late", nil)
		d.awaitRefusal("late", "NoMatchingPool", `pool "a" is being deleted`)
		check()
		d.delete("any", "loyal", "insists")
		d.awaitGone("a")
		d.loadBalancer("loyal", annotate("clarionlb.io/address-pool", "a"))
		d.awaitRefusal("loyal", "NoMatchingPool", `pool "a" does not exist`)
		d.provide(pool("a", "192.0.2.0/30"))
		d.awaitAddress("late")
		d.awaitAddress("loyal")
	})

	d.scenario("no Service loses its address to mistakes in pools, or swaps it with another", func(d *deployment) {
		good := pool("a", "192.0.2.0-192.0.2.3", "2001:db8::/126")
		d.provide(good)
		got := d.loadBalancers(nil, "s0", "s1", "s2")
		unchanged := func(when string) {
			d.t.Helper()
			for i, name := range []string{"s0", "s1", "s2"} {
				if now := addressTexts(d.service(name)); len(now) != 1 || now[0] != got[i] {
					d.t.Errorf("%s, Service %s has %v, want %s", when, name, now, got[i])
				}
			}
		}
		d.awaitFinalizer("a")
		check := d.untouched("s0", "s1", "s2")
		// What the schema cannot see.
		d.provide(pool("a", "192.0.2.0-192.0.2.3", "2001:db8::3-2001:db8::"))
		d.awaitReady("ipaddresspool/a", v1alpha1.ReasonInvalidAddress, `"2001:db8::3-2001:db8::": start of range is after its end; the last good version stays in force`)
		d.provide(pool("a", "192.0.2.0/30", "192.0.2.1"))
		d.awaitReady("ipaddresspool/a", v1alpha1.ReasonOverlaps, `"192.0.2.0/30" and "192.0.2.1" overlap; the last good version stays in force`)
		d.provide(pool("overlapping", "192.0.2.0/24"))
		d.loadBalancer("new", annotate("clarionlb.io/address-pool", "a"))
		d.awaitAddresses("new", "192.0.2.3") // by the last good version
		d.withoutCCM(1, func() {})
		d.loadBalancer("after-restart", nil)
		d.awaitAddresses("after-restart", "192.0.2.4")
		unchanged("after a restart with the mistake in place")
		d.provide(poolWith("a", "serviceAllocation: {namespaces: [defualt]}", "192.0.2.0-192.0.2.3", "2001:db8::/126"))
		d.awaitReady("ipaddresspool/a", v1alpha1.ReasonValid, `there is no namespace "defualt"`)
		d.provide(good)
		d.awaitReady("ipaddresspool/a", v1alpha1.ReasonValid, `192.0.2.0-192.0.2.3 is in pool "overlapping" too`)
		check()

		// A pool that is deleted by force and comes back.
		d.delete("after-restart")
		d.withdraw("overlapping")
		d.awaitGone("overlapping")
		d.withdraw("a")
		d.awaitReady("ipaddresspool/a", v1alpha1.ReasonDeleting, "default/s0, default/s1, default/s2")
		d.withoutCCM(1, func() {
			d.kubectl("patch", "ipaddresspool", "a", "--type=merge", `--patch={"metadata": {"finalizers": null}}`)
			d.awaitGone("a")
		})
		d.awaitAssignment("s0", "Assigned", "which is in no pool any more", got[0])
		d.loadBalancer("latecomer", nil)
		d.awaitRefusal("latecomer", "NoMatchingPool", "there is no IPAddressPool")
		unchanged("without the pool")
		d.provide(good)
		d.awaitAssignment("s0", "Assigned", `from pool "a"`, got[0])
		d.awaitRefusal("latecomer", "PoolExhausted", "")
		unchanged("with the pool again")
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
		// Who has an address keeps it, and nobody is given another one.
		stays := team.untouched("theirs")
		d.kubectl("label", "namespace", "team-b", "team=c", "--overwrite")
		team.loadBalancer("next", annotate("clarionlb.io/address-pool", "a"))
		team.awaitRefusal("next", "NoMatchingPool", `pool "a" is not for Services in namespace "team-b"`)
		d.kubectl("label", "namespace", "team-b", "team-")
		stays()
		check()

		d.provide(allocation("serviceSelectors: [{matchLabels: {tier: front}}]"))
		team.awaitRefusal("next", "NoMatchingPool", `pool "a" does not select the Service by its labels`)
		team.update("next", label("tier", "front"))
		team.awaitAddresses("next", "192.0.2.2")
		stays = team.untouched("theirs", "next")
		team.loadBalancer("fence-2", annotate("clarionlb.io/address-pool", "a"))
		team.awaitRefusal("fence-2", "NoMatchingPool", `pool "a" does not select the Service by its labels`)
		stays()
		check()
		team.update("next", func(s *corev1.Service) { s.Labels = nil })
		d.provide(poolWith("a", "reuseAfter: 1h", "192.0.2.0/30"))
		team.awaitAddresses("fence-2", "192.0.2.3")
		team.awaitAddresses("next", "192.0.2.2")
		check()
	})
}

// awaitFinalizer waits until a pool cannot be deleted under its Services.
func (d *deployment) awaitFinalizer(name string) {
	d.t.Helper()
	d.awaitPool(name, func(pool *v1alpha1.IPAddressPool) error {
		if !slices.Contains(pool.Finalizers, v1alpha1.FinalizerPoolInUse) {
			return fmt.Errorf("it has the finalizers %v", pool.Finalizers)
		}
		return nil
	})
}
