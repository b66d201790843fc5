package provider

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	servicehelpers "k8s.io/cloud-provider/service/helpers"
	"k8s.io/component-base/metrics"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

// A step of a Service's life. Some are taken while the cloud-controller-manager is down.
const (
	toClusterIP = iota
	toNoClass
	toOurClass
	toForeignClass
	foreignAddress
	loseFinalizer
	goDown
	comeUp
	requireClass
	requireNoClass
	lifeSteps
)

var stepNames = []string{"ClusterIP", "no class", "our class", "foreign class", "foreign address", "finalizer lost", "down", "up", "class required", "no class required"}

// theirs is what another load balancer writes.
var theirs = corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "198.51.100.1", IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)}}}

// life is a Service and the process that may serve it.
type life struct {
	*cluster
	down bool
}

// take takes one step, as users, the API server and other load balancers do. A step that cannot be
// taken now is none.
func (l *life) take(step int) {
	switch s := l.service("a"); step {
	case toClusterIP:
		l.change("a", func(s *corev1.Service) { // the API server drops what depends on the type
			s.Spec.Type, s.Spec.LoadBalancerClass, s.Status.LoadBalancer = corev1.ServiceTypeClusterIP, nil, corev1.LoadBalancerStatus{}
		})
	case toNoClass, toOurClass, toForeignClass:
		if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
			return // the class is immutable
		}
		l.change("a", func(s *corev1.Service) {
			s.Spec.Type = corev1.ServiceTypeLoadBalancer
			s.Spec.LoadBalancerClass = map[int]*string{toOurClass: ptr.To(v1alpha1.LoadBalancerClass), toForeignClass: ptr.To("example.com/other")}[step]
		})
	case foreignAddress:
		if scope.ClassOf(s) == "example.com/other" {
			l.change("a", func(s *corev1.Service) { s.Status.LoadBalancer = theirs })
		}
	case loseFinalizer:
		l.change("a", func(s *corev1.Service) { s.Finalizers = nil })
	case goDown:
		if !l.down {
			l.end()
			l.down = true
		}
	case comeUp, requireClass, requireNoClass:
		if !l.down {
			l.end()
		}
		l.down = false
		if step != comeUp {
			l.scope.RequireClass = step == requireClass
		}
		l.begin()
	}
}

// end ends the process.
func (c *cluster) end() {
	c.stop()
	time.Sleep(time.Minute) // workers of the framework notice at their next tick
}

// begin starts another process, elected and serving.
func (c *cluster) begin() {
	c.renew()
	c.metrics = metrics.NewKubeRegistry()
	c.start()
	c.elect()
	c.serve()
}

// fault is what is wrong with the Service after everything has settled; "" for nothing.
func (l *life) fault() string {
	s := l.service("a")
	held, _ := l.cloud.allocator.Lookup(nameOf(s))
	announced := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAnnounced) != nil
	if l.scope.Wants(s) {
		if !servicehelpers.HasLBFinalizer(s) || assigned(s) != "True Assigned" || len(held) != 1 || ingress(&s.Status.LoadBalancer) != held[0].String() || !announced {
			return fmt.Sprintf("it is not served: finalizers %v, %q, announced %t, holds %v, status %v", s.Finalizers, assigned(s), announced, held, s.Status.LoadBalancer)
		}
		return ""
	}
	if len(s.Finalizers) > 0 || assigned(s) != "" || announced || len(held) > 0 || (scope.Scope{}).Served(s) {
		return fmt.Sprintf("something is left: finalizers %v, %q, announced %t, holds %v", s.Finalizers, assigned(s), announced, held)
	}
	if s.Spec.Type == corev1.ServiceTypeClusterIP && len(s.Status.LoadBalancer.Ingress) > 0 {
		return fmt.Sprintf("a ClusterIP has %v", s.Status.LoadBalancer)
	}
	return ""
}

func live(t *testing.T, steps []int) {
	names := []string{}
	for _, step := range steps {
		names = append(names, stepNames[step])
	}
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a")}, func(c *cluster) {
		l := &life{cluster: c}
		l.begin()
		time.Sleep(10 * time.Second)
		wroteTheirs := false
		for _, step := range steps {
			l.take(step)
			if scope.ClassOf(l.service("a")) != "example.com/other" {
				wroteTheirs = false
			} else if step == foreignAddress {
				wroteTheirs = true
			}
		}
		if l.down {
			l.take(comeUp)
		}
		time.Sleep(2 * time.Minute)
		settle()
		if fault := l.fault(); fault != "" {
			t.Errorf("%s: %s", strings.Join(names, ", "), fault)
		}
		if s := l.service("a"); wroteTheirs && !servicehelpers.LoadBalancerStatusEqual(&s.Status.LoadBalancer, &theirs) {
			t.Errorf("%s: the addresses of another load balancer are gone: %v", strings.Join(names, ", "), s.Status.LoadBalancer)
		}
	})
}

func TestNothingIsLeftBehindInWhateverOrderAServiceChangesItsTypeAndClass(t *testing.T) {
	for _, steps := range [][]int{
		{toClusterIP},
		{toClusterIP, toForeignClass, foreignAddress},
		{toClusterIP, toForeignClass, toClusterIP, toNoClass},
		{goDown, toClusterIP},
		{goDown, toClusterIP, toForeignClass},
		{goDown, toClusterIP, toForeignClass, foreignAddress},
		{goDown, toClusterIP, toForeignClass, foreignAddress, toClusterIP, toOurClass},
		{goDown, toClusterIP, loseFinalizer},
		{goDown, loseFinalizer},
		{loseFinalizer},
		{requireClass},
		{requireClass, toClusterIP, toNoClass},
		{requireClass, toClusterIP, toForeignClass, requireNoClass, toClusterIP, toNoClass},
		{goDown, toClusterIP, toForeignClass, foreignAddress, requireClass},
	} {
		live(t, steps)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		steps := make([]int, 3+random.IntN(6))
		for i := range steps {
			steps[i] = random.IntN(lifeSteps)
		}
		live(t, steps)
	}
}

// TestTheFinalizerOfOthersIsLeftAlone : other load balancers use the same one.
func TestTheFinalizerOfOthersIsLeftAlone(t *testing.T) {
	foreign := web("a", "198.51.100.1")
	foreign.Spec.LoadBalancerClass = ptr.To("example.com/other")
	foreign.Finalizers = []string{servicehelpers.LoadBalancerCleanupFinalizer}
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), foreign}, func(c *cluster) {
		l := &life{cluster: c}
		l.begin()
		for _, step := range []int{comeUp, toClusterIP, comeUp} {
			l.take(step)
			time.Sleep(2 * time.Minute)
			if s := l.service("a"); !slices.Equal(s.Finalizers, foreign.Finalizers) {
				t.Errorf("after %q it has finalizers %v", stepNames[step], s.Finalizers)
			}
		}
	})
}

// TestAProcessThatDiesBeforeItAnswersLeavesNothingToTheNext : the finalizer comes with the answer.
func TestAProcessThatDiesBeforeItAnswersLeavesNothingToTheNext(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a")}, func(c *cluster) {
		l := &life{cluster: c}
		l.renew()
		l.start()
		l.serve() // not elected: it does not answer
		if s := l.service("a"); len(s.Finalizers) > 0 || assigned(s) != "" {
			t.Fatalf("finalizers %v, %q", s.Finalizers, assigned(s))
		}
		for _, step := range []int{goDown, toClusterIP, requireClass} {
			l.take(step)
		}
		time.Sleep(2 * time.Minute)
		if fault := l.fault(); fault != "" {
			t.Error(fault)
		}
	})
}
