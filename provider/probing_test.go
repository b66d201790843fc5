package provider

import (
	"bytes"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// lanNode is a node whose announcer lives and has an interface in a network.
func lanNode(name string) []runtime.Object {
	return []runtime.Object{
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "announcer-" + name, Labels: map[string]string{"app.kubernetes.io/name": "announcer"}},
			Spec:       corev1.PodSpec{NodeName: name},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}}},
		},
		&v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: v1alpha1.AnnouncerStatus{
			Layer2:     v1alpha1.Layer2Status{Interfaces: []v1alpha1.Layer2Interface{{Name: "eth0", Prefixes: []string{"192.0.2.0/24"}}}},
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}},
		}},
	}
}

// record has the Announcer of a node say something else.
func (c *cluster) record(node string, change func(*v1alpha1.Layer2Status)) {
	c.Helper()
	announcers := c.clarion.ClarionV1alpha1().Announcers()
	a, err := announcers.Get(c.ctx, node, metav1.GetOptions{})
	if err == nil {
		change(&a.Status.Layer2)
		_, err = announcers.Update(c.ctx, a, metav1.UpdateOptions{})
	}
	if err != nil {
		c.Fatal(err)
	}
	settle()
}

func asksFor(s *corev1.Service, address string) *corev1.Service {
	s.Annotations = map[string]string{"clarionlb.io/addresses": address}
	return s
}

// withLAN runs a test with a Cloud that serves, a pool of 192.0.2.0 to 192.0.2.15 and a node that
// announces on layer 2.
func withLAN(t *testing.T, advertisement *v1alpha1.L2Advertisement, services []runtime.Object, test func(c *cluster)) {
	objects := append(append(services, poolOf("192.0.2.0/28")), lanNode("n1")...)
	if advertisement != nil {
		advertisement.Name = "all"
		objects = append(objects, advertisement)
	}
	withCluster(t, objects, func(c *cluster) {
		c.start()
		c.elect()
		c.serve()
		test(c)
	})
}

func TestAnAddressThatAServiceAsksForIsGivenOnceTheNetworkWasAsked(t *testing.T) {
	withLAN(t, &v1alpha1.L2Advertisement{}, []runtime.Object{asksFor(web("a"), "192.0.2.3"), web("b")}, func(c *cluster) {
		if got := ingress(&c.service("b").Status.LoadBalancer); got == "" {
			t.Error("one that asks for no address waits too")
		}
		if a := c.service("a"); ingress(&a.Status.LoadBalancer) != "" || assigned(a) != "Unknown Pending" {
			t.Errorf("before the probe it has %v, %s", a.Status.LoadBalancer, assigned(a))
		}
		c.told()
		c.record("n1", func(s *v1alpha1.Layer2Status) { s.Probed = []string{"192.0.2.3"} })
		if a := c.service("a"); ingress(&a.Status.LoadBalancer) != "192.0.2.3" || assigned(a) != "True Assigned" {
			t.Errorf("after the probe it has %v, %s", a.Status.LoadBalancer, assigned(a))
		}
		if n := len(c.cloud.balancer.probing.since); n != 0 {
			t.Errorf("%d are remembered that do not wait any more", n)
		}
	})
}

func TestAnAddressThatAHostHasIsNotGivenToTheServiceThatAsksForIt(t *testing.T) {
	withLAN(t, &v1alpha1.L2Advertisement{}, []runtime.Object{asksFor(web("a"), "192.0.2.3")}, func(c *cluster) {
		c.record("n1", func(s *v1alpha1.Layer2Status) {
			s.Conflicts = []v1alpha1.Layer2Conflict{{IP: "192.0.2.3", Interface: "eth0", MAC: "02:00:00:00:00:99"}}
		})
		if a := c.service("a"); ingress(&a.Status.LoadBalancer) != "" || assigned(a) != "False AddressConflict" {
			t.Errorf("it has %v, %s", a.Status.LoadBalancer, assigned(a))
		}
		time.Sleep(time.Minute)
		if got := strings.Join(c.told(), "\n"); strings.Count(got, "AddressConflict") != 1 || !strings.Contains(got, "02:00:00:00:00:99") {
			t.Errorf("told %s", got)
		}
		if a := c.service("a"); ingress(&a.Status.LoadBalancer) != "" {
			t.Errorf("in the end it has %v", a.Status.LoadBalancer)
		}
		c.record("n1", func(s *v1alpha1.Layer2Status) { s.Conflicts, s.Probed = nil, []string{"192.0.2.3"} })
		if got := ingress(&c.service("a").Status.LoadBalancer); got != "192.0.2.3" {
			t.Errorf("when the host is gone it has %q", got)
		}
	})
}

func TestAServiceThatAsksForAnotherAddressKeepsItsOwnUntilTheNetworkWasAsked(t *testing.T) {
	withLAN(t, &v1alpha1.L2Advertisement{}, []runtime.Object{web("a")}, func(c *cluster) {
		before := ingress(&c.service("a").Status.LoadBalancer)
		c.change("a", func(s *corev1.Service) { asksFor(s, "192.0.2.9") })
		if got := ingress(&c.service("a").Status.LoadBalancer); got != before {
			t.Errorf("before the probe it has %q, want %q", got, before)
		}
		c.record("n1", func(s *v1alpha1.Layer2Status) { s.Probed = []string{"192.0.2.9"} })
		if got := ingress(&c.service("a").Status.LoadBalancer); got != "192.0.2.9" {
			t.Errorf("after the probe it has %q", got)
		}
	})
}

func TestNobodyWaitsForAProbeThatDoesNotCome(t *testing.T) {
	withLAN(t, &v1alpha1.L2Advertisement{}, []runtime.Object{asksFor(web("a"), "192.0.2.3")}, func(c *cluster) {
		time.Sleep(2 * probeTimeout)
		if got := ingress(&c.service("a").Status.LoadBalancer); got != "192.0.2.3" {
			t.Errorf("without an answer it has %q after %s", got, 2*probeTimeout)
		}
	})
}

func TestThatAServiceWaitsForTheNetworkIsNoWarning(t *testing.T) {
	defer klog.CaptureState().Restore()
	var log bytes.Buffer
	klog.LogToStderr(false)
	klog.SetOutput(&log)
	withLAN(t, &v1alpha1.L2Advertisement{}, []runtime.Object{asksFor(web("a"), "192.0.2.3")}, func(*cluster) { time.Sleep(2 * probeTimeout) })
	klog.Flush()
	for line := range strings.Lines(log.String()) {
		if strings.HasPrefix(line, "W") {
			t.Error(line)
		}
	}
}

func TestWhereNobodyProbesNobodyWaits(t *testing.T) {
	at := func(change func(*v1alpha1.L2Advertisement)) *v1alpha1.L2Advertisement {
		a := &v1alpha1.L2Advertisement{}
		change(a)
		return a
	}
	for name, advertisement := range map[string]*v1alpha1.L2Advertisement{
		"not announced on layer 2": nil,
		"without a probe": at(func(a *v1alpha1.L2Advertisement) {
			a.Spec.DuplicateAddressDetection = v1alpha1.DuplicateAddressDetectionDisabled
		}),
		"on no interface that there is": at(func(a *v1alpha1.L2Advertisement) { a.Spec.Interfaces = []string{"eth9"} }),
		"by no node that there is": at(func(a *v1alpha1.L2Advertisement) {
			a.Spec.NodeSelectors = []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"no": "node"}}}
		}),
	} {
		withLAN(t, advertisement, []runtime.Object{asksFor(web("a"), "192.0.2.3")}, func(c *cluster) {
			if got := ingress(&c.service("a").Status.LoadBalancer); got != "192.0.2.3" { // after a second
				t.Errorf("%s: it has %q", name, got)
			}
		})
	}
}

func TestWhatAServiceHasIsNotAskedFor(t *testing.T) {
	services := []runtime.Object{
		asksFor(answeredService("a", "192.0.2.3"), "192.0.2.3"),
		answeredService("b", "192.0.2.4"), asksFor(web("c"), "192.0.2.4"),
	}
	withLAN(t, &v1alpha1.L2Advertisement{}, services, func(c *cluster) {
		if got := ingress(&c.service("a").Status.LoadBalancer); got != "192.0.2.3" {
			t.Errorf("a has %q", got)
		}
		if got := assigned(c.service("c")); !strings.HasPrefix(got, "False ") {
			t.Errorf("what another Service has is refused without a probe, c says %q", got)
		}
	})
}

// answeredService is a Service that has an address of ours.
func answeredService(name, address string) *corev1.Service {
	s := web(name, address)
	s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue, Reason: "Assigned"}}
	return s
}
