package provider

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/internal/scope"
)

// withGivenUp has Service a have given up the one address, which its status has still, and b wait for it.
func withGivenUp(t *testing.T, test func(c *cluster)) {
	a := web("a", "192.0.2.0")
	a.Finalizers = []string{scope.Finalizer}
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/32"), a, web("b")}, func(c *cluster) {
		c.start()
		c.elect()
		if err := c.cloud.balancer.EnsureLoadBalancerDeleted(c.ctx, "", c.service("a")); err != nil {
			t.Fatal(err)
		}
		test(c)
	})
}

func TestAnAddressThatIsGivenUpIsFreeOnceTheAPISaysSo(t *testing.T) {
	withGivenUp(t, func(c *cluster) {
		for range 2 {
			if got, err := c.ensure("b"); !errors.Is(err, errVacating) {
				t.Errorf("b has %q, %v", got, err)
			}
			settle()
		}
		if got := ingress(&c.service("b").Status.LoadBalancer); got != "" {
			t.Errorf("b has %s in its status", got)
		}
		c.delete("a")
		if got, err := c.ensure("b"); got != "192.0.2.0" || err != nil {
			t.Errorf("then b has %q, %v", got, err)
		}
	})
}

func TestAnAddressThatIsGivenUpIsFreeAfterAWhileWhateverTheAPISays(t *testing.T) {
	withGivenUp(t, func(c *cluster) {
		requeued := make(chan string, 10)
		_, err := c.cloud.feed.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: func(_, after any) {
			requeued <- after.(*corev1.Service).Name
		}})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if got, err := c.ensure("b"); !errors.Is(err, errVacating) {
			t.Errorf("b has %q, %v", got, err)
		}
		if name, waited := <-requeued, time.Since(begun); name != "b" || waited != vacateTimeout {
			t.Errorf("%s is served again after %s", name, waited)
		}
		if got, err := c.ensure("b"); got != "192.0.2.0" || err != nil {
			t.Errorf("then b has %q, %v", got, err)
		}
	})
}

// What is written of a Service that becomes another type fails at first.
func TestWhoWaitsForAnAddressThatIsGivenUpGetsItAsSoonAsItIsFree(t *testing.T) {
	a := web("a", "192.0.2.0")
	a.Finalizers = []string{scope.Finalizer}
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/32"), a, web("b")}, func(c *cluster) {
		failing := false
		c.kube.PrependReactor("patch", "services", func(action clienttesting.Action) (bool, runtime.Object, error) {
			fails := failing && action.(clienttesting.PatchAction).GetName() == "a"
			return fails, nil, errors.New("not now")
		})
		c.start()
		c.serve()
		c.elect()
		failing = true
		c.change("a", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		a, b := c.service("a"), c.service("b")
		if ingress(&a.Status.LoadBalancer) != "192.0.2.0" || ingress(&b.Status.LoadBalancer) != "" {
			t.Fatalf("a has %q and b has %q", ingress(&a.Status.LoadBalancer), ingress(&b.Status.LoadBalancer))
		}
		failing = false
		c.change("a", func(s *corev1.Service) { s.Status.LoadBalancer, s.Finalizers = corev1.LoadBalancerStatus{}, nil })
		if got := ingress(&c.service("b").Status.LoadBalancer); got != "192.0.2.0" {
			t.Errorf("then b has %q", got)
		}
	})
}

func TestWhoSharesAnAddressWaitsForNobody(t *testing.T) {
	shared := func(name string, addresses ...string) *corev1.Service {
		s := web(name, addresses...)
		s.Annotations = map[string]string{"clarionlb.io/allow-shared-ip": "key"}
		s.Spec.Ports = []corev1.ServicePort{{Port: int32(len(name)), Protocol: corev1.ProtocolTCP}}
		return s
	}
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/32"), shared("a", "192.0.2.0"), shared("bb")}, func(c *cluster) {
		c.start()
		c.elect()
		if got, err := c.ensure("bb"); got != "192.0.2.0" || err != nil {
			t.Errorf("it has %q, %v", got, err)
		}
	})
}
