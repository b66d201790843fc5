package provider

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	servicehelpers "k8s.io/cloud-provider/service/helpers"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

func TestWhichServicesAreOurs(t *testing.T) {
	class := func(name string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &name }
	}
	for _, test := range []struct {
		name                          string
		change                        func(*corev1.Service)
		wants, owns                   bool
		wantsIfRequired, ownsRequired bool
	}{
		{"no class", nil, true, true, false, false},
		{"no class, served already", func(s *corev1.Service) {
			s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue}}
		}, true, true, true, true},
		{"no class, refused already", func(s *corev1.Service) {
			s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionFalse}}
		}, true, true, true, true},
		{"our class", class(v1alpha1.LoadBalancerClass), true, true, true, true},
		{"another class", class("example.com/other"), false, false, false, false},
		{"another class with the common finalizer", func(s *corev1.Service) {
			s.Spec.LoadBalancerClass = ptr.To("example.com/other")
			s.Finalizers = []string{servicehelpers.LoadBalancerCleanupFinalizer}
		}, false, false, false, false},
		{"a ClusterIP that was a load balancer", func(s *corev1.Service) {
			s.Spec.Type = corev1.ServiceTypeClusterIP
			s.Finalizers = []string{servicehelpers.LoadBalancerCleanupFinalizer}
			s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue}}
		}, false, true, false, true},
		{"a ClusterIP", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }, false, false, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := service("a", test.change)
			if got := (scope.Scope{}).Wants(s); got != test.wants {
				t.Errorf("wanted by it: %v, want %v", got, test.wants)
			}
			if got := (projection{}).owns(s); got != test.owns {
				t.Errorf("owned: %v, want %v", got, test.owns)
			}
			if got := (scope.Scope{RequireClass: true}).Wants(s); got != test.wantsIfRequired {
				t.Errorf("wanted by it if a class is required: %v, want %v", got, test.wantsIfRequired)
			}
			if got := (projection{scope.Scope{RequireClass: true}}).owns(s); got != test.ownsRequired {
				t.Errorf("owned if a class is required: %v, want %v", got, test.ownsRequired)
			}
		})
	}
}
