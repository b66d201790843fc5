package provider

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestAServiceWhoseClassIsNearlyOursIsTold(t *testing.T) {
	of := func(name, class string, addresses ...string) *corev1.Service {
		s := web(name, addresses...)
		s.Spec.LoadBalancerClass = ptr.To(class)
		return s
	}
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), of("there", "clarion"), of("served", "clarion", "198.51.100.1"), of("foreign", "metallb")}, func(c *cluster) {
		c.start()
		if got := c.told(); len(got) > 0 {
			t.Errorf("a process that stands by says %q", got)
		}
		c.elect()
		expect := func() {
			t.Helper()
			if told := c.told(); len(told) != 1 || !strings.HasPrefix(told[0], `Warning ClassNotServed spec.loadBalancerClass "`) {
				t.Errorf("told %q", told)
			}
		}
		expect()
		for name, class := range map[string]string{"near": "clarionlb.io/clarionlb", "other": "example.com/other"} {
			if _, err := c.kube.CoreV1().Services("default").Create(c.ctx, of(name, class), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		settle()
		expect()
	})
}

func TestTheClassThatIsServedCanBeAnother(t *testing.T) {
	named, standard, had := web("named"), web("standard"), web("had", "192.0.2.2")
	named.Spec.LoadBalancerClass, standard.Spec.LoadBalancerClass = ptr.To("example.com/lan"), ptr.To(v1alpha1.LoadBalancerClass)
	had.Spec.LoadBalancerClass = named.Spec.LoadBalancerClass
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), named, standard, had}, func(c *cluster) {
		c.scope.Class = "example.com/lan"
		c.start()
		c.elect()
		c.serve()
		if s := c.service("named"); assigned(s) != "True Assigned" {
			t.Errorf("the one of the class says %q", assigned(s))
		}
		if s := c.service("had"); assigned(s) != "True Assigned" || s.Status.LoadBalancer.Ingress[0].IP != "192.0.2.2" {
			t.Errorf("the one that another load balancer has served has %v and says %q", s.Status.LoadBalancer.Ingress, assigned(s))
		}
		if s := c.service("standard"); assigned(s) != "" || len(s.Finalizers) > 0 {
			t.Errorf("another one says %q", assigned(s))
		}
	})
}
