package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	cloudprovider "k8s.io/cloud-provider"
	servicehelpers "k8s.io/cloud-provider/service/helpers"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/fakeapi"
	"github.com/clarionlb/clarion/internal/scope"
)

func TestAServiceThatIsRefusedSaysSoOnce(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/32"), web("a", "192.0.2.0"), web("b")}, func(c *cluster) {
		c.start()
		c.elect()
		for range 3 {
			if _, err := c.ensure("b"); err == nil || err.Error() != `pool "pool" has no free IPv4 address` {
				t.Errorf("got %v", err)
			}
			settle()
		}
		if got := assigned(c.service("b")); got != "False PoolExhausted" {
			t.Errorf("the Service says %q", got)
		}
		if got := c.told(); len(got) != 1 || got[0] != `Warning PoolExhausted pool "pool" has no free IPv4 address; add addresses or a pool` {
			t.Errorf("got events %q", got)
		}
		if n := fakeapi.Count(&c.kube.Fake, "patch", "services"); n != 1 {
			t.Errorf("wrote %d times", n)
		}
		// One that asks for another address than it has loses the one and is refused the other in
		// one write.
		c.change("a", func(s *corev1.Service) {
			s.Finalizers = []string{scope.Finalizer}
			s.Spec.LoadBalancerIP = "198.51.100.1"
		})
		if _, err := c.ensure("a"); err == nil {
			t.Error("it has an address of no pool")
		}
		a := c.service("a")
		if got := assigned(a); got != "False AddressNotInPool" || ingress(&a.Status.LoadBalancer) != "" {
			t.Errorf("the Service says %q and has %q", got, ingress(&a.Status.LoadBalancer))
		}
		if n := fakeapi.Count(&c.kube.Fake, "patch", "services"); n != 2 {
			t.Errorf("wrote %d times", n)
		}
	})
}

func TestARefusalThatCannotBeWrittenIsSaidAgain(t *testing.T) {
	withCluster(t, []runtime.Object{web("a")}, func(c *cluster) {
		c.start()
		c.elect()
		refused := errors.New("read only")
		patches := fakeapi.Fail(&c.kube.Fake, "patch", "services", refused)
		if _, err := c.ensure("a"); err == nil || !strings.Contains(err.Error(), "there is no IPAddressPool") || !errors.Is(err, refused) {
			t.Errorf("got %v", err)
		}
		if got := c.told(); len(got) != 0 {
			t.Errorf("got events %q for what is not written", got)
		}
		patches.Set(nil)
		if _, err := c.ensure("a"); err == nil {
			t.Error("there is an address")
		}
		if got := c.told(); len(got) != 1 || assigned(c.service("a")) != "False NoMatchingPool" {
			t.Errorf("got events %q, and the Service says %q", got, assigned(c.service("a")))
		}
	})
}

func TestAConditionThatCannotBeWrittenFailsTheCall(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a", "192.0.2.0")}, func(c *cluster) {
		c.start()
		c.elect()
		refused := errors.New("read only")
		patches := fakeapi.Fail(&c.kube.Fake, "patch", "services", refused)
		if _, err := c.ensure("a"); !errors.Is(err, refused) {
			t.Errorf("got %v", err)
		}
		// That the Service is gone is no error.
		patches.Set(apierrors.NewNotFound(corev1.Resource("services"), "a"))
		if got, err := c.ensure("a"); err != nil || got != "192.0.2.0" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestAServiceThatIsGoneMeanwhileGetsNothing(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/32"), web("a"), web("next")}, func(c *cluster) {
		c.start()
		c.elect()
		before := c.service("a")
		c.delete("a")
		if _, err := c.cloud.balancer.EnsureLoadBalancer(c.ctx, "", before, nil); err == nil || err.Error() != "the Service is gone" {
			t.Errorf("got %v", err)
		}
		deleted := web("next")
		deleted.DeletionTimestamp = new(metav1.Now())
		if _, err := c.cloud.balancer.EnsureLoadBalancer(c.ctx, "", deleted, nil); err == nil || err.Error() != "the Service is being deleted" {
			t.Errorf("got %v", err)
		}
		if got, err := c.ensure("next"); got != "192.0.2.0" {
			t.Errorf("the next Service gets %q, %v", got, err)
		}
	})
}

func TestWhatTheFrameworkAsksBesides(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a", "192.0.2.0")}, func(c *cluster) {
		c.start()
		c.elect()
		balancer, supported := c.cloud.LoadBalancer()
		if !supported || balancer.GetLoadBalancerName(c.ctx, "", web("a")) != "default/a" {
			t.Error("there is no load balancer of the Service's name")
		}
		if status, exists, err := balancer.GetLoadBalancer(c.ctx, "", web("a")); ingress(status) != "192.0.2.0" || !exists || err != nil {
			t.Errorf("got %v, %t, %v", status, exists, err)
		}
		if _, exists, err := balancer.GetLoadBalancer(c.ctx, "", web("b")); exists || err != nil {
			t.Errorf("a Service that there is not: %t, %v", exists, err)
		}
		if err := balancer.UpdateLoadBalancer(c.ctx, "", nil, nil); !errors.Is(err, cloudprovider.ImplementedElsewhere) {
			t.Errorf("got %v", err)
		}
		i, supported := c.cloud.InstancesV2()
		exists, err := i.InstanceExists(c.ctx, &corev1.Node{})
		down, err2 := i.InstanceShutdown(c.ctx, nil)
		if !supported || !exists || down || err != nil || err2 != nil {
			t.Error("a Node is not taken for one of a machine that runs")
		}
		_, zones := c.cloud.Zones()
		_, clusters := c.cloud.Clusters()
		_, routes := c.cloud.Routes()
		_, old := c.cloud.Instances()
		if zones || clusters || routes || old || c.cloud.ProviderName() != "clarion" || !c.cloud.HasClusterID() {
			t.Error("the provider claims to be what it is not")
		}
	})
	withCluster(t, nil, func(c *cluster) {
		c.start() // nobody is elected
		ended, end := context.WithCancel(c.ctx)
		end()
		if _, _, err := c.cloud.balancer.GetLoadBalancer(ended, "", web("a")); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if err := c.cloud.balancer.EnsureLoadBalancerDeleted(ended, "", web("a")); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// apiEvents are the reasons of the events that the service controller has written.
func (c *cluster) apiEvents() (reasons []string) {
	c.Helper()
	list, err := c.kube.CoreV1().Events("default").List(c.ctx, metav1.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	for _, event := range list.Items {
		reasons = append(reasons, event.Reason)
	}
	return reasons
}

func TestAServiceFromItsCreationToItsEnd(t *testing.T) {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1"},
		Spec:       corev1.NodeSpec{ProviderID: "clarion://n1"},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/32"), node}, func(c *cluster) {
		c.start()
		c.elect()
		c.serve()
		if _, err := c.kube.CoreV1().Services("default").Create(c.ctx, web("a"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		a := c.service("a")
		if got := ingress(&a.Status.LoadBalancer); got != "192.0.2.0" || assigned(a) != "True Assigned" || !servicehelpers.HasLBFinalizer(a) {
			t.Errorf("it has %q and says %q", got, assigned(a))
		}
		// One patch has the address, the condition and the finalizer; another one says what is announced.
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := fakeapi.Count(&c.kube.Fake, "patch", "services"); n != 2 {
			t.Errorf("it was written to %d times", n)
		}
		got := c.told()
		if len(got) != 2 || !strings.HasPrefix(got[0], "Normal AddressAssigned ") || !strings.HasPrefix(got[1], "Warning NotAdvertised ") {
			t.Errorf("got events %q", got)
		}
		if got := c.apiEvents(); len(got) != 0 {
			t.Errorf("the service controller says %q", got)
		}
		if n := latencies(c); n != 1 {
			t.Errorf("%d latencies were observed", n)
		}

		c.change("a", func(s *corev1.Service) { s.DeletionTimestamp = new(metav1.Now()) })
		a = c.service("a")
		if servicehelpers.HasLBFinalizer(a) || assigned(a) != "" {
			t.Errorf("it has finalizers %q and says %q", a.Finalizers, assigned(a))
		}
	})
}

// latencies is how many latencies were observed.
func latencies(c *cluster) uint64 {
	c.Helper()
	families, err := c.metrics.Gather()
	if err != nil {
		c.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "clarion_allocation_duration_seconds" {
			return family.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	return 0
}

func TestAServiceThatWaitsIsServedWhenThereIsAnAddress(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/32"), web("a", "192.0.2.0"), web("b")}, func(c *cluster) {
		c.start()
		c.elect()
		c.serve()
		if got := assigned(c.service("b")); got != "False PoolExhausted" {
			t.Fatalf("it says %q", got)
		}
		c.told()
		c.delete("a")
		b := c.service("b")
		if got := ingress(&b.Status.LoadBalancer); got != "192.0.2.0" || assigned(b) != "True Assigned" {
			t.Errorf("it has %q and says %q", got, assigned(b))
		}
		if got := c.told(); len(got) != 1 || !strings.HasPrefix(got[0], "Normal AddressAssigned ") {
			t.Errorf("got events %q", got)
		}
	})
}

func TestWhatSomebodyElseWritesIsPutRight(t *testing.T) {
	for name, change := range map[string]func(*corev1.Service){
		"the addresses": func(s *corev1.Service) { s.Status.LoadBalancer.Ingress[0].IP = "203.0.113.1" },
		"the condition": func(s *corev1.Service) {
			meta.SetStatusCondition(&s.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionFalse, Reason: "Nonsense"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a")}, func(c *cluster) {
				c.start()
				c.elect()
				c.serve()
				c.told()
				c.change("a", change)
				a := c.service("a")
				if got := ingress(&a.Status.LoadBalancer); got != "192.0.2.0" || assigned(a) != "True Assigned" {
					t.Errorf("it has %q and says %q", got, assigned(a))
				}
				if got := c.told(); len(got) != 0 {
					t.Errorf("got events %q", got)
				}
			})
		})
	}
}

func TestMetricsSayWhatPoolsHoldAndWhoWaits(t *testing.T) {
	bad := poolOf("not an address")
	bad.Name, bad.UID = "bad", "bad"
	objects := []runtime.Object{poolOf("192.0.2.0/31", "2001:db8::/127"), bad, web("a", "192.0.2.0"), web("b"), web("c")}
	withCluster(t, objects, func(c *cluster) {
		c.start()
		c.elect()
		c.serve()
		families, err := c.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, family := range families {
			for _, m := range family.GetMetric() {
				var labels []string
				for _, l := range m.GetLabel() {
					labels = append(labels, l.GetValue())
				}
				got[fmt.Sprint(family.GetName(), labels)] = m.GetGauge().GetValue()
			}
		}
		for name, want := range map[string]float64{
			"clarion_pool_addresses[IPv4 pool total]":     2,
			"clarion_pool_addresses[IPv4 pool assigned]":  2,
			"clarion_pool_addresses[IPv4 pool available]": 0,
			"clarion_pool_addresses[IPv6 pool available]": 2,
			"clarion_services_waiting[PoolExhausted]":     1,
			"clarion_conflicting_addresses[]":             0,

			"clarion_objects_not_ready[IPAddressPool InvalidAddress]": 1,
		} {
			if value, there := got[name]; !there || value != want {
				t.Errorf("%s is %v, %t", name, value, there)
			}
		}
	})
}
