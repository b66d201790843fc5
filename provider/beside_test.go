package provider

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

// Somebody who installs Clarion beside another load balancer and forgets --require-load-balancer-class takes no Service off the air.
func TestARefusedServiceKeepsWhatAnotherLoadBalancerHasGivenIt(t *testing.T) {
	byName := web("a", "198.51.100.1")
	byName.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "lb.example.com"}}
	wrong := web("a", "198.51.100.1")
	wrong.Spec.LoadBalancerIP = "nonsense"
	for name, given := range map[string]struct {
		objects []runtime.Object
		why     string
	}{
		"there is no pool":              {[]runtime.Object{web("a", "198.51.100.1")}, "there is no IPAddressPool"},
		"it has the name of a balancer": {[]runtime.Object{byName}, "there is no IPAddressPool"},
		"no address is free":            {[]runtime.Object{poolOf("192.0.2.1/32"), web("b", "192.0.2.1"), web("a", "198.51.100.1")}, "no free IPv4 address"},
		"its wish cannot be read":       {[]runtime.Object{poolOf("192.0.2.0/30"), wrong}, "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			withCluster(t, given.objects, func(c *cluster) {
				before := c.service("a").Status.LoadBalancer
				for range 2 { // a second process finds what the first one has left
					c.begin()
					time.Sleep(time.Minute)
					s := c.service("a")
					said := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAddressAssigned)
					if assigned(s) != "Unknown ServedByAnother" || !strings.Contains(said.Message, given.why) {
						t.Errorf("it says %v", said)
					}
					if ingress(&s.Status.LoadBalancer) != ingress(&before) || len(s.Status.LoadBalancer.Ingress) != len(before.Ingress) {
						t.Errorf("its status has %v, had %v", s.Status.LoadBalancer, before)
					}
					if (scope.Scope{}).Served(s) {
						t.Error("announcers take its address for one of Clarion's")
					}
					c.end()
				}
				if told := c.told(); !slices.ContainsFunc(told, func(event string) bool { return strings.HasPrefix(event, "Warning ServedByAnother ") }) {
					t.Errorf("it is told %q", told)
				}
			})
		})
	}
}

func TestAServiceOfAnotherLoadBalancerIsServedOnceThereIsAnAddress(t *testing.T) {
	withCluster(t, []runtime.Object{web("a", "198.51.100.1")}, func(c *cluster) {
		c.begin()
		time.Sleep(time.Minute)
		if _, err := c.clarion.ClarionV1alpha1().IPAddressPools().Create(t.Context(), poolOf("192.0.2.0/30"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if s := c.service("a"); assigned(s) != "True Assigned" || !strings.HasPrefix(ingress(&s.Status.LoadBalancer), "192.0.2.") {
			t.Errorf("it says %q and has %v", assigned(s), s.Status.LoadBalancer)
		}
	})
}

// What has an answer of Clarion's, or an address of its pools, is nobody else's.
func TestARefusedServiceLosesWhatClarionHasGivenIt(t *testing.T) {
	answered := web("a", "198.51.100.1")
	answered.Spec.LoadBalancerIP = "203.0.113.1"
	answered.Status.Conditions = append(answered.Status.Conditions, scope.TakenUp(answered.CreationTimestamp))
	answered.Status.Conditions[0].Status, answered.Status.Conditions[0].Reason = "True", "Assigned"
	for name, objects := range map[string][]runtime.Object{
		"it was answered":                         {answered},
		"another Service of ours has the address": {poolOf("192.0.2.1/32"), web("b", "192.0.2.1"), web("a", "192.0.2.1")},
	} {
		t.Run(name, func(t *testing.T) {
			withCluster(t, objects, func(c *cluster) {
				c.begin()
				time.Sleep(time.Minute)
				refused := 0
				for _, object := range objects {
					service, is := object.(*corev1.Service)
					if !is {
						continue
					}
					if s := c.service(service.Name); strings.HasPrefix(assigned(s), "False ") && len(s.Status.LoadBalancer.Ingress) == 0 {
						refused++
					}
				}
				if refused != 1 {
					t.Errorf("%d Services are refused and have nothing in their status", refused)
				}
			})
		})
	}
}
