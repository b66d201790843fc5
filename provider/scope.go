package provider

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	servicehelpers "k8s.io/cloud-provider/service/helpers"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// scope tells which Services are Clarion's.
type scope struct {
	requireClass bool
}

// project returns the Service as the service controller is to see it, or false if it is not to see it.
func (s scope) project(service *corev1.Service) (*corev1.Service, bool) {
	class := service.Spec.LoadBalancerClass
	if class == nil {
		return service, !s.requireClass || answered(service)
	}
	if *class != v1alpha1.LoadBalancerClass {
		return nil, false
	}
	shown := *service
	shown.Spec.LoadBalancerClass = nil
	return &shown, true
}

func (s scope) projectAll(services []*corev1.Service) []*corev1.Service {
	var shown []*corev1.Service
	for _, service := range services {
		if projected, ok := s.project(service); ok {
			shown = append(shown, projected)
		}
	}
	return shown
}

// wants reports whether a Service asks Clarion for a load balancer.
func (s scope) wants(service *corev1.Service) bool {
	_, shown := s.project(service)
	return shown && service.Spec.Type == corev1.ServiceTypeLoadBalancer
}

// owns reports whether a Service is Clarion's to serve or to clean up after.
func (s scope) owns(service *corev1.Service) bool {
	_, shown := s.project(service)
	return shown && (service.Spec.Type == corev1.ServiceTypeLoadBalancer || servicehelpers.HasLBFinalizer(service))
}

// answered reports whether Clarion has served a Service or told it why not. Either way it gave the Service the finalizer,
// which nobody else removes.
func answered(service *corev1.Service) bool {
	return meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned) != nil
}
