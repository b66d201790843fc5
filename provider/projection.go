package provider

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	servicehelpers "k8s.io/cloud-provider/service/helpers"

	"github.com/clarionlb/clarion/internal/scope"
)

// projection shows the service controller which Services are Clarion's, and how it is to see them.
type projection struct{ scope.Scope }

// project returns the Service as the service controller is to see it, or false if it is not to see it. One that is Clarion's is
// shown with the finalizer, which it gets with the answer in one write (see finalize); the controller would write it before. One that
// was Clarion's is shown as one that wants no load balancer and has the finalizer, so that everything that it carries of
// Clarion is removed. What its status has is not shown: it is somebody else's by now.
func (p projection) project(service *corev1.Service) (*corev1.Service, bool) {
	left := p.Left(service)
	if !left && !p.Wants(service) {
		return nil, false
	}
	finalizer := servicehelpers.HasLBFinalizer(service) || !left && service.DeletionTimestamp != nil // to which none can be added
	if service.Spec.LoadBalancerClass == nil && !left && finalizer {
		return service, true
	}
	shown := *service
	shown.Spec.LoadBalancerClass = nil
	if !finalizer {
		shown.Finalizers = append(slices.Clone(shown.Finalizers), servicehelpers.LoadBalancerCleanupFinalizer)
	}
	if left {
		shown.Spec.Type = corev1.ServiceTypeClusterIP
		shown.Status.LoadBalancer = corev1.LoadBalancerStatus{}
	}
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
	return p.Wants(service) || p.Left(service)
}
