package provider

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

func TestWhoSharedAnAddressFirstKeepsItInTheNextProcessTooAndTheOtherIsTold(t *testing.T) {
	shares := func(s *corev1.Service) {
		s.Annotations = map[string]string{string(loadbalancer.AnnotationSharing): "key"}
	}
	since := func(s *corev1.Service) time.Time {
		return meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAddressAssigned).LastTransitionTime.Time
	}
	owner := web("owner")
	shares(owner)
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("first"), owner}, func(c *cluster) {
		c.start()
		c.elect()
		c.serve()
		address := ingress(&c.service("owner").Status.LoadBalancer)
		before := since(c.service("owner"))
		time.Sleep(time.Hour)
		// It joins, although it is older and has had another address for as long.
		c.change("first", func(s *corev1.Service) {
			shares(s)
			s.Spec.Ports[0].Port, s.Spec.LoadBalancerIP = 443, address
			s.CreationTimestamp = metav1.NewTime(before.Add(-time.Hour))
		})
		s := c.service("first")
		if ingress(&s.Status.LoadBalancer) != address || since(s).Before(before.Add(time.Hour)) || !since(c.service("owner")).Equal(before) {
			t.Errorf("it has %v since %v, and the owner since %v, before %v", s.Status.LoadBalancer, since(s), since(c.service("owner")), before)
		}
		time.Sleep(time.Hour)
		c.told()
		c.end()
		c.begin()
		if told := c.told(); len(told) > 0 {
			t.Errorf("the next process tells %q", told)
		}
		c.change("owner", func(s *corev1.Service) { s.Spec.Ports[0].Port = 443 })
		settle()
		if s := c.service("owner"); ingress(&s.Status.LoadBalancer) != address || !since(s).Equal(before) {
			t.Errorf("the owner has %v since %v", s.Status.LoadBalancer, since(s))
		}
		if s := c.service("first"); ingress(&s.Status.LoadBalancer) != "" || assigned(s) != "False SharingConflict" {
			t.Errorf("who joined has %v: %s", s.Status.LoadBalancer, assigned(s))
		}
		const conflict = " cannot be shared with Service default/owner: both use port TCP/443"
		told := c.told()
		for _, want := range []string{
			"Warning SharingConflict " + address + conflict + "; use another port, or ask for another address or none",
			"Warning SharingEnded " + address + conflict + "; Service default/owner had it first and keeps it",
		} {
			if !slices.Contains(told, want) {
				t.Errorf("told %q, not %q", told, want)
			}
		}
	})
}
