package provider

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	servicehelpers "k8s.io/cloud-provider/service/helpers"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/fakeapi"
)

func TestANewServiceCostsOneWriteAndNoRead(t *testing.T) {
	pool := []runtime.Object{poolOf("192.0.2.0/30")}
	for name, test := range map[string]struct {
		pools   []runtime.Object
		service *corev1.Service
		want    string
	}{
		"it gets an address": {pool, web("a"), "True Assigned"},
		"it is refused":      {nil, web("a"), "False NoMatchingPool"},
		"it has its address": {pool, web("a", "192.0.2.1"), "True Assigned"},
	} {
		withCluster(t, test.pools, func(c *cluster) {
			c.begin()
			c.kube.ClearActions()
			if _, err := c.kube.CoreV1().Services("default").Create(c.ctx, test.service, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			settle()
			s := c.service("a")
			if !servicehelpers.HasLBFinalizer(s) || assigned(s) != test.want {
				t.Errorf("%s: finalizers %v, %q", name, s.Finalizers, assigned(s))
			}
			patches, reads := fakeapi.Count(&c.kube.Fake, "patch", "services"), fakeapi.Count(&c.kube.Fake, "list", "services")
			if patches != 1 || reads != 0 {
				t.Errorf("%s: %d writes and %d reads", name, patches, reads)
			}
		})
	}
}

func TestAServiceThatWaitsForItsAnswerHasTheFinalizerAndTheMark(t *testing.T) {
	withLAN(t, &v1alpha1.L2Advertisement{}, []runtime.Object{asksFor(web("a"), "192.0.2.3")}, func(c *cluster) {
		if s := c.service("a"); !servicehelpers.HasLBFinalizer(s) || assigned(s) != "Unknown Pending" {
			t.Errorf("finalizers %v, %q", s.Finalizers, assigned(s))
		}
	})
}

func TestAFinalizerThatWasRemovedByHandIsPutBack(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a")}, func(c *cluster) {
		c.start()
		c.elect()
		c.serve()
		before := c.service("a")
		c.change("a", func(s *corev1.Service) { s.Finalizers = nil })
		s := c.service("a")
		if !servicehelpers.HasLBFinalizer(s) || assigned(s) != "True Assigned" || ingress(&s.Status.LoadBalancer) != ingress(&before.Status.LoadBalancer) {
			t.Errorf("finalizers %v, %q, %v", s.Finalizers, assigned(s), s.Status.LoadBalancer)
		}
	})
}

func TestAServiceThatEndsBeforeItsAnswerIsWrittenGetsNoFinalizer(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a")}, func(c *cluster) {
		c.start()
		c.elect()
		c.interrupt("a", func(s *corev1.Service) { s.Spec.Type, s.Spec.LoadBalancerClass = corev1.ServiceTypeClusterIP, nil })
		c.serve()
		settle()
		s := c.service("a")
		if len(s.Finalizers) > 0 || assigned(s) != "" || len(s.Status.LoadBalancer.Ingress) > 0 {
			t.Errorf("finalizers %v, %q, %v", s.Finalizers, assigned(s), s.Status.LoadBalancer)
		}
		if held, _ := c.cloud.allocator.Lookup(nameOf(s)); len(held) > 0 {
			t.Errorf("it holds %v", held)
		}
	})
}
