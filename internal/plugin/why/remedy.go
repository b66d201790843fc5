package why

import (
	"fmt"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

// What to do is here, by the reasons of those who decide. The sentences are stable.

// remediesOfAnswers are for Services that do not get an address.
var remediesOfAnswers = map[loadbalancer.Reason]string{
	loadbalancer.PoolExhausted:         "add addresses to the pool, make another one, or delete Services that are not needed: kubectl clarion pools",
	loadbalancer.NoMatchingPool:        "make an IPAddressPool that is for this namespace and these labels, or correct what the Service or the pool names",
	loadbalancer.NamespaceLimitReached: "delete a Service of the namespace, share an address, or have maxAddressesPerNamespace of the pool raised",
	loadbalancer.AddressInUse:          "ask for another address, share this one (annotation clarionlb.io/allow-shared-ip on both), or ask for none",
	loadbalancer.AddressNotInPool:      "ask for an address of a pool, or add this one to spec.addresses of an IPAddressPool",
	loadbalancer.AddressReserved:       "ask for another address, or for none",
	loadbalancer.AddressAwaitingReuse:  "wait until then, or make an IPAddressReservation of the address for this Service",
	loadbalancer.AddressConflict:       "find the host by its hardware address and take the address from it, or ask for another one",
	loadbalancer.FamilyUnavailable:     "add addresses of that family to a pool, or set ipFamilyPolicy: PreferDualStack",
	loadbalancer.SharingConflict:       "use other ports, the same sharing key, or the same pods, as the message says",
	loadbalancer.InvalidRequest:        "correct the annotation or the field that is named",
	loadbalancer.InternalError:         "report it: the log of the cloud-controller-manager has the stack",
}

// remediesOfAnnouncements are for addresses that nobody announces, by the reason of the condition
// Announced.
var remediesOfAnnouncements = map[string]string{
	v1alpha1.ReasonNotAdvertised:   "make an L2Advertisement or a BGPAdvertisement that selects the pool of the address and the Service",
	v1alpha1.ReasonNoEndpoint:      "make pods of the Service ready, see its endpoints",
	v1alpha1.ReasonNoNode:          "enable one of the nodes: see what keeps each",
	v1alpha1.ReasonNoSession:       "mend the sessions: see what each says; kubectl clarion bgp has all of them",
	v1alpha1.ReasonNotSent:         "have a session carry this IP family: see what each says",
	v1alpha1.ReasonAddressConflict: "find the host by its hardware address and take the address from it",
	v1alpha1.ReasonPending:         "wait a moment; if it lasts, look at the announcer of the node: kubectl clarion why node/NODE",
	v1alpha1.ReasonInternalError:   "report it: the log of the cloud-controller-manager has the stack",
}

// remediesOfNodes are for nodes that do not announce. %s is the node.
var remediesOfNodes = map[plan.Reason]string{
	plan.NoAnnouncer:        "have the DaemonSet clarion-system/announcer run on %s: does it tolerate the taints of the node?",
	plan.NotAlive:           "look at the node %[1]s and at its announcer: kubectl clarion why node/%[1]s",
	plan.Excluded:           "kubectl label node %s node.kubernetes.io/exclude-from-external-load-balancers-, or run both programs with --ignore-exclude-label",
	plan.NetworkUnavailable: "have the network plugin set up the network of %s",
	plan.NotSelected:        "have nodeSelectors of an advertisement select %s",
	plan.NoLocalEndpoint:    "run a ready pod on %s, or set externalTrafficPolicy: Cluster",
	plan.EndpointsTerminate: "run a ready pod on %s, or set externalTrafficPolicy: Cluster",
	plan.NoInterface:        "give %s an interface in the network of the address, or name one in spec.interfaces of the L2Advertisement",
	plan.Draining:           "kubectl clarion undrain %s, or remove the taint that drains it",
	plan.NotReady:           "make the Node Ready: kubectl describe node %s",
	plan.KubeProxyDown:      "look at kube-proxy on %s: it does not answer at port 10256",
	plan.NoPeer:             "have spec.nodeSelectors of a BGPPeer select %s, and spec.peers of the BGPAdvertisement the BGPPeer",
	plan.NoPeerOfFamily:     "have spec.addressFamilies of a BGPPeer name the IP family",
	plan.BeyondPool:         "make spec.aggregationLength of the BGPAdvertisement longer, or let the pool have the whole prefix",
}

// remedyOfNode is what to do about a node that does not announce an address; "" for nothing.
func remedyOfNode(reason plan.Reason, node string) string {
	if remedy := remediesOfNodes[reason]; remedy != "" {
		return fmt.Sprintf(remedy, node)
	}
	return ""
}
