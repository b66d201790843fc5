package provider

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// hostile returns a Service of a namespace whose author may write anything, and does.
func hostile(n int) *corev1.Service {
	const huge = 100 << 10
	s := web(fmt.Sprintf("a--%d", n))
	s.Namespace, s.UID = "hostile", types.UID(s.Name)
	s.Annotations = []map[string]string{
		nil,
		{"clarionlb.io/addresses": "192.0.2.2"},
		{"clarionlb.io/addresses": "192.0.2.2", "clarionlb.io/allow-shared-ip": "shared"},
		{"clarionlb.io/addresses": strings.Repeat("\x00", huge)},
		{"clarionlb.io/address-pool": strings.Repeat("p", huge)},
		{"clarionlb.io/addresses": "192.0.2.2", "metallb.io/loadBalancerIPs": "192.0.2.3"},
		{"clarionlb.io/addresses": "127.0.0.1"},
		{"clarionlb.io/unknown" + strings.Repeat("x", 40): strings.Repeat("v", huge)},
	}[n%8]
	s.Spec.Ports[0].Port = int32(1000 + n)
	return s
}

// TestTheAuthorOfServicesOfOneNamespaceHarmsNoOther has a pool that gives a namespace three addresses at most, as an operator
// does who trusts nobody.
func TestTheAuthorOfServicesOfOneNamespaceHarmsNoOther(t *testing.T) {
	pool := poolOf("192.0.2.0/29")
	pool.Spec.ServiceAllocation = &v1alpha1.ServiceAllocation{MaxAddressesPerNamespace: 3}
	served := web("served", "192.0.2.2")
	served.Annotations = map[string]string{"clarionlb.io/allow-shared-ip": "shared"}
	const count = 32
	objects := []runtime.Object{pool, served}
	for n := range count {
		objects = append(objects, hostile(n))
	}
	withCluster(t, objects, func(c *cluster) {
		c.start()
		c.elect()
		c.serve()
		if _, err := c.kube.CoreV1().Services("default").Create(c.ctx, web("late"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if s := c.service("served"); assigned(s) != "True Assigned" || ingress(&s.Status.LoadBalancer) != "192.0.2.2" {
			t.Errorf("the Service of another namespace has %q and says %q", ingress(&s.Status.LoadBalancer), assigned(s))
		}
		if s := c.service("late"); assigned(s) != "True Assigned" {
			t.Errorf("a Service that comes later says %q", assigned(s))
		}
		list, err := c.kube.CoreV1().Services("hostile").List(c.ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		has := map[string]bool{}
		for _, s := range list.Items {
			if address := ingress(&s.Status.LoadBalancer); address != "" {
				has[address] = true
			}
			if assigned(&s) == "" {
				t.Errorf("%s is told nothing", s.Name)
			}
			for _, condition := range s.Status.Conditions {
				if len(condition.Message) > 2<<10 {
					t.Errorf("%s has a condition of %d bytes", s.Name, len(condition.Message))
				}
			}
		}
		if has["192.0.2.2"] || len(has) > 3 {
			t.Errorf("the namespace has %v", has)
		}
		for _, event := range c.told() {
			if len(event) > 2<<10 {
				t.Errorf("an event has %d bytes: %.100q", len(event), event)
			}
		}
	})
}
