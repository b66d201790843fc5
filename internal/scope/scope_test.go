package scope

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestWhoseServiceItIs(t *testing.T) {
	class := func(name string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &name }
	}
	answered := func(status metav1.ConditionStatus) func(*corev1.Service) {
		return func(s *corev1.Service) {
			s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: status}}
		}
	}
	for _, test := range []struct {
		name    string
		changes []func(*corev1.Service)
		// wants and required say whether the CCM is to serve the Service, the latter if it requires a class; served whether the
		// addresses in its status are ours.
		wants, required, served bool
	}{
		{"no class", nil, true, false, false},
		{"no class, answered with addresses", []func(*corev1.Service){answered(metav1.ConditionTrue)}, true, true, true},
		{"no class, answered with a refusal", []func(*corev1.Service){answered(metav1.ConditionFalse)}, true, true, true},
		{"our class", []func(*corev1.Service){class(v1alpha1.LoadBalancerClass)}, true, true, false},
		{"our class, answered", []func(*corev1.Service){class(v1alpha1.LoadBalancerClass), answered(metav1.ConditionTrue)}, true, true, true},
		{"another class", []func(*corev1.Service){class("example.com/other")}, false, false, false},
		{"another class, answered before", []func(*corev1.Service){class("example.com/other"), answered(metav1.ConditionTrue)}, false, false, false},
		{"no load balancer any more", []func(*corev1.Service){answered(metav1.ConditionTrue), func(s *corev1.Service) {
			s.Spec.Type = corev1.ServiceTypeClusterIP
		}}, false, false, false},
	} {
		s := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
		for _, change := range test.changes {
			change(s)
		}
		if got := (Scope{}).Wants(s); got != test.wants {
			t.Errorf("%s: wanted %t, want %t", test.name, got, test.wants)
		}
		if got := (Scope{RequireClass: true}).Wants(s); got != test.required {
			t.Errorf("%s: wanted if a class is required %t, want %t", test.name, got, test.required)
		}
		if got := (Scope{}).Served(s); got != test.served {
			t.Errorf("%s: served %t, want %t", test.name, got, test.served)
		}
	}
}
