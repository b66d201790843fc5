package plan

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// confirmations is which Services wait for the kube-proxy of one node. The API tells everybody at
// once that a Service has its first endpoint on the node, but kube-proxy forwards to it only up to
// some seconds later. Traffic that must stay local is lost before.
type confirmations struct {
	// node is "" as long as nothing is to be confirmed.
	node string
	// services are those whose endpoints are not confirmed. The policy is Local, and there is a port
	// on which to ask.
	services map[types.NamespacedName]struct{}
}

// EndpointCheck is where the kube-proxy of a node tells to how many endpoints of a Service on the
// node it forwards: at a port of the node, of each family in which there are some.
type EndpointCheck struct {
	// Port is the Service's spec.healthCheckNodePort, and Addresses are the node's own.
	Port      int32
	Addresses []netip.Addr
}

// AwaitConfirmations has the endpoints of Services on a node count only once they are confirmed, if
// traffic must stay local. It concerns the first endpoint of a Service that comes from now on, not
// those that are there: they may have been in use for long.
func (v *View) AwaitConfirmations(node string) { v.confirmations.node = node }

// Unconfirmed are the Services whose endpoints on the node wait to be confirmed, and where to ask.
func (v *View) Unconfirmed() map[types.NamespacedName]EndpointCheck {
	checks := make(map[types.NamespacedName]EndpointCheck, len(v.confirmations.services))
	for name := range v.confirmations.services {
		s := v.services[name]
		check := EndpointCheck{Port: s.healthCheckPort}
		if n := v.nodes[v.confirmations.node]; n != nil {
			for _, ip := range n.addresses {
				if hasNode(s.backends.of(ip.Is6()).ready, v.confirmations.node) {
					check.Addresses = append(check.Addresses, ip)
				}
			}
		}
		checks[name] = check
	}
	return checks
}

// Confirm takes note that the endpoints of a Service on the node are served.
func (v *View) Confirm(name types.NamespacedName) {
	if _, waits := v.confirmations.services[name]; waits {
		delete(v.confirmations.services, name)
		v.services[name].backends.unconfirmed = false
		v.touch(v.services[name])
	}
}

// noteEndpoints finds out whether a Service has its first endpoint on the node, or none any more. served
// says whether it had one before. No Service is fine.
func (v *View) noteEndpoints(s *service, served bool) {
	if s == nil || v.confirmations.node == "" {
		return
	}
	switch {
	case !s.backends.serve(v.confirmations.node):
		delete(v.confirmations.services, s.name)
		s.backends.unconfirmed = false
	case !served && s.local && s.healthCheckPort != 0:
		if v.confirmations.services == nil {
			v.confirmations.services = map[types.NamespacedName]struct{}{}
		}
		v.confirmations.services[s.name] = struct{}{}
		s.backends.unconfirmed = true
	}
}

// forgetConfirmation is for a Service that is gone, or that asks nobody any more.
func (v *View) forgetConfirmation(s *service) {
	delete(v.confirmations.services, s.name)
	s.backends.unconfirmed = false
}

// serve says whether a node has endpoints of any family that serve.
func (b *backends) serve(node string) bool {
	return hasNode(b.ipv4.serving, node) || hasNode(b.ipv6.serving, node)
}

func hasNode(sorted []string, node string) bool {
	_, has := slices.BinarySearch(sorted, node)
	return has
}
