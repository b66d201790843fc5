package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
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
	clarion := d.Clarion.ClarionV1alpha1()
	if err := clarion.IPAddressPools().DeleteCollection(d.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		d.t.Fatal(err)
	}
	if err := clarion.IPAddressReservations().DeleteCollection(d.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		d.t.Fatal(err)
	}
	d.awaitGone()
	// Freed addresses of a deleted pool are forgotten, so that the next scenario can have them at
	// once. The pool is deleted in the allocator's eyes when a Service is told that there is no
	// pool. One that still got an address is asked about anew.
	d.eventually("the allocator to know of no pool", func(context.Context) error {
		d.loadBalancer("last", class(v1alpha1.LoadBalancerClass))
		defer d.deleteLoadBalancers()
		var condition *metav1.Condition
		d.eventually("Service last to be answered", func(context.Context) error {
			condition = meta.FindStatusCondition(d.service("last").Status.Conditions, v1alpha1.ConditionAddressAssigned)
			if condition == nil {
				return errors.New("it has no condition")
			}
			return nil
		})
		return checkCondition(*condition, "NoMatchingPool", "there is no IPAddressPool")
	})
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
