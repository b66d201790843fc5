package provider

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// message is that of the AddressAssigned condition of a Service.
func message(s *corev1.Service) string {
	if c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAddressAssigned); c != nil {
		return c.Message
	}
	return ""
}

func TestAnAddressThatComesIntoUseElsewhereIsKeptAndBothAreTold(t *testing.T) {
	foreign := web("foreign")
	foreign.Spec.LoadBalancerClass = ptr.To("example.com/other")
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a"), foreign}, func(c *cluster) {
		c.start()
		c.elect()
		c.serve()
		c.told()
		c.change("foreign", func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.0"}}
		})
		settle()
		const clash = `192.0.2.0 is kept although it is the address of Service default/foreign of load balancer class "example.com/other"`
		a := c.service("a")
		if ingress(&a.Status.LoadBalancer) != "192.0.2.0" || assigned(a) != "True Assigned" || message(a) != `192.0.2.0 from pool "pool"; `+clash {
			t.Errorf("it has %v and says %q", a.Status.LoadBalancer, message(a))
		}
		told := c.told()
		for _, want := range []string{"Warning AddressAlsoInUse " + clash, "Warning AddressAlsoInUse 192.0.2.0 is an address of Service default/a too, which keeps it"} {
			if !slices.Contains(told, want) {
				t.Errorf("told %q, not %q", told, want)
			}
		}
		if f := c.service("foreign"); len(f.Status.Conditions) > 0 || len(f.Finalizers) > 0 || len(f.Status.LoadBalancer.Ingress) != 1 {
			t.Errorf("the foreign Service was written to: %v %v", f.Finalizers, f.Status)
		}
		// Nothing is said twice, by this process or the next.
		(&life{cluster: c}).take(comeUp)
		if told := c.told(); len(told) > 0 {
			t.Errorf("told again %q", told)
		}
		c.change("foreign", func(s *corev1.Service) { s.Status.LoadBalancer = corev1.LoadBalancerStatus{} })
		settle()
		if got := message(c.service("a")); got != `192.0.2.0 from pool "pool"` {
			t.Errorf("afterwards it says %q", got)
		}
	})
}

func TestAServiceThatAsksForAnAddressOfAnotherLoadBalancerIsToldWhoHasIt(t *testing.T) {
	foreign := web("foreign", "192.0.2.1")
	foreign.Spec.LoadBalancerClass = ptr.To("example.com/other")
	asks := web("asks")
	asks.Spec.LoadBalancerIP = "192.0.2.1"
	external := web("external")
	external.Spec.Type, external.Spec.ExternalIPs = corev1.ServiceTypeClusterIP, []string{"192.0.2.0"}
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), foreign, asks, external}, func(c *cluster) {
		c.start()
		c.elect()
		c.serve()
		if s := c.service("asks"); assigned(s) != "False AddressInUse" || message(s) != `192.0.2.1 is the address of Service default/foreign of load balancer class "example.com/other"; ask for another address or none` {
			t.Errorf("it says %q, %q", assigned(s), message(s))
		}
		if err := c.kube.CoreV1().Services("default").Delete(c.ctx, "foreign", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if s := c.service("asks"); ingress(&s.Status.LoadBalancer) != "192.0.2.1" {
			t.Errorf("once it is free it says %q, %q", assigned(s), message(s))
		}
		if _, err := c.kube.CoreV1().Services("default").Create(c.ctx, web("any"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if s := c.service("any"); ingress(&s.Status.LoadBalancer) != "192.0.2.2" {
			t.Errorf("the next Service has %v", s.Status.LoadBalancer)
		}
	})
}
