package e2e

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func testReservations(d *deployment) {
	d.scenario("addresses are reserved for a Service before it exists and after it is deleted", func(d *deployment) {
		d.provide(
			poolWith("pool", "reuseAfter: 0s", "192.0.2.0/30", "2001:db8::/126"),
			reservation("web", "web", "192.0.2.0", "2001:db8::-2001:db8::1"),
		)
		d.awaitReady("ipaddressreservation/web", v1alpha1.ReasonValid, "kept for Service default/web")
		d.awaitCountsByFamily("pool", &v1alpha1.AddressCounts{Total: 4, Available: 3}, &v1alpha1.AddressCounts{Total: 4, Available: 2})
		if got := d.loadBalancers(nil, "other"); !slices.Equal(got, []string{"192.0.2.1"}) {
			d.t.Errorf("another Service got %v, want 192.0.2.1", got)
		}
		d.within("team-a").loadBalancer("web", wish("192.0.2.0"))
		d.within("team-a").awaitRefusal("web", "AddressReserved", `192.0.2.0 is kept for Service default/web by reservation "web"`)
		for range 2 {
			d.loadBalancer("web", families(require))
			d.awaitAddresses("web", "192.0.2.0", "2001:db8::")
			d.delete("web")
			d.loadBalancers(nil, "greedy")
			d.delete("greedy")
		}
		d.loadBalancer("web", all(families(prefer, ipv6, ipv4), wish("2001:db8::1")))
		d.awaitAddresses("web", "2001:db8::1", "192.0.2.0")
	})

	d.scenario("addresses reserved for nobody are out of use until the reservation is deleted", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.16/30"), reservation("router", "", "192.0.2.16/31"))
		d.awaitReady("ipaddressreservation/router", v1alpha1.ReasonValid, "192.0.2.16-192.0.2.17 kept out of use")
		d.awaitCountsByFamily("pool", &v1alpha1.AddressCounts{Total: 2, Available: 2}, nil)
		d.loadBalancers(nil, "first", "second")
		d.loadBalancer("third", nil)
		d.awaitRefusal("third", "PoolExhausted", `pool "pool"`)
		d.loadBalancer("asking", wish("192.0.2.17"))
		d.awaitRefusal("asking", "AddressReserved", `192.0.2.17 is kept out of use by reservation "router"`)
		if err := d.Clarion.ClarionV1alpha1().IPAddressReservations().Delete(d.ctx, "router", metav1.DeleteOptions{}); err != nil {
			d.t.Fatal(err)
		}
		d.awaitAddresses("asking", "192.0.2.17")
		d.awaitAddresses("third", "192.0.2.16")
	})

	d.scenario("a reservation takes no address away from a Service, and then keeps it for its own", func(d *deployment) {
		d.provide(poolWith("pool", "reuseAfter: 0s", "192.0.2.32/30"))
		d.loadBalancers(nil, "holder")
		check := d.untouched("holder")
		d.provide(reservation("web", "web", "192.0.2.32"))
		d.loadBalancer("web", nil)
		d.awaitAddresses("web", "192.0.2.33")
		check()
		d.update("web", wish("192.0.2.32"))
		d.awaitRefusal("web", "AddressInUse", "192.0.2.32 is in use by Service default/holder")
		d.delete("holder")
		d.awaitAddresses("web", "192.0.2.32")
		d.delete("web")
		d.loadBalancer("next", nil)
		d.awaitAddresses("next", "192.0.2.33")
	})

	d.scenario("a malformed reservation says what is wrong and affects no other", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.64/30"), reservation("a-older", "web", "192.0.2.64"))
		d.provide(reservation("b-younger", "", "192.0.2.64/31"), reservation("wrong", "", "192.0.2.65", "2001:db8::9-2001:db8::1"))
		d.awaitReady("ipaddressreservation/a-older", v1alpha1.ReasonValid, "web")
		d.awaitReady("ipaddressreservation/b-younger", v1alpha1.ReasonOverlaps, `the older IPAddressReservation "a-older"`)
		d.awaitReady("ipaddressreservation/wrong", v1alpha1.ReasonInvalidAddress, `spec.addresses: "2001:db8::9-2001:db8::1": start of range is after its end`)
		d.loadBalancer("web", nil)
		d.awaitAddresses("web", "192.0.2.64")
		d.loadBalancer("other", nil)
		d.awaitAddresses("other", "192.0.2.66")
		d.provide(reservation("wrong", "", "192.0.2.67"))
		d.awaitReady("ipaddressreservation/wrong", v1alpha1.ReasonValid, "192.0.2.67 kept out of use")
		d.loadBalancer("late", nil)
		d.awaitRefusal("late", "PoolExhausted", "")
	})

	d.scenario("a Service with a reservation in one family gets any address in the other", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.128/30", "2001:db8::/126"), reservation("web", "web", "192.0.2.131"))
		d.loadBalancer("web", families(prefer, ipv4, ipv6))
		d.awaitAddresses("web", "192.0.2.131", "2001:db8::")
	})
}
