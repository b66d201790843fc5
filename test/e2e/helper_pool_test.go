package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// pool returns the manifest of a pool.
func pool(name string, entries ...string) string { return poolWith(name, "", entries...) }

// inPool reports whether an address is in the sample pool.
func inPool(address netip.Addr) bool {
	first, last := netip.MustParseAddr("192.168.10.200"), netip.MustParseAddr("192.168.10.250")
	return address.Compare(first) >= 0 && address.Compare(last) <= 0
}

// poolWith returns the manifest of a pool with other fields in its spec besides its addresses.
func poolWith(name, spec string, entries ...string) string {
	return manifest("IPAddressPool", name, entries, spec)
}

// reservation returns the manifest of a reservation for a Service, or for nobody.
func reservation(name, service string, entries ...string) string {
	if service != "" {
		service = "service: {namespace: default, name: " + service + "}"
	}
	return manifest("IPAddressReservation", name, entries, service)
}

func manifest(kind, name string, entries []string, spec string) string {
	return fmt.Sprintf("apiVersion: clarionlb.io/v1alpha1\nkind: %s\nmetadata: {name: %s}\nspec:\n  addresses: [%s]\n  %s\n---\n",
		kind, name, `"`+strings.Join(entries, `", "`)+`"`, spec)
}

// provide applies pools and reservations and waits until Clarion has read the latest version of each.
func (d *deployment) provide(manifests ...string) {
	d.t.Helper()
	d.applyYAML(strings.Join(manifests, ""))
	d.eventually("pools and reservations to be read", func(ctx context.Context) error {
		pools, err := d.Clarion.ClarionV1alpha1().IPAddressPools().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, pool := range pools.Items {
			if ready := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady); ready == nil || ready.ObservedGeneration != pool.Generation {
				return fmt.Errorf("pool %s: %v", pool.Name, ready)
			}
		}
		reservations, err := d.Clarion.ClarionV1alpha1().IPAddressReservations().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, reservation := range reservations.Items {
			if ready := meta.FindStatusCondition(reservation.Status.Conditions, v1alpha1.ConditionReady); ready == nil || ready.ObservedGeneration != reservation.Generation {
				return fmt.Errorf("reservation %s: %v", reservation.Name, ready)
			}
		}
		return nil
	})
}

// withdraw deletes pools. Those of which Services have addresses are there until none has.
func (d *deployment) withdraw(names ...string) {
	d.t.Helper()
	for _, name := range names {
		if err := d.Clarion.ClarionV1alpha1().IPAddressPools().Delete(d.ctx, name, metav1.DeleteOptions{}); err != nil {
			d.t.Fatal(err)
		}
	}
}

// awaitGone waits until there are no pools of these names, or none at all.
func (d *deployment) awaitGone(names ...string) {
	d.t.Helper()
	d.eventually("pools to be gone", func(ctx context.Context) error {
		pools, err := d.Clarion.ClarionV1alpha1().IPAddressPools().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, pool := range pools.Items {
			if len(names) == 0 || slices.Contains(names, pool.Name) {
				return fmt.Errorf("pool %s: %v", pool.Name, pool.Status.Conditions)
			}
		}
		return nil
	})
}

// awaitPool waits until check returns nil for a pool.
func (d *deployment) awaitPool(name string, check func(*v1alpha1.IPAddressPool) error) {
	d.t.Helper()
	d.eventually("the status of pool "+name, func(ctx context.Context) error {
		pool, err := d.Clarion.ClarionV1alpha1().IPAddressPools().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return check(pool)
	})
}

// awaitCounts waits until the status of a pool has these counts of IPv4 addresses.
func (d *deployment) awaitCounts(name string, want v1alpha1.AddressCounts) {
	d.t.Helper()
	d.awaitPool(name, func(pool *v1alpha1.IPAddressPool) error {
		if pool.Status.IPv4 == nil || *pool.Status.IPv4 != want {
			return fmt.Errorf("counts %v, want %v", pool.Status.IPv4, want)
		}
		return nil
	})
}

// awaitCountsByFamily waits until the status of a pool has these counts, nil for a family that it
// does not have.
func (d *deployment) awaitCountsByFamily(name string, v4, v6 *v1alpha1.AddressCounts) {
	d.t.Helper()
	d.awaitPool(name, func(pool *v1alpha1.IPAddressPool) error {
		for _, counts := range []struct{ got, want *v1alpha1.AddressCounts }{{pool.Status.IPv4, v4}, {pool.Status.IPv6, v6}} {
			if (counts.got == nil) != (counts.want == nil) || counts.got != nil && *counts.got != *counts.want {
				return fmt.Errorf("counts %v, want %v", counts.got, counts.want)
			}
		}
		return nil
	})
}
