package provider

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"
	cloudproviderapi "k8s.io/cloud-provider/api"

	listers "github.com/clarionlb/clarion/client/listers/api/v1alpha1"
)

// instances answers what the cloud-node controller asks about nodes. Without a cloud, all that is
// known of a machine is what its kubelet said, and what the announcer that runs there reports;
// nothing here touches the network.
type instances struct {
	announcers listers.AnnouncerLister
	events     record.EventRecorder
}

var _ cloudprovider.InstancesV2 = instances{}

// eventNoNodeAddress is the reason of the event on a Node that cannot be initialised yet.
const eventNoNodeAddress = "NoNodeAddress"

// errNoNodeAddress is what the event says.
var errNoNodeAddress = errors.New("no InternalIP is known of this node: its kubelet was given none (--node-ip), " +
	"and the announcer that is to run on it has reported none, which takes a default route; the node is not initialised until then")

// InstanceExists is always true: no inventory says otherwise, and a wrong "no" has the Node deleted.
func (instances) InstanceExists(context.Context, *corev1.Node) (bool, error) { return true, nil }

// InstanceShutdown is always false: a machine that is off looks like one that cannot be reached.
func (instances) InstanceShutdown(context.Context, *corev1.Node) (bool, error) { return false, nil }

// InstanceMetadata returns the provider ID clarion://<node name>, or the one that the node already
// has, and the addresses that the kubelet was given with --node-ip, followed by those that the node
// already reports. If there is no InternalIP among them, it is what the node's announcer reports. A
// node without any is an error, which has the cloud-node controller ask again: nothing works on such
// a node, and initialised it would look as if it did.
func (i instances) InstanceMetadata(_ context.Context, node *corev1.Node) (*cloudprovider.InstanceMetadata, error) {
	providerID := node.Spec.ProviderID
	if providerID == "" {
		providerID = ProviderName + "://" + node.Name
	}
	addresses := nodeAddresses(node)
	if !slices.ContainsFunc(addresses, func(a corev1.NodeAddress) bool { return a.Type == corev1.NodeInternalIP }) {
		reported := i.reported(node)
		if len(reported) == 0 {
			i.events.Event(node, corev1.EventTypeWarning, eventNoNodeAddress, errNoNodeAddress.Error())
			return nil, errNoNodeAddress
		}
		addresses = append(reported, addresses...)
	}
	return &cloudprovider.InstanceMetadata{ProviderID: providerID, NodeAddresses: addresses}, nil
}

// reported are the addresses of a node by what the announcer that runs there says.
func (i instances) reported(node *corev1.Node) (addresses []corev1.NodeAddress) {
	announcer, err := i.announcers.Get(node.Name)
	if err != nil {
		return nil
	}
	for _, text := range announcer.Status.Host.NodeIPs {
		if ip, err := netip.ParseAddr(text); err == nil && ip.IsGlobalUnicast() {
			addresses = append(addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip.String()})
		}
	}
	return addresses
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
