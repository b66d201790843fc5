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
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/fakeapi"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/loadbalancer"
)

// giveAway does to a Service what a hand-over to another load balancer does, which has its address by then.
func giveAway(s *corev1.Service) {
	s.Finalizers = nil
	meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionAddressAssigned)
	meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionAnnounced)
	s.Status.LoadBalancer = *theirs.DeepCopy()
}

// interrupt has a Service changed just before the next patch of it is carried out.
func (c *cluster) interrupt(name string, change func(*corev1.Service)) {
	fakeapi.Interrupt(&c.kube.Fake, "patch", corev1.SchemeGroupVersion.WithResource("services"), "default", name, func(object runtime.Object) {
		change(object.(*corev1.Service))
	})
}

// takenUpByHand returns a Service without a class that was given to Clarion by hand.
func takenUpByHand(name string) *corev1.Service {
	s := web(name)
	s.Status.Conditions = []metav1.Condition{scope.TakenUp(metav1.Now())}
	return s
}

func TestAWriteDoesNotBringBackWhatAHandOverHasRemoved(t *testing.T) {
	for name, change := range map[string]func(*corev1.Service){
		"a refusal":       func(s *corev1.Service) { s.Spec.LoadBalancerIP = "203.0.113.1" },
		"another address": func(s *corev1.Service) { s.Spec.LoadBalancerIP = "192.0.2.3" },
		"the finalizer":   func(s *corev1.Service) { s.Finalizers = nil },
		"the answer":      func(s *corev1.Service) { s.Status.Conditions[0].Message = "so they say" },
		"the address":     func(s *corev1.Service) { s.Status.LoadBalancer = corev1.LoadBalancerStatus{} },
	} {
		t.Run(name, func(t *testing.T) {
			withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), takenUpByHand("a")}, func(c *cluster) {
				c.scope.RequireClass = true
				c.begin()
				time.Sleep(time.Minute)
				if s := c.service("a"); assigned(s) != "True Assigned" {
					t.Fatalf("it is not served: %q", assigned(s))
				}
				c.told()
				c.interrupt("a", giveAway)
				c.change("a", change)
				time.Sleep(time.Minute)
				if s := c.service("a"); len(s.Finalizers) > 0 || len(s.Status.Conditions) > 0 || ingress(&s.Status.LoadBalancer) != ingress(&theirs) {
					t.Errorf("it has finalizers %v, conditions %v, addresses %v", s.Finalizers, s.Status.Conditions, s.Status.LoadBalancer)
				}
				if held, _ := c.cloud.allocator.Lookup(nameOf(c.service("a"))); len(held) > 0 {
					t.Errorf("it still holds %v", held)
				}
				for _, event := range c.told() {
					if strings.HasPrefix(event, corev1.EventTypeWarning) {
						t.Errorf("it is told %q", event)
					}
				}
			})
		})
	}
}

func TestServicesThatShareAnAddressAreHandedOverOneAfterTheOther(t *testing.T) {
	dns := func(name string, protocol corev1.Protocol) *corev1.Service {
		s := takenUpByHand(name)
		s.Annotations = map[string]string{string(loadbalancer.AnnotationSharing): "dns"}
		s.Spec.LoadBalancerIP = "192.0.2.1"
		s.Spec.Ports = []corev1.ServicePort{{Port: 53, Protocol: protocol}}
		return s
	}
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), dns("dns", corev1.ProtocolTCP), dns("dns-udp", corev1.ProtocolUDP)}, func(c *cluster) {
		c.scope.RequireClass = true
		c.begin()
		time.Sleep(time.Minute)
		c.interrupt("dns", giveAway)
		c.change("dns-udp", func(s *corev1.Service) { giveAway(s); s.Status.LoadBalancer.Ingress[0].IP = "192.0.2.1" })
		time.Sleep(time.Minute)
		for _, name := range []string{"dns", "dns-udp"} {
			s := c.service(name)
			held, _ := c.cloud.allocator.Lookup(nameOf(s))
			if len(s.Finalizers) > 0 || len(s.Status.Conditions) > 0 || len(held) > 0 {
				t.Errorf("%s has finalizers %v, conditions %v, holds %v", name, s.Finalizers, s.Status.Conditions, held)
			}
		}
	})
}

func TestTheFinalizerOfAnotherLoadBalancerIsNotRemoved(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a")}, func(c *cluster) {
		c.begin()
		time.Sleep(time.Minute)
		c.interrupt("a", func(s *corev1.Service) {
			giveAway(s)
			s.Spec.Type, s.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, ptr.To("example.com/other")
			s.Finalizers = []string{scope.Finalizer}
		})
		c.change("a", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		time.Sleep(time.Minute)
		s := c.service("a")
		held, _ := c.cloud.allocator.Lookup(nameOf(s))
		if !slices.Equal(s.Finalizers, []string{scope.Finalizer}) || len(s.Status.Conditions) > 0 || len(held) > 0 || ingress(&s.Status.LoadBalancer) != ingress(&theirs) {
			t.Errorf("it has finalizers %v, conditions %v, addresses %v, and holds %v", s.Finalizers, s.Status.Conditions, s.Status.LoadBalancer, held)
		}
	})
}

func TestAServiceThatSomebodyElseHasWrittenToIsAnsweredAtOnce(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a")}, func(c *cluster) {
		c.begin()
		time.Sleep(time.Minute)
		for _, address := range []string{"203.0.113.1", "192.0.2.3"} {
			c.interrupt("a", func(s *corev1.Service) {
				meta.SetStatusCondition(&s.Status.Conditions, metav1.Condition{Type: otherCondition.Type, Status: otherCondition.Status, Reason: "For", Message: address})
			})
			c.change("a", func(s *corev1.Service) { s.Spec.LoadBalancerIP = address })
			s := c.service("a")
			want := map[string]string{"203.0.113.1": "False AddressNotInPool", "192.0.2.3": "True Assigned"}[address]
			if other := meta.FindStatusCondition(s.Status.Conditions, otherCondition.Type); assigned(s) != want || other == nil || other.Message != address {
				t.Errorf("asked for %s, it says %q, and somebody else %v", address, assigned(s), other)
			}
		}
	})
}
