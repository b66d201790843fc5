package v1alpha1

import corev1 "k8s.io/api/core/v1"

// LoadBalancerClass is the value of a Service's spec.loadBalancerClass that asks for Clarion. A Service without a class is
// served too.
const LoadBalancerClass = "clarionlb.io/clarion"

// ConditionAddressAssigned is the condition type, in a Service's status, that says whether it has its load balancer
// addresses and, if not, why.
const ConditionAddressAssigned = "clarionlb.io/AddressAssigned"

// WantsLoadBalancer reports whether a Service asks Clarion for a load balancer.
func WantsLoadBalancer(service *corev1.Service) bool {
	class := service.Spec.LoadBalancerClass
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer && (class == nil || *class == LoadBalancerClass)
}
