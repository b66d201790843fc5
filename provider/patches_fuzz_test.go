package provider

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	servicehelpers "k8s.io/cloud-provider/service/helpers"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

// Whatever finalizers and addresses a Service has, it has after a patch of the service controller what that wanted, and the mark where
// it has the finalizer: whoever finds that knows whose it is.
func FuzzThePatchesOfTheServiceController(f *testing.F) {
	f.Add("", "", "192.0.2.1", false, true)
	f.Add("example.com/a,example.com/b", "192.0.2.1", "", true, false)
	f.Add("example.com/a", "192.0.2.1,2001:db8::1", "2001:db8::1,192.0.2.1", true, true)
	f.Add("a/a,a/a,,service.kubernetes.io/load-balancer-cleanup", "x", "192.0.2.1", false, false)
	f.Fuzz(func(t *testing.T, finalizers, from, to string, has, wants bool) {
		const ours = servicehelpers.LoadBalancerCleanupFinalizer
		var others []string
		for name := range strings.SplitSeq(finalizers, ",") {
			if name != "" && name != ours && !slices.Contains(others, name) { // as the API server has them
				others = append(others, name)
			}
		}
		with := func(addresses string, finalizer bool) func(*corev1.Service) {
			return func(s *corev1.Service) {
				s.Finalizers, s.Status.LoadBalancer = slices.Clone(others), corev1.LoadBalancerStatus{}
				if finalizer {
					s.Finalizers = append(s.Finalizers, ours)
				}
				for text := range strings.SplitSeq(addresses, ",") {
					if addr, err := netip.ParseAddr(text); err == nil {
						s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: addr.String()})
					}
				}
			}
		}
		before := service("a", with(from, has))
		if !has && !wants {
			before.Spec.LoadBalancerClass = new("example.com/other")
		}
		before.Status.Conditions = []metav1.Condition{otherCondition}
		if has {
			before.Status.Conditions = append(before.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue, Reason: "Assigned"})
		}
		changed := before.DeepCopy()
		with(to, wants && has)(changed) // where it is missing, the controller is shown one
		after := patched(t, newConditionWriter(nil, listerOf(before), scope.Scope{}), before, changed)
		want := slices.Clone(others)
		if wants {
			want = append(want, ours)
		}
		slices.Sort(want)
		if got := slices.Sorted(slices.Values(after.Finalizers)); !slices.Equal(got, want) {
			t.Errorf("it has finalizers %q, want %q", got, want)
		}
		if got, want := ingress(&after.Status.LoadBalancer), ingress(&changed.Status.LoadBalancer); got != want {
			t.Errorf("it has addresses %s, want %s", got, want)
		}
		if scope.Marked(after) != wants {
			t.Errorf("it has conditions %v, and the finalizer: %t", after.Status.Conditions, wants)
		}
		if !slices.ContainsFunc(after.Status.Conditions, func(c metav1.Condition) bool { return c.Type == otherCondition.Type }) {
			t.Errorf("it has lost a condition of somebody else: %v", after.Status.Conditions)
		}
	})
}
