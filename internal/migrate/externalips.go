package migrate

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/loadbalancer"
)

// externalIPs plans for Services with spec.externalIPs, which is deprecated since Kubernetes 1.36 (KEP-5707), to become ones of type
// LoadBalancer with the same addresses.
func (b *builder) externalIPs() {
	var addresses []string
	for i := range b.services {
		service := &b.services[i]
		if len(service.Spec.ExternalIPs) == 0 || !b.convertible(service) {
			continue
		}
		move := Move{Service: nameOf(service), How: Convert, Class: b.options.class()}
		for _, text := range service.Spec.ExternalIPs {
			if addr, err := netip.ParseAddr(text); err == nil {
				move.Addresses = append(move.Addresses, addr.String())
			}
		}
		move.Annotations = annotated(string(loadbalancer.AnnotationAddresses), strings.Join(move.Addresses, ","))
		addresses = append(addresses, move.Addresses...)
		shown := service.DeepCopy() // what its status will have
		shown.Status.LoadBalancer.Ingress = nil
		for _, address := range move.Addresses {
			shown.Status.LoadBalancer.Ingress = append(shown.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: address})
		}
		b.served = append(b.served, shown)
		b.plan.Moves = append(b.plan.Moves, move)
	}
	if len(b.plan.Moves) == 0 {
		return
	}
	slices.Sort(addresses)
	b.add("IPAddressPool", "external-ips", Ref{}, nil, map[string]any{
		"addresses":  anySlice(slices.Compact(addresses)),
		"autoAssign": false, // these are for those that ask for them
	})
	b.add("L2Advertisement", "external-ips", Ref{}, nil, map[string]any{"ipAddressPools": []any{"external-ips"}})
	b.remark(Note, Ref{Kind: "L2Advertisement", Name: "external-ips"},
		"has nodes answer for the addresses. Where routers lead them to the nodes, it is not needed: delete it, or use BGP")
	b.shareByAddress()
}

// convertible says whether a Service can be one of type LoadBalancer with its external addresses; if not, a remark says why, and it
// is left as it is.
func (b *builder) convertible(service *corev1.Service) bool {
	refuse := func(format string, args ...any) bool {
		b.remark(Lost, serviceRef(service), "keeps spec.externalIPs: "+format, args...)
		return false
	}
	if service.Spec.ClusterIP == corev1.ClusterIPNone {
		return refuse("it has no cluster IP, and so cannot be of type LoadBalancer")
	}
	if service.Spec.Type == corev1.ServiceTypeLoadBalancer {
		return refuse("it is of type LoadBalancer already; ask for the address by annotation %s, and remove spec.externalIPs", loadbalancer.AnnotationAddresses)
	}
	if !onePerFamily(service.Spec.ExternalIPs) {
		return refuse("it has several of a family, and a Service of type LoadBalancer has one: make another Service for each of the others")
	}
	for _, text := range service.Spec.ExternalIPs {
		if node := b.nodeWith(text); node != "" {
			return refuse("%s is an address of node %s, which no load balancer can have: use another address, or node ports", text, node)
		}
		family := corev1.IPv4Protocol
		if strings.Contains(text, ":") {
			family = corev1.IPv6Protocol
		}
		if len(service.Spec.IPFamilies) > 0 && !slices.Contains(service.Spec.IPFamilies, family) {
			return refuse("%s is of a family that it does not have: add %s to spec.ipFamilies", text, family)
		}
	}
	return true
}
