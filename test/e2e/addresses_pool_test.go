package e2e

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

var onlyIPv6 = families(single, ipv6)

func testPools(d *deployment) {
	d.scenario("a pool hands out all of its CIDRs, ranges and single addresses of both families", func(d *deployment) {
		v4 := []string{"192.0.2.8", "192.0.2.9", "192.0.2.10", "192.0.2.11", "192.0.2.20", "192.0.2.21", "192.0.2.30"}
		v6 := []string{"2001:db8::8", "2001:db8::9", "2001:db8::20"}
		d.provide(pool("mixed", "192.0.2.8/30", "2001:db8::8/127", "192.0.2.20-192.0.2.21", "192.0.2.30", "2001:db8::20"))
		got := d.loadBalancers(nil, "a1", "a2", "a3", "a4", "a5", "a6", "a7")
		if slices.Sort(got); !slices.Equal(got, sorted(v4)) {
			d.t.Errorf("got %v, want %v", got, v4)
		}
		got = d.loadBalancers(onlyIPv6, "b1", "b2", "b3")
		if slices.Sort(got); !slices.Equal(got, sorted(v6)) {
			d.t.Errorf("got %v, want %v", got, v6)
		}
		d.loadBalancer("a8", nil)
		d.awaitRefusal("a8", "PoolExhausted", `pool "mixed" has no free IPv4 address`)
		d.loadBalancer("b4", onlyIPv6)
		d.awaitRefusal("b4", "PoolExhausted", `pool "mixed" has no free IPv6 address`)
		d.awaitCountsByFamily("mixed", &v1alpha1.AddressCounts{Total: 7, Assigned: 7}, &v1alpha1.AddressCounts{Total: 3, Assigned: 3})
	})

	d.scenario("excluded addresses are not handed out, not even on request", func(d *deployment) {
		d.provide(poolWith("holes", `exclude: ["192.0.2.0", "192.0.2.2-192.0.2.6"]`, "192.0.2.0/29"))
		if got := d.loadBalancers(nil, "first", "second"); !slices.Equal(got, []string{"192.0.2.1", "192.0.2.7"}) {
			d.t.Errorf("got %v, want .1 and .7", got)
		}
		d.loadBalancer("third", wish("192.0.2.2"))
		d.awaitRefusal("third", "AddressNotInPool", `192.0.2.2 is excluded from pool "holes"`)
		d.awaitCountsByFamily("holes", &v1alpha1.AddressCounts{Total: 2, Assigned: 2}, nil)
	})

	d.scenario("a pool that avoids buggy IPs leaves out .0 and .255", func(d *deployment) {
		d.provide(poolWith("tidy", "avoidBuggyIPs: true", "192.0.2.254-192.0.3.1"))
		if got := d.loadBalancers(nil, "first", "second"); !slices.Equal(got, []string{"192.0.2.254", "192.0.3.1"}) {
			d.t.Errorf("got %v, want 192.0.2.254 and 192.0.3.1", got)
		}
		d.loadBalancer("third", wish("192.0.2.255"))
		d.awaitRefusal("third", "AddressNotInPool", "192.0.2.255")
	})

	d.scenario("a pool that is not for automatic use serves those who ask for it or for its addresses", func(d *deployment) {
		d.provide(poolWith("precious", "autoAssign: false", "192.0.2.0/30"))
		d.loadBalancer("anybody", nil)
		d.awaitRefusal("anybody", "NoMatchingPool", "autoAssign")
		d.loadBalancer("by-pool", annotate("clarionlb.io/address-pool", "precious"))
		d.awaitAddresses("by-pool", "192.0.2.0")
		d.loadBalancer("by-address", wish("192.0.2.2"))
		d.awaitAddresses("by-address", "192.0.2.2")
		d.provide(pool("precious", "192.0.2.0/30"))
		d.awaitAddresses("anybody", "192.0.2.1")
	})

	d.scenario("pools that select Services come first, then the priority counts, then the name", func(d *deployment) {
		d.provide(
			pool("all-last", "192.0.2.1"),
			poolWith("all-second-b", "serviceAllocation: {priority: 20}", "192.0.2.2"),
			poolWith("all-second-a", "serviceAllocation: {priority: 20}", "192.0.2.3"),
			poolWith("all-first", "serviceAllocation: {priority: 10}", "192.0.2.4"),
			poolWith("some-last", "serviceAllocation: {namespaces: [default]}", "192.0.2.5"),
			poolWith("some-first", "serviceAllocation: {priority: 50, namespaces: [default]}", "192.0.2.6"),
		)
		want := []string{"192.0.2.6", "192.0.2.5", "192.0.2.4", "192.0.2.3", "192.0.2.2", "192.0.2.1"}
		if got := d.loadBalancers(nil, "s1", "s2", "s3", "s4", "s5", "s6"); !slices.Equal(got, want) {
			d.t.Errorf("got %v, want %v", got, want)
		}
	})

	d.scenario("a pool serves the namespaces and Services that it selects", func(d *deployment) {
		d.provide(poolWith("front", `serviceAllocation: {namespaces: [team-a], namespaceSelectors: [{matchLabels: {team: b}}], serviceSelectors: [{matchLabels: {tier: front}}]}`, "192.0.2.0/29"))
		front := label("tier", "front")
		a, b := d.within("team-a"), d.within("team-b")
		d.kubectl("label", "namespace", "team-b", "team=b")
		defer d.kubectl("label", "namespace", "team-b", "team-")
		a.loadBalancer("named", front)
		a.awaitAddress("named")
		b.loadBalancer("labelled", front)
		b.awaitAddress("labelled")
		a.loadBalancer("back", nil)
		a.awaitRefusal("back", "NoMatchingPool", `pool "front" does not select the Service by its labels`)
		d.loadBalancer("elsewhere", front)
		d.awaitRefusal("elsewhere", "NoMatchingPool", `pool "front" is not for Services in namespace "default"`)
		d.loadBalancer("insisting", all(front, annotate("clarionlb.io/address-pool", "front")))
		d.awaitRefusal("insisting", "NoMatchingPool", `pool "front" is not for Services in namespace "default"`)
		d.loadBalancer("cunning", all(front, wish("192.0.2.5")))
		d.awaitRefusal("cunning", "NoMatchingPool", `pool "front" is not for Services in namespace "default"`)
	})

	d.scenario("an empty list of selectors selects nothing, and an empty selector everything", func(d *deployment) {
		for i, selection := range []string{"namespaces: []", "namespaceSelectors: []", "serviceSelectors: []"} {
			name := fmt.Sprintf("nobody-%d", i)
			d.provide(poolWith(name, "serviceAllocation: {"+selection+"}", fmt.Sprintf("192.0.2.%d", i)))
			d.loadBalancer(name, annotate("clarionlb.io/address-pool", name))
			d.awaitRefusal(name, "NoMatchingPool", name)
		}
		d.loadBalancer("anybody", nil)
		d.awaitRefusal("anybody", "NoMatchingPool", "no pool is for this Service")
		d.provide(poolWith("everybody", "serviceAllocation: {namespaceSelectors: [{}], serviceSelectors: [{}]}", "192.0.2.10"))
		d.awaitAddresses("anybody", "192.0.2.10")
	})

	d.scenario("a freed address is not reused for a while, except by its former Service, on request, and when no other is left", func(d *deployment) {
		d.provide(poolWith("slow", "reuseAfter: 1h", "192.0.2.0/30"))
		d.loadBalancers(nil, "first", "second")
		d.delete("first", "second")
		d.loadBalancer("third", nil)
		d.awaitAddresses("third", "192.0.2.2")
		d.loadBalancer("second", nil)
		d.awaitAddresses("second", "192.0.2.1")
		d.loadBalancer("fourth", nil)
		d.awaitAddresses("fourth", "192.0.2.3")
		d.loadBalancer("fifth", nil)
		d.awaitAddresses("fifth", "192.0.2.0")
		d.delete("fourth")
		other := d.within("team-a")
		other.loadBalancer("stranger", wish("192.0.2.3"))
		other.awaitRefusal("stranger", "AddressAwaitingReuse", `only Services of namespace "default", which had it, may ask for it`)
		d.awaitPool("slow", func(pool *v1alpha1.IPAddressPool) error {
			if len(pool.Status.AwaitingReuse) != 1 {
				return fmt.Errorf("it records %v", pool.Status.AwaitingReuse)
			}
			return nil
		})
		d.withoutCCM(1, func() { other.loadBalancer("another", wish("192.0.2.3")) })
		other.awaitRefusal("another", "AddressAwaitingReuse", `only Services of namespace "default", which had it, may ask for it`)
		d.loadBalancer("asking", wish("192.0.2.3"))
		d.awaitAddresses("asking", "192.0.2.3")
	})

	d.scenario("a pool keeps namespaces out, and limits what each has of it", func(d *deployment) {
		d.provide(poolWith("bounded", "serviceAllocation: {excludedNamespaces: [team-b], maxAddressesPerNamespace: 1}", "192.0.2.0/29"))
		a, b := d.within("team-a"), d.within("team-b")
		b.loadBalancer("excluded", wish("192.0.2.5"))
		b.awaitRefusal("excluded", "NoMatchingPool", `pool "bounded" excludes namespace "team-b"`)
		a.loadBalancer("one", nil)
		a.awaitAddresses("one", "192.0.2.0")
		a.loadBalancer("two", nil)
		a.awaitRefusal("two", "NamespaceLimitReached", `namespace "team-a" has 1 IPv4 address of pool "bounded", which gives a namespace 1 at most`)
		d.awaitReady("ipaddresspool/bounded", v1alpha1.ReasonValid, `namespace "team-a" has 1 IPv4 address, and is given 1 at most`)
		d.loadBalancer("elsewhere", nil)
		d.awaitAddresses("elsewhere", "192.0.2.1")
		a.delete("one")
		a.awaitAddresses("two", "192.0.2.2") // the first one awaits its reuse
	})

	d.scenario("a freed address is handed out at once if reuseAfter is zero", func(d *deployment) {
		d.provide(poolWith("fast", "reuseAfter: 0s", "192.0.2.0/30"))
		d.loadBalancers(nil, "first")
		d.delete("first")
		d.loadBalancer("second", nil)
		d.awaitAddresses("second", "192.0.2.0")
		err := d.ApplyYAML(d.ctx, poolWith("fast", "reuseAfter: -1s", "192.0.2.0/30"))
		if err == nil || !strings.Contains(err.Error(), "must not be negative") {
			d.t.Errorf("a negative reuseAfter: got error %v, want that it must not be negative", err)
		}
	})

	d.scenario("what can be seen to be wrong with a pool is refused by the API server, and changes nothing", func(d *deployment) {
		d.provide(pool("good", "192.0.2.0/31"))
		d.loadBalancers(nil, "before")
		check := d.untouched("before")
		for _, entry := range []string{"nonsense", "192.0.2.0/33", "192.0.2.200-2001:db8::1", "192.0.2.9-192.0.2.8", "127.0.0.1"} {
			err := d.ApplyYAML(d.ctx, pool("good", "192.0.2.0/31", entry))
			if err == nil || !strings.Contains(err.Error(), "spec.addresses[1]") {
				d.t.Errorf("an edit that adds %q was answered with %v, want that the entry is named", entry, err)
			}
		}
		err := d.ApplyYAML(d.ctx, poolWith("good", "serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: a, operator: Sometimes}]}]}", "192.0.2.0/31"))
		if err == nil || !strings.Contains(err.Error(), "operator") {
			d.t.Errorf("an operator that there is not was answered with %v, want that it is named", err)
		}
		check()
	})

	d.scenario("a malformed pool says what is wrong and affects no other", func(d *deployment) {
		wrong := []struct{ name, manifest, reason, text string }{
			{"overlap-within", pool("overlap-within", "192.0.2.0/28", "192.0.2.8"), v1alpha1.ReasonOverlaps, `"192.0.2.0/28" and "192.0.2.8" overlap`},
			{"backwards", pool("backwards", "2001:db8::9-2001:db8::1"), v1alpha1.ReasonInvalidAddress, "start of range is after its end"},
			{"loopback", pool("loopback", "126.255.255.0-128.0.0.9", "192.0.2.102"), v1alpha1.ReasonInvalidAddress, "loopback"},
			{"wrong-exclude", poolWith("wrong-exclude", "exclude: [\"2001:db8::9-2001:db8::1\"]", "192.0.2.100"), v1alpha1.ReasonInvalidAddress, "spec.exclude"},
		}
		good := pool("good", "198.51.100.0/31")
		d.provide(good)
		d.loadBalancers(nil, "before")
		check := d.untouched("before")
		var manifests []string
		for _, w := range wrong {
			manifests = append(manifests, w.manifest)
		}
		d.provide(manifests...)
		for _, w := range wrong {
			d.awaitReady("ipaddresspool/"+w.name, w.reason, w.text)
		}
		d.awaitReady("ipaddresspool/good", v1alpha1.ReasonValid, "")
		d.loadBalancer("after", nil)
		d.awaitAddresses("after", "198.51.100.1")
		check()

		d.loadBalancer("misled", annotate("clarionlb.io/address-pool", "backwards"))
		d.awaitRefusal("misled", "NoMatchingPool", `pool "backwards" cannot be used: spec.addresses: "2001:db8::9-2001:db8::1": start of range is after its end`)
		d.provide(pool("backwards", "192.0.2.0/32"))
		d.awaitAddresses("misled", "192.0.2.0")
	})

	d.scenario("of two pools that overlap the one that had an address first hands it out, and the other one the rest", func(d *deployment) {
		d.provide(pool("a-older", "192.0.2.0/30"))
		d.provide(pool("b-younger", "192.0.2.2-192.0.2.9"), pool("c-else", "192.0.2.64"))
		d.awaitReady("ipaddresspool/a-older", v1alpha1.ReasonValid, `192.0.2.2-192.0.2.3 is in pool "b-younger" too, which leaves it to this pool`)
		d.awaitReady("ipaddresspool/b-younger", v1alpha1.ReasonOverlaps, `192.0.2.2-192.0.2.3 is left to pool "a-older", which had it first`)
		d.loadBalancer("stays", wish("192.0.2.3"))
		d.awaitAssignment("stays", "Assigned", `from pool "a-older"`, "192.0.2.3")
		d.loadBalancer("beside", wish("192.0.2.7"))
		d.awaitAssignment("beside", "Assigned", `from pool "b-younger"`, "192.0.2.7")
		check := d.untouched("beside")
		d.withdraw("a-older") // it leaves what the other has to that, and is gone since no Service has more of it
		d.awaitAssignment("stays", "Assigned", `from pool "b-younger"`, "192.0.2.3")
		d.awaitGone("a-older")
		d.awaitReady("ipaddresspool/b-younger", v1alpha1.ReasonValid, "")
		// A pool that comes to have addresses of another one takes none of them.
		d.provide(pool("c-else", "192.0.2.64", "192.0.2.0/28"))
		d.awaitReady("ipaddresspool/b-younger", v1alpha1.ReasonValid, `192.0.2.2-192.0.2.9 is in pool "c-else" too`)
		d.awaitReady("ipaddresspool/c-else", v1alpha1.ReasonOverlaps, `192.0.2.2-192.0.2.9 is left to pool "b-younger"`)
		d.awaitAssignment("stays", "Assigned", `from pool "b-younger"`, "192.0.2.3")
		check()
	})

	d.scenario("a pool that overlaps addresses of the cluster says so and leaves out those of nodes", func(d *deployment) {
		d.provide(
			pool("lan", "192.168.10.10-192.168.10.12", "fd00:10::10-fd00:10::12"),
			poolWith("in-services", "autoAssign: false", "10.96.255.0/30"),
			poolWith("in-pods", "autoAssign: false", "fd00:244:1::100/126"),
		)
		d.awaitReady("ipaddresspool/lan", v1alpha1.ReasonValid, `192.168.10.11 is the address of node "n1" and is not handed out; fd00:10::11 is the address of node "n1"`)
		d.awaitReady("ipaddresspool/in-services", v1alpha1.ReasonValid, "the cluster's Service CIDR, 10.96.0.0/16")
		d.awaitReady("ipaddresspool/in-pods", v1alpha1.ReasonValid, `the pod CIDR of node "n1", fd00:244:1::/64`)
		if got := d.loadBalancers(nil, "first", "second"); !slices.Equal(got, []string{"192.168.10.10", "192.168.10.12"}) {
			d.t.Errorf("got %v, want .10 and .12", got)
		}
		d.loadBalancer("third", nil)
		d.awaitRefusal("third", "PoolExhausted", `"lan"`)
		d.loadBalancer("hijacker", wish("192.168.10.11"))
		d.awaitRefusal("hijacker", "AddressReserved", `192.168.10.11 is never handed out: it is the address of node "n1"`)
		d.awaitCountsByFamily("lan", &v1alpha1.AddressCounts{Total: 2, Assigned: 2}, &v1alpha1.AddressCounts{Total: 2, Available: 2})
	})
}
