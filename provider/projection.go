package provider

import (
	corev1 "k8s.io/api/core/v1"
	servicehelpers "k8s.io/cloud-provider/service/helpers"

	"github.com/clarionlb/clarion/internal/scope"
)

// projection shows the service controller which Services are Clarion's, and how it is to see them.
type projection struct{ scope.Scope }

// project returns the Service as the service controller is to see it, or false if it is not to see it.
func (p projection) project(service *corev1.Service) (*corev1.Service, bool) {
	if !p.Includes(service) {
		return nil, false
	}
	if service.Spec.LoadBalancerClass == nil {
		return service, true
	}
	shown := *service
	shown.Spec.LoadBalancerClass = nil
	return &shown, true
}

func (p projection) projectAll(services []*corev1.Service) []*corev1.Service {
	var shown []*corev1.Service
	for _, service := range services {
		if projected, ok := p.project(service); ok {
			shown = append(shown, projected)
		}
	}
	return shown
}

// owns says whether a Service is Clarion's to serve or to clean up after.
func (p projection) owns(service *corev1.Service) bool {
	return p.Includes(service) && (service.Spec.Type == corev1.ServiceTypeLoadBalancer || servicehelpers.HasLBFinalizer(service))
}
