package chaos

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// configuration is what the operator has applied. It is applied anew at the end of each round.
const configuration = `
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: public}
spec: {addresses: [192.168.10.200-192.168.10.211, "fd00:10::200-fd00:10::203"], reuseAfter: 5s}
---
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: routed}
spec: {addresses: [203.0.113.0/28], autoAssign: false}
---
apiVersion: clarionlb.io/v1alpha1
kind: L2Advertisement
metadata: {name: public}
spec: {ipAddressPools: [public]}
---
apiVersion: clarionlb.io/v1alpha1
kind: BGPPeer
metadata: {name: tor}
spec: {myASN: 65001, peerASN: 65000, peerAddress: 192.168.10.1, holdTime: 3s, connectTime: 2s}
---
apiVersion: clarionlb.io/v1alpha1
kind: BGPAdvertisement
metadata: {name: routed}
spec: {ipAddressPools: [routed]}
`

// overlappingPool has addresses that the pool has, too, and no others: a Service would keep one of those when this pool is gone, and
// nobody announces an address that is in no pool.
const overlappingPool = `
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: overlapping}
spec: {addresses: [192.168.10.204-192.168.10.211]}
`

// poolAddresses are those of the pool, and those that guests ask for although no pool has them.
func poolAddresses() []netip.Addr {
	var all []netip.Addr
	for n := range 14 {
		all = append(all, netip.AddrFrom4([4]byte{192, 168, 10, byte(200 + n)}))
	}
	for n := range 4 {
		all = append(all, netip.MustParseAddr(fmt.Sprintf("fd00:10::20%d", n)))
	}
	return all
}

// routedAddress is the address of the resident that is announced by BGP.
const routedAddress = "203.0.113.1"

// residents are Services whose wish never changes.
func residents() []*corev1.Service {
	first, second := newService("first", 80), newService("second", 80)
	dual, local, routed := newService("dual", 80), newService("local", 80), newService("routed", 80)
	dual.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
	local.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	routed.Annotations = map[string]string{addressesKey: routedAddress}
	return []*corev1.Service{first, second, dual, local, routed}
}

// addressesKey is the annotation that asks for addresses by name.
const addressesKey = ours + "addresses"

// newGuest is a guest that has just come. Every guest has another port, so that all can share.
func newGuest(number int) *corev1.Service {
	return newService(guestName(number), 8000+int32(number))
}

func guestName(number int) string { return fmt.Sprintf("guest-%d", number) }

func newService(name string, port int32) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeLoadBalancer,
			Selector: map[string]string{"app": "myapp"},
			Ports:    []corev1.ServicePort{{Port: port, TargetPort: intstr.FromInt32(8080)}},
		},
	}
}
