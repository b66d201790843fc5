package provider

import (
	"context"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	cloudprovider "k8s.io/cloud-provider"
	cloudproviderapi "k8s.io/cloud-provider/api"
)

// instances answers what the cloud-node controller asks about nodes. Without a cloud, all that is
// known of a machine is what its kubelet said; nothing here touches the network.
type instances struct{}

var _ cloudprovider.InstancesV2 = instances{}

// InstanceExists is always true: no inventory says otherwise, and a wrong "no" has the Node deleted.
func (instances) InstanceExists(context.Context, *corev1.Node) (bool, error) { return true, nil }

// InstanceShutdown is always false: a machine that is off looks like one that cannot be reached.
func (instances) InstanceShutdown(context.Context, *corev1.Node) (bool, error) { return false, nil }

// InstanceMetadata returns the provider ID clarion://<node name>, or the one that the node already
// has, and the addresses that the kubelet was given with --node-ip, followed by those that the node
// already reports.
func (instances) InstanceMetadata(_ context.Context, node *corev1.Node) (*cloudprovider.InstanceMetadata, error) {
	providerID := node.Spec.ProviderID
	if providerID == "" {
		providerID = ProviderName + "://" + node.Name
	}
	return &cloudprovider.InstanceMetadata{ProviderID: providerID, NodeAddresses: nodeAddresses(node)}, nil
}

// nodeAddresses returns every provided node IP, in the order in which it was given and as the first
// addresses, because the cloud-node controller leaves a node uninitialised while one of them is
// missing (nodeutil.GetNodeAddressesFromNodeIP) and kube-proxy exits when the order changes.
func nodeAddresses(node *corev1.Node) []corev1.NodeAddress {
	var addresses []corev1.NodeAddress
	seen := map[corev1.NodeAddress]bool{}
	add := func(address corev1.NodeAddress) {
		if !seen[address] {
			seen[address] = true
			addresses = append(addresses, address)
		}
	}
	for text := range strings.SplitSeq(node.Annotations[cloudproviderapi.AnnotationAlphaProvidedIPAddr], ",") {
		if ip, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil {
			add(corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip.String()})
		}
	}
	for _, address := range node.Status.Addresses {
		add(address)
	}
	return addresses
}
