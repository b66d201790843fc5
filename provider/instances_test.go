package provider

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestANodeKeepsItsProviderIDAndEveryAddressThatItsKubeletWasGiven(t *testing.T) {
	internal := func(ip string) corev1.NodeAddress {
		return corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip}
	}
	hostname := corev1.NodeAddress{Type: corev1.NodeHostName, Address: "node1"}
	for _, test := range []struct {
		name, providerID, provided string
		reported                   []corev1.NodeAddress
		wantID                     string
		want                       []corev1.NodeAddress
	}{
		{"new node", "", "192.0.2.11", []corev1.NodeAddress{hostname}, "clarion://node1", []corev1.NodeAddress{internal("192.0.2.11"), hostname}},
		{"dual stack", "", "2001:db8::b, 192.0.2.11", []corev1.NodeAddress{hostname}, "clarion://node1", []corev1.NodeAddress{internal("2001:db8::b"), internal("192.0.2.11"), hostname}},
		{"initialised node", "other://42", "192.0.2.11", []corev1.NodeAddress{internal("192.0.2.11"), hostname}, "other://42", []corev1.NodeAddress{internal("192.0.2.11"), hostname}},
		{"no node IP given", "", "", []corev1.NodeAddress{internal("192.0.2.11"), hostname}, "clarion://node1", []corev1.NodeAddress{internal("192.0.2.11"), hostname}},
	} {
		t.Run(test.name, func(t *testing.T) {
			node := &corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: "node1", Annotations: map[string]string{"alpha.kubernetes.io/provided-node-ip": test.provided}},
				Spec:       corev1.NodeSpec{ProviderID: test.providerID},
				Status:     corev1.NodeStatus{Addresses: test.reported},
			}
			metadata, err := instances{}.InstanceMetadata(t.Context(), node)
			if err != nil {
				t.Fatal(err)
			}
			if metadata.ProviderID != test.wantID || !slices.Equal(metadata.NodeAddresses, test.want) {
				t.Errorf("got %q %v, want %q %v", metadata.ProviderID, metadata.NodeAddresses, test.wantID, test.want)
			}
		})
	}
}
