package announce

import (
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// The most that an Announcer has of each: the API takes no more.
const (
	mostHostAddresses = 256
	mostGateways      = 16
)

// hostOf is what the node's kernel has of the network.
func hostOf(links links) v1alpha1.HostStatus {
	var host v1alpha1.HostStatus
	for _, ip := range links.NodeIPs() {
		host.NodeIPs = append(host.NodeIPs, ip.String())
	}
	for _, i := range links.Interfaces() {
		for _, gateway := range i.Gateways {
			if gateway.IsGlobalUnicast() { // a link-local one is no address of a pool
				host.Gateways = append(host.Gateways, gateway.String())
			}
		}
	}
	slices.Sort(host.Gateways)
	host.Gateways = slices.Compact(host.Gateways)
	host.Gateways = host.Gateways[:min(len(host.Gateways), mostGateways)]
	for _, a := range links.KernelAddresses() {
		if len(host.Addresses) < mostHostAddresses {
			host.Addresses = append(host.Addresses, v1alpha1.HostAddress{IP: a.Address.String(), Interface: a.Interface})
		}
	}
	return host
}

// reportHost has the Announcer say what the kernel has, before the node takes part: a Node without an
// address gets one by that. All else stays as it is in the API.
func (a *Announcer) reportHost() {
	own := a.ownAnnouncer()
	if own == nil {
		return
	}
	if host := hostOf(a.lan.links); !apiequality.Semantic.DeepEqual(own.Status.Host, host) {
		waiting := own.Status.DeepCopy()
		waiting.Host = host
		a.api.status.WriteRest(*waiting)
	}
}
