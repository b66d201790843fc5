package pools

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/loadbalancer"
)

// serviceRanges returns the addresses that Services have from others than Clarion: from another load
// balancer, by their status, and from their authors, as spec.externalIPs. kube-proxy takes packets to
// all of them for the Service.
func serviceRanges(services []*corev1.Service, served scope.Scope) []loadbalancer.ReservedRange {
	var ranges []loadbalancer.ReservedRange
	slices.SortFunc(services, func(a, b *corev1.Service) int { return compareObjects(a, b) })
	for _, service := range services {
		name := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
		add := func(texts []string, what string) {
			for _, text := range texts {
				if ip, err := netip.ParseAddr(text); err == nil {
					ranges = append(ranges, loadbalancer.ReservedRange{Prefix: single(ip), What: what, Service: name})
				}
			}
		}
		add(service.Spec.ExternalIPs, "an external IP of Service "+name.String())
		add(ofOthers(service, served), "the address of Service "+name.String()+" of "+balancerOf(service))
	}
	return ranges
}

// ofOthers are the addresses in the status of a Service that Clarion does not serve.
func ofOthers(service *corev1.Service, served scope.Scope) (addresses []string) {
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer || served.Wants(service) {
		return nil
	}
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		addresses = append(addresses, ingress.IP)
	}
	return addresses
}

func balancerOf(service *corev1.Service) string {
	if class := scope.ClassOf(service); class != "" {
		return `load balancer class "` + class + `"`
	}
	return "another load balancer"
}

// single is the prefix of one address.
func single(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	return netip.PrefixFrom(ip, ip.BitLen())
}
