package migrate

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"
)

// withdraw makes a Service one of type ClusterIP, without what only those of type LoadBalancer have.
func withdraw(s *corev1.Service) {
	spec := &s.Spec
	spec.Type = corev1.ServiceTypeClusterIP
	spec.LoadBalancerClass, spec.LoadBalancerIP, spec.LoadBalancerSourceRanges = nil, "", nil
	spec.AllocateLoadBalancerNodePorts, spec.HealthCheckNodePort, spec.ExternalTrafficPolicy = nil, 0, ""
	for i := range spec.Ports {
		spec.Ports[i].NodePort = 0
	}
}

// restore makes a Service of type LoadBalancer again of one that was withdrawn, as it was but for its class.
func restore(s, before *corev1.Service, class *string) {
	spec, was := &s.Spec, &before.Spec
	spec.Type = was.Type
	spec.LoadBalancerClass, spec.LoadBalancerIP, spec.LoadBalancerSourceRanges = class, was.LoadBalancerIP, was.LoadBalancerSourceRanges
	spec.AllocateLoadBalancerNodePorts, spec.HealthCheckNodePort, spec.ExternalTrafficPolicy =
		was.AllocateLoadBalancerNodePorts, was.HealthCheckNodePort, was.ExternalTrafficPolicy
	for i := range spec.Ports {
		for _, port := range was.Ports {
			if port.Port == spec.Ports[i].Port && protocolOf(port) == protocolOf(spec.Ports[i]) {
				spec.Ports[i].NodePort = port.NodePort
			}
		}
	}
}

func protocolOf(port corev1.ServicePort) corev1.Protocol {
	if port.Protocol == "" {
		return corev1.ProtocolTCP
	}
	return port.Protocol
}

// convert makes a Service one of type LoadBalancer. One that had no node ports needs none.
func convert(s *corev1.Service, class string) {
	if s.Spec.Type == corev1.ServiceTypeClusterIP {
		s.Spec.AllocateLoadBalancerNodePorts = ptr.To(false)
	}
	s.Spec.Type, s.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, ptr.To(class)
}

// leaveOut has the API server choose in place of some node ports.
func leaveOut(s *corev1.Service, ports sets.Set[int32]) {
	if ports.Has(s.Spec.HealthCheckNodePort) {
		s.Spec.HealthCheckNodePort = 0
	}
	for i := range s.Spec.Ports {
		if ports.Has(s.Spec.Ports[i].NodePort) {
			s.Spec.Ports[i].NodePort = 0
		}
	}
}

// takenOf is the node port of a Service about which an error says that another Service has it; 0 if it says something else.
func takenOf(s *corev1.Service, err error) int32 {
	ports := []int32{s.Spec.HealthCheckNodePort}
	for _, port := range s.Spec.Ports {
		ports = append(ports, port.NodePort)
	}
	for _, port := range ports {
		if err != nil && port != 0 && strings.Contains(err.Error(), fmt.Sprintf(" %d%s", port, allocated)) {
			return port
		}
	}
	return 0
}
