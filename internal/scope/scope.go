// Package scope tells whose Service it is. The cloud-controller-manager goes by it when it hands out addresses, and the
// announcers when they announce them.
package scope

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Scope is which Services the cloud-controller-manager serves.
type Scope struct {
	// RequireClass leaves Services without a spec.loadBalancerClass to others, but for those that Clarion has answered before.
	RequireClass bool
}

// Includes says whether a Service is Clarion's by its class, whatever its type.
func (s Scope) Includes(service *corev1.Service) bool {
	class := service.Spec.LoadBalancerClass
	if class == nil {
		return !s.RequireClass || answered(service)
	}
	return *class == v1alpha1.LoadBalancerClass
}

// Wants says whether a Service asks Clarion for a load balancer.
func (s Scope) Wants(service *corev1.Service) bool {
	return s.Includes(service) && service.Spec.Type == corev1.ServiceTypeLoadBalancer
}

// Served says whether the addresses in a Service's status are Clarion's: it asks for a load balancer, and the
// cloud-controller-manager has answered it. That says so on the Service, so that nobody else has to know which Services the
// cloud-controller-manager was told to serve.
func Served(service *corev1.Service) bool {
	return Scope{RequireClass: true}.Wants(service) && answered(service)
}

// StillServed says whether the addresses of a Service that was Served are Clarion's for as long as
// nobody has answered it anew. Anybody may remove the answer from the status; the
// cloud-controller-manager puts it back, and gives no Service up that is still its own by its spec.
func StillServed(service *corev1.Service) bool { return Scope{}.Wants(service) }

// answered says whether Clarion has served a Service or told it why not. Either way it gave the Service the finalizer, which
// nobody else removes.
func answered(service *corev1.Service) bool {
	return meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned) != nil
}
