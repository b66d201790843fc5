package provider

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"
	cloudproviderapi "k8s.io/cloud-provider/api"
	nodehelpers "k8s.io/cloud-provider/node/helpers"

	listers "github.com/clarionlb/clarion/client/listers/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/provider/cloudconfig"
)

// instances answers what the controllers of nodes ask. Without a cloud, all that is known of a
// machine is what its kubelet said, what the announcer that runs there reports, and what the cloud
// config says; nothing here touches the network.
type instances struct {
	config     *cloudconfig.Config
	announcers listers.AnnouncerLister
	events     record.EventRecorder
}

var _ cloudprovider.InstancesV2 = instances{}

// Reasons of the events on a Node that cannot be initialised yet.
const (
	// eventNoNodeAddress (Warning, Node): the node is not initialised, because neither its kubelet nor its announcer says an InternalIP.
	eventNoNodeAddress = "NoNodeAddress"
	// eventInvalidNodeIP (Warning, Node): the node is not initialised, because the address that its kubelet was given
	// (alpha.kubernetes.io/provided-node-ip) cannot be used.
	eventInvalidNodeIP = "InvalidNodeIP"
)

// errNoNodeAddress is what the event says.
var errNoNodeAddress = errors.New("no InternalIP is known of this node: its kubelet was given none (--node-ip), " +
	"and the announcer that is to run on it has reported none, which takes a default route; the node is not initialised until then")

// InstanceExists is true, unless the cloud config declares the node gone: a wrong "no" has the Node
// deleted. The cloud-node-lifecycle controller asks only about nodes that are not Ready.
func (i instances) InstanceExists(_ context.Context, node *corev1.Node) (bool, error) {
	return !i.config.IsGone(node), nil
}

// InstanceShutdown is always false: a machine that is off looks like one that cannot be reached.
func (instances) InstanceShutdown(context.Context, *corev1.Node) (bool, error) { return false, nil }

// InstanceMetadata returns the provider ID clarion://<node name>, or the one that the node already
// has, and the addresses that the kubelet was given with --node-ip, followed by those that the node
// already reports. If there is no InternalIP among them, it is what the node's announcer reports. The
// rest is what the cloud config says of a node with these addresses.
//
// A node without an InternalIP is an error, which has the cloud-node controller ask again: nothing
// works on such a node, and initialised it would look as if it did.
func (i instances) InstanceMetadata(_ context.Context, node *corev1.Node) (metadata *cloudprovider.InstanceMetadata, err error) {
	err = guard.Try("instances", node.Name, func() error {
		metadata, err = i.metadata(node)
		return err
	})
	return metadata, err
}

func (i instances) metadata(node *corev1.Node) (*cloudprovider.InstanceMetadata, error) {
	providerID := node.Spec.ProviderID
	if providerID == "" {
		providerID = ProviderName + "://" + node.Name
	}
	addresses := nodeAddresses(node)
	if len(internalIPs(addresses)) == 0 {
		reported := i.reported(node)
		if len(reported) == 0 {
			i.reportUninitialized(node, eventNoNodeAddress, errNoNodeAddress)
			return nil, errNoNodeAddress
		}
		addresses = append(reported, addresses...)
	}
	if provided, ok := node.Annotations[cloudproviderapi.AnnotationAlphaProvidedIPAddr]; ok {
		// The cloud-node controller does the same after this, and says nothing on the Node.
		if _, err := nodehelpers.GetNodeAddressesFromNodeIP(provided, addresses); err != nil {
			i.reportUninitialized(node, eventInvalidNodeIP, fmt.Errorf("the annotation %s cannot be used, and the node is not initialised until it can: %w",
				cloudproviderapi.AnnotationAlphaProvidedIPAddr, err))
		}
	}
	known := i.config.Instance(node, internalIPs(addresses))
	return &cloudprovider.InstanceMetadata{
		ProviderID:       providerID,
		NodeAddresses:    addresses,
		InstanceType:     known.Type,
		Zone:             known.Zone,
		Region:           known.Region,
		AdditionalLabels: known.Labels,
	}, nil
}

// reportUninitialized says on a Node why it is not initialised. One that is initialised, or need not be, is asked about too.
func (i instances) reportUninitialized(node *corev1.Node, reason string, err error) {
	waits := func(taint corev1.Taint) bool { return taint.Key == cloudproviderapi.TaintExternalCloudProvider }
	if slices.ContainsFunc(node.Spec.Taints, waits) {
		i.events.Event(node, corev1.EventTypeWarning, reason, err.Error())
	}
}

// internalIPs are the InternalIPs among the addresses of a node.
func internalIPs(addresses []corev1.NodeAddress) (ips []netip.Addr) {
	for _, address := range addresses {
		if ip, err := netip.ParseAddr(address.Address); err == nil && address.Type == corev1.NodeInternalIP {
			ips = append(ips, ip)
		}
	}
	return ips
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
