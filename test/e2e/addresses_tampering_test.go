package e2e

import (
	"context"
	"fmt"
	"net/netip"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func testTamperedStatus(d *deployment) {
	d.scenario("the status of a Service that is cleared or edited by hand is restored", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0/28"))
		d.loadBalancers(nil, "victim", "bystander")
		ingress := d.service("victim").Status.LoadBalancer.Ingress
		check := d.untouched("bystander")
		for _, lie := range []string{
			`{"loadBalancer": null, "conditions": null}`,
			`{"loadBalancer": {"ingress": [{"ip": "192.0.2.9", "ipMode": "VIP"}]}}`,
			`{"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}}`, // the bystander's
			`{"loadBalancer": {"ingress": [{"ip": "192.0.2.0", "ipMode": "VIP"}, {"ip": "203.0.113.7", "ipMode": "VIP"}]}}`,
			`{"loadBalancer": {"ingress": [{"ip": "192.0.2.0", "ipMode": "Proxy"}]}}`,
			`{"loadBalancer": {"ingress": [{"ip": "192.0.2.0", "ipMode": "VIP"}, {"hostname": "example.com"}]}}`,
			`{"conditions": []}`,
			`{"conditions": [{"type": "clarionlb.io/AddressAssigned", "status": "False", "reason": "PoolExhausted", "message": "so they say", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}`,
		} {
			d.patchStatus("victim", lie)
			d.eventually("the status to be restored after "+lie, func(context.Context) error {
				status := d.service("victim").Status
				condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionAddressAssigned)
				if condition == nil || len(status.LoadBalancer.Ingress) != 1 || status.LoadBalancer.Ingress[0].IP != ingress[0].IP || *status.LoadBalancer.Ingress[0].IPMode != *ingress[0].IPMode {
					return fmt.Errorf("it is %v", status)
				}
				return checkCondition(*condition, "Assigned", `192.0.2.0 from pool "pool"`)
			})
		}
		check()
	})

	d.scenario("the status of a pool that is edited by hand is restored", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0/30"))
		d.kubectl("patch", "ipaddresspool", "pool", "--subresource=status", "--type=merge", `--patch={"status": {"ipv4": {"total": 7}, "conditions": []}}`)
		d.awaitCounts("pool", v1alpha1.AddressCounts{Total: 4, Available: 4})
		d.awaitReady("ipaddresspool/pool", v1alpha1.ReasonValid, "")
	})

	d.scenario("a cloned Service whose status has the address of another gets its own, with a warning on both", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0/28"))
		d.loadBalancers(nil, "original")
		check := d.untouched("original")
		d.awaitNextSecond()
		d.loadBalancers(nil, "clone")
		d.patchStatus("clone", `{"loadBalancer": {"ingress": [{"ip": "192.0.2.0", "ipMode": "VIP"}]}}`)
		d.awaitClaimedTwice("192.0.2.0 is claimed by Services default/original and default/clone", "original", "clone")
		d.awaitAddresses("clone", "192.0.2.1")
		check()
	})

	d.scenario("what a former leader writes late is undone, also for a Service that waits", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0"))
		d.loadBalancers(nil, "served")
		check := d.untouched("served")
		d.awaitNextSecond()
		d.loadBalancer("waits", nil)
		d.awaitRefusal("waits", "PoolExhausted", "")
		d.patchStatus("waits", `{"loadBalancer": {"ingress": [{"ip": "192.0.2.0", "ipMode": "VIP"}]}, "conditions": [{"type": "clarionlb.io/AddressAssigned", "status": "True", "reason": "Assigned", "message": "192.0.2.0 from pool \"pool\"", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}`)
		d.awaitClaimedTwice("192.0.2.0 is claimed by Services default/served and default/waits", "served", "waits")
		d.awaitRefusal("waits", "PoolExhausted", "")
		check()
		d.patchStatus("waits", `{"loadBalancer": {"ingress": [{"ip": "203.0.113.1", "ipMode": "VIP"}]}}`)
		d.awaitRefusal("waits", "PoolExhausted", "")
	})

	d.scenario("the address of a Service whose finalizer is removed by force is freed", func(d *deployment) {
		d.provide(poolWith("pool", "reuseAfter: 0s", "192.0.2.0/31"))
		d.loadBalancers(nil, "stays", "goes")
		d.dropFinalizers("goes")
		d.delete("goes")
		d.loadBalancer("heir", nil)
		d.awaitAddresses("heir", "192.0.2.1")
		// A Service that is created again at once, under the same name, is another one.
		d.dropFinalizers("heir")
		d.delete("heir")
		d.loadBalancer("heir", wish("192.0.2.1"))
		d.awaitAddresses("heir", "192.0.2.1")
		d.awaitCounts("pool", v1alpha1.AddressCounts{Total: 2, Assigned: 2})
	})

	d.scenario("of two Services in a restored backup that have one address the older keeps it", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0/28"), pool("wrong", "2001:db8::9-2001:db8::1"))
		d.loadBalancers(nil, "original", "bystander")
		check := d.untouched("original", "bystander")
		d.withoutCCM(2, func() {
			d.awaitNextSecond()
			d.loadBalancer("copy", nil)
			d.patchStatus("copy", `{"loadBalancer": {"ingress": [{"ip": "192.0.2.0", "ipMode": "VIP"}]}}`)
			d.loadBalancer("restored", nil)
			d.patchStatus("restored", `{"loadBalancer": {"ingress": [{"ip": "192.0.2.7", "ipMode": "VIP"}]}}`)
			d.loadBalancer("elsewhere", nil)
			d.patchStatus("elsewhere", `{"loadBalancer": {"ingress": [{"ip": "203.0.113.7", "ipMode": "VIP"}]}}`)
		})
		d.awaitClaimedTwice("192.0.2.0 is claimed by Services default/original and default/copy", "original", "copy")
		d.awaitAddresses("restored", "192.0.2.7") // no other Service has it
		for _, name := range []string{"copy", "elsewhere"} {
			if got := d.awaitOtherAddress(name, "192.0.2.0", "192.0.2.1", "192.0.2.7", "203.0.113.7"); !netip.MustParsePrefix("192.0.2.0/28").Contains(netip.MustParseAddr(got)) {
				d.t.Errorf("Service %s got %s, which is in no pool", name, got)
			}
		}
		check()
		d.awaitReady("ipaddresspool/wrong", v1alpha1.ReasonInvalidAddress, "start of range is after its end")
	})

	d.scenario("a leader that is told to stop releases the lease to the next", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0/28"))
		d.loadBalancers(nil, "before")
		check := d.untouched("before")
		holder, err := d.LeaseHolder(d.ctx)
		if err != nil {
			d.t.Fatal(err)
		}
		leader, err := d.Leader(d.ctx)
		if err != nil {
			d.t.Fatal(err)
		}
		holders := d.watchLease()
		process, err := leader.Process(ccmProcess)
		if err != nil {
			d.t.Fatal(err)
		}
		if err := process.Terminate(); err != nil {
			d.t.Fatal(err)
		}
		// A lease that expires passes from one holder to the next. One that is released has no
		// holder in between.
		for now := range holders {
			if now == "" {
				break
			}
			if now != holder {
				d.t.Fatalf("the lease went from %q to %q without having been released", holder, now)
			}
		}
		for now := range holders {
			if now != "" {
				d.t.Logf("the lease went from %s to %s", holder, now)
				break
			}
		}
		d.loadBalancer("after", nil)
		d.awaitAddresses("after", "192.0.2.1")
		check()
		d.awaitCCM()
	})
}

// awaitClaimedTwice waits until Services have a warning about an address that both claim.
func (d *deployment) awaitClaimedTwice(text string, names ...string) {
	d.t.Helper()
	for _, name := range names {
		d.awaitEvent(name, corev1.EventTypeWarning, "AddressClaimedTwice", text)
	}
}

// watchLease returns the holders of the lease from now on: one for each version of it, empty if it
// has none.
func (d *deployment) watchLease() func(yield func(holder string) bool) {
	d.t.Helper()
	leases := d.Kubernetes().CoordinationV1().Leases(metav1.NamespaceSystem)
	now, err := leases.Get(d.ctx, lease, metav1.GetOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	watch, err := leases.Watch(d.ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, lease).String(),
		ResourceVersion: now.ResourceVersion,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(watch.Stop)
	return func(yield func(string) bool) {
		ctx, cancel := context.WithTimeout(d.ctx, patience)
		defer cancel()
		for {
			select {
			case event := <-watch.ResultChan():
				object, ok := event.Object.(*coordinationv1.Lease)
				if !ok {
					d.t.Fatalf("watch the lease: %v", event)
				}
				if !yield(ptr.Deref(object.Spec.HolderIdentity, "")) {
					return
				}
			case <-ctx.Done():
				d.t.Fatal("waited in vain for the lease to change hands")
			}
		}
	}
}
