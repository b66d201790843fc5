package pools

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTheClusterUsesTheAddressesOfNodesAndTheRangesOfServicesAndPods(t *testing.T) {
	node := func(name, cidr string, addresses ...corev1.NodeAddress) *corev1.Node {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.NodeSpec{PodCIDRs: []string{cidr}},
			Status:     corev1.NodeStatus{Addresses: addresses},
		}
	}
	internal := func(ip string) corev1.NodeAddress {
		return corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip}
	}
	ranges := clusterRanges([]*corev1.Node{
		node("n2", "10.244.2.0/24", internal("2001:db8::2")),
		node("n1", "10.244.1.0/24", internal("192.0.2.1"), corev1.NodeAddress{Type: corev1.NodeHostName, Address: "n1"}),
	}, []*networkingv1.ServiceCIDR{{Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16"}}}})
	got := ""
	for _, r := range ranges {
		got += fmt.Sprintf("%s: %s\n", r.Prefix, r.What)
	}
	const want = `192.0.2.1/32: the address of node "n1"
10.244.1.0/24: the pod CIDR of node "n1"
2001:db8::2/128: the address of node "n2"
10.244.2.0/24: the pod CIDR of node "n2"
10.96.0.0/16: the cluster's Service CIDR
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
