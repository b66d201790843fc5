package plan

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

func tainted(keys ...string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		for _, key := range keys {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule},
				corev1.Taint{Key: key, Effect: corev1.TaintEffectNoExecute})
		}
	}
}

func nodeObject(name string, change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	for _, c := range change {
		c(n)
	}
	return n
}

func serviceObject(name string, ips ...string) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": name}, Finalizers: []string{scope.Finalizer}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
		Status:     corev1.ServiceStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue}}},
	}
	for _, ip := range ips {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
	}
	return s
}

func poolObject(name string, addresses ...string) *v1alpha1.IPAddressPool {
	return &v1alpha1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pool": name}},
		Spec:       v1alpha1.IPAddressPoolSpec{Addresses: addresses},
	}
}

func endpointsOn(service string, nodes ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: service + "-x", Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, n := range nodes {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{NodeName: &n})
	}
	return s
}

// terminating is an endpoint that still serves.
var terminating = discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(true), Terminating: ptr.To(true)}

func endpoints6On(service string, nodes ...string) *discoveryv1.EndpointSlice {
	s := endpointsOn(service, nodes...)
	s.Name, s.AddressType = service+"-6", discoveryv1.AddressTypeIPv6
	return s
}

func local(s *corev1.Service) *corev1.Service {
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	return s
}

func selecting(key, value string) []v1alpha1.LabelSelector {
	return []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{key: v1alpha1.LabelValue(value)}}}
}

var addr = netip.MustParseAddr

func offNetwork(n *corev1.Node) {
	n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue})
}

func drained(n *corev1.Node) {
	metav1.SetMetaDataAnnotation(&n.ObjectMeta, v1alpha1.AnnotationDrain, "")
}

func notReady(n *corev1.Node) {
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
}

func excluded(n *corev1.Node) { n.Labels[corev1.LabelNodeExcludeBalancers] = "" }

// index is that of the node with a name.
func index(name string) int { return int(name[1] - '1') }

func withAddresses(name string, index int, change ...func(*corev1.Node)) *corev1.Node {
	n := nodeObject(name, change...)
	for _, format := range []string{"192.168.10.1%d", "fd00:10::1%d", "10.1.1.1%d"} {
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: fmt.Sprintf(format, index+1)})
	}
	return n
}

// setReady writes the condition of a pool as the provider does.
func setReady(p *v1alpha1.IPAddressPool, reason string) {
	status := metav1.ConditionFalse
	if reason == v1alpha1.ReasonValid {
		status = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&p.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: status, Reason: reason, ObservedGeneration: p.Generation,
	})
}
