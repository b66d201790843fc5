package whatif

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

// SetFamilies gives a Service that names no IP families those that the API server may give it: the ones that its addresses or the
// pools need, or else IPv4.
func SetFamilies(service *corev1.Service, pools []*v1alpha1.IPAddressPool) {
	spec := &service.Spec
	if len(spec.IPFamilies) > 0 {
		return
	}
	if spec.IPFamilyPolicy != nil && *spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack {
		spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
		return
	}
	spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	ipv4, ipv6 := false, false
	for _, address := range loadbalancer.Wishes(service) {
		ipv4, ipv6 = ipv4 || address.Is4(), ipv6 || address.Is6()
	}
	for _, pool := range pools {
		for _, entry := range pool.Spec.Addresses {
			if r, err := loadbalancer.ParseRange(entry); err == nil && len(loadbalancer.Wishes(service)) == 0 {
				ipv4, ipv6 = ipv4 || r.From.Is4(), ipv6 || r.From.Is6()
			}
		}
	}
	if ipv6 && !ipv4 {
		spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol}
	}
}
