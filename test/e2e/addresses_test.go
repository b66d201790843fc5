package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

// TestAddressManagementOfADualStackCluster covers what pools hold, for whom, and in which families. The addresses are of
// documentation networks: nobody announces them.
func TestAddressManagementOfADualStackCluster(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 1, Families: []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}})
	t.Run("pools", d.run(testPools))
	t.Run("families", d.run(testFamilies))
	t.Run("reservations", d.run(testReservations))
}

// TestAddressManagementOfASingleStackCluster covers what Services ask for, with whom they share, and what becomes of them
// when pools change.
func TestAddressManagementOfASingleStackCluster(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 1})
	t.Run("requests", d.run(testRequests))
	t.Run("the other family", d.run(testTheOtherFamily))
	t.Run("sharing", d.run(testSharing))
	t.Run("pools that change", d.run(testPoolsThatChange))
}

// TestAddressManagementThroughRestartsAndTamperedStatus covers what stays true whoever writes and whoever leads, and what
// is said about it.
func TestAddressManagementThroughRestartsAndTamperedStatus(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 2})
	d.scaleCCM(2)
	t.Run("feedback", d.run(testFeedback))
	t.Run("truth", d.run(testTruth))
	t.Run("classes", d.run(testClasses)) // turns a flag on, so it comes last
}

// scenario runs a subtest that begins and ends without pools, reservations and load balancers.
func (d *deployment) scenario(name string, run func(*deployment)) {
	d.t.Helper()
	d.t.Run(name, func(t *testing.T) {
		d := d.in(t)
		defer d.clear()
		run(d)
	})
}

// clear deletes all that scenarios create.
func (d *deployment) clear() {
	d.t.Helper()
	d.deleteLoadBalancers()
	// Addresses of a deleted pool do not rest. That is seen from a Service that then has no pool.
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

// aSecondLater waits until a Service that is created now is younger than all that there are: their age is told in seconds.
func (d *deployment) aSecondLater() {
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
