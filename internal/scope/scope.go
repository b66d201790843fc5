// Package scope tells whose Service it is. The cloud-controller-manager goes by it when it hands out addresses, and the
// announcers when they announce them.
package scope

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/spelling"
)

// Finalizer is that of the standard service controller, which all load balancers of Kubernetes use
// (k8s.io/cloud-provider, service/helpers).
const Finalizer = "service.kubernetes.io/load-balancer-cleanup"

// Scope is which Services the cloud-controller-manager serves.
type Scope struct {
	// Class is the spec.loadBalancerClass of Services that are Clarion's; "" is v1alpha1.LoadBalancerClass.
	Class string
	// RequireClass leaves Services without a spec.loadBalancerClass to others, but for those that carry Clarion's mark.
	RequireClass bool
}

// class is the load balancer class that is Clarion's.
func (s Scope) class() string { return cmp.Or(s.Class, v1alpha1.LoadBalancerClass) }

// Wants says whether a Service asks Clarion for a load balancer.
func (s Scope) Wants(service *corev1.Service) bool {
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return false
	}
	class := service.Spec.LoadBalancerClass
	if class == nil {
		return !s.RequireClass || Marked(service)
	}
	return *class == s.class()
}

// Left says whether a Service does not ask Clarion for a load balancer any more, and still carries what it had when it did.
// It has become one of another type or class, maybe while nobody looked.
func (s Scope) Left(service *corev1.Service) bool { return Marked(service) && !s.Wants(service) }

// Served says whether the addresses in a Service's status are Clarion's: it asks for a load balancer, and the
// cloud-controller-manager has answered it. That says so on the Service, so that nobody else has to know whether it serves
// Services without a class. The mark of one that has not been answered yet is Unknown: what its status has is somebody else's.
func (s Scope) Served(service *corev1.Service) bool {
	return s.Wants(service) && Answered(service)
}

// Answered says whether the cloud-controller-manager has answered a Service, whoever it asks now.
func Answered(service *corev1.Service) bool {
	said := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned)
	return said != nil && said.Status != metav1.ConditionUnknown
}

// StillServed says whether the addresses of a Service that was Served are Clarion's for as long as
// nobody has answered it anew. Anybody may remove the answer from the status; the
// cloud-controller-manager puts it back, and gives no Service up that is still its own by its spec.
// Who removes the finalizer with the answer gives the Service to another load balancer.
func (s Scope) StillServed(service *corev1.Service) bool {
	return Scope{Class: s.Class}.Wants(service) && slices.Contains(service.Finalizers, Finalizer)
}

// TakenUp is the mark of a Service that is about to be served for the first time.
func TakenUp(now metav1.Time) metav1.Condition {
	return metav1.Condition{
		Type:               v1alpha1.ConditionAddressAssigned,
		Status:             metav1.ConditionUnknown,
		Reason:             v1alpha1.ReasonPending,
		Message:            "about to be served",
		LastTransitionTime: now,
	}
}

// NearMiss is a sentence about a Service whose load balancer class is not Clarion's and probably meant to
// be; "" if there is nothing to say.
func (s Scope) NearMiss(service *corev1.Service) string {
	class, ours := ClassOf(service), s.class()
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer || !nearMiss(class, ours) {
		return ""
	}
	return fmt.Sprintf("spec.loadBalancerClass %q is not served by Clarion, whose class is %q: to change it, make the Service anew, "+
		"or turn it into another type in between", class, ours)
}

// nearMiss says whether a load balancer class is not ours and probably meant to be: it is ours without
// the domain or in other letters, or differs in a few of them. A fourth of the name is a few.
func nearMiss(class, ours string) bool {
	if class == "" || class == ours {
		return false
	}
	class, ours = strings.ToLower(class), strings.ToLower(ours)
	_, name, _ := strings.Cut(ours, "/")
	return class == ours || class == name || spelling.Edits(class, ours) <= min(3, len(ours)/4)
}

// ClassOf is the load balancer class of a Service; "" for none.
func ClassOf(service *corev1.Service) string {
	if service.Spec.LoadBalancerClass == nil {
		return ""
	}
	return *service.Spec.LoadBalancerClass
}

// Marked says whether a Service carries the condition AddressAssigned, which is Clarion's mark: it comes with the finalizer
// and goes with it. The finalizer alone says nothing, since all load balancers of Kubernetes use the same one.
func Marked(service *corev1.Service) bool {
	return meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned) != nil
}
