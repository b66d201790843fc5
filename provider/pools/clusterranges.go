package pools

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/clarionlb/clarion/loadbalancer"
)

// apiServerRanges returns the API server's own addresses, which are the endpoints of the Service
// default/kubernetes.
func apiServerRanges(endpoints []*discoveryv1.EndpointSlice) []loadbalancer.ReservedRange {
	var ranges []loadbalancer.ReservedRange
	for _, slice := range endpoints {
		for _, endpoint := range slice.Endpoints {
			for _, text := range endpoint.Addresses {
				if ip, err := netip.ParseAddr(text); err == nil {
					ranges = append(ranges, loadbalancer.ReservedRange{Prefix: single(ip), What: "an address of the API server"})
				}
			}
		}
	}
	slices.SortFunc(ranges, func(a, b loadbalancer.ReservedRange) int { return a.Prefix.Compare(b.Prefix) })
	return ranges
}

// clusterRanges returns the addresses that the cluster itself uses: those of nodes, and the ranges
// of Services and pods.
func clusterRanges(nodes []*corev1.Node, serviceCIDRs []*networkingv1.ServiceCIDR) []loadbalancer.ReservedRange {
	var ranges []loadbalancer.ReservedRange
	add := func(prefix netip.Prefix, what string) {
		ranges = append(ranges, loadbalancer.ReservedRange{Prefix: prefix, What: what})
	}
	slices.SortFunc(nodes, func(a, b *corev1.Node) int { return compareObjects(a, b) })
	for _, node := range nodes {
		for _, address := range node.Status.Addresses {
			if ip, err := netip.ParseAddr(address.Address); err == nil { // names are none
				add(single(ip), `the address of node "`+node.Name+`"`)
			}
		}
		for _, cidr := range node.Spec.PodCIDRs {
			if prefix, err := netip.ParsePrefix(cidr); err == nil {
				add(prefix, `the pod CIDR of node "`+node.Name+`"`)
			}
		}
	}
	slices.SortFunc(serviceCIDRs, func(a, b *networkingv1.ServiceCIDR) int { return compareObjects(a, b) })
	for _, object := range serviceCIDRs {
		for _, cidr := range object.Spec.CIDRs {
			if prefix, err := netip.ParsePrefix(cidr); err == nil {
				add(prefix, "the cluster's Service CIDR")
			}
		}
	}
	return ranges
}
