package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// scenario runs a subtest that begins and ends without pools, reservations and load balancers.
func (d *deployment) scenario(name string, run func(*deployment)) {
	d.t.Helper()
	d.t.Run(name, func(t *testing.T) {
		d := d.in(t)
		defer d.clear()
		run(d)
	})
}

// clear deletes what scenarios create, and waits until the allocator has forgotten it.
func (d *deployment) clear() {
	d.t.Helper()
	d.deleteLoadBalancers()
	// Freed addresses of a deleted pool are forgotten, so that the next scenario can have them at
	// once. The pool is deleted in the allocator's eyes when a Service is told that there is no
	// pool.
	d.loadBalancer("last", class(v1alpha1.LoadBalancerClass))
	clarion := d.Clarion.ClarionV1alpha1()
	if err := clarion.IPAddressPools().DeleteCollection(d.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		d.t.Fatal(err)
	}
	if err := clarion.IPAddressReservations().DeleteCollection(d.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		d.t.Fatal(err)
	}
	d.awaitRefusal("last", "NoMatchingPool", "there is no IPAddressPool")
	d.deleteLoadBalancers()
}

// awaitNextSecond waits until a Service that is created now is younger than all that there are. The
// API server gives the age of objects in whole seconds.
func (d *deployment) awaitNextSecond() {
	d.t.Helper()
	services, err := d.Kubernetes().CoreV1().Services(metav1.NamespaceAll).List(d.ctx, metav1.ListOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	d.eventually("the next second", func(context.Context) error {
		for _, service := range services.Items {
			if time.Now().Truncate(time.Second).Compare(service.CreationTimestamp.Time) <= 0 {
				return fmt.Errorf("it is %s still", service.CreationTimestamp)
			}
		}
		return nil
	})
}
