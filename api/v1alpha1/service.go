package v1alpha1

// SystemNamespace is where the announcers run, and what Clarion's programs share with each other is.
const SystemNamespace = "clarion-system"

// PasswordNamespace is where the passwords are that BGPPeers name. Announcers may read all Secrets in it, so that there should be
// nothing else.
const PasswordNamespace = "clarion-bgp"

// LoadBalancerClass is the value of a Service's spec.loadBalancerClass that asks for Clarion. A Service without a class is
// served too.
const LoadBalancerClass = "clarionlb.io/clarion"

// ControllerLease is the name of the Lease, in the namespace kube-system, that the cloud-controller-manager holds that acts.
const ControllerLease = "clarion-cloud-controller-manager"

// EventSource is the component that events of Clarion's come from, whichever of its programs writes them.
const EventSource = "clarion"

// ConditionAddressAssigned is the condition type, in a Service's status, that says whether it has its load balancer
// addresses and, if not, why. It is Unknown from when Clarion takes the Service up until it answers.
const ConditionAddressAssigned = "clarionlb.io/AddressAssigned"

// ConditionAnnounced is the condition type, in a Service's status, that says whether its addresses are announced, by which
// nodes and since when, and if not, why.
const ConditionAnnounced = "clarionlb.io/Announced"

// Reasons of a Service's Announced condition.
const (
	// ReasonAnnounced : every address is announced.
	ReasonAnnounced = "Announced"
	// ReasonPending : an address is about to be announced.
	ReasonPending = "Pending"
	// ReasonAddressConflict : something on the network that is none of the announcers answers for an address.
	ReasonAddressConflict = "AddressConflict"
	// ReasonNotAdvertised : no L2Advertisement or BGPAdvertisement selects an address.
	ReasonNotAdvertised = "NotAdvertised"
	// ReasonNoEndpoint : no endpoint of the Service can serve.
	ReasonNoEndpoint = "NoEndpoint"
	// ReasonNoNode : no node can announce an address.
	ReasonNoNode = "NoNode"
	// ReasonNoSession : no node that could announce an address has a BGP session to announce it on.
	ReasonNoSession = "NoSession"
	// ReasonNotSent : nodes that could announce an address have BGP sessions, but it is sent on none of them: no router carries its
	// IP family, or the nodes have no next hop in it. The message says which BGPPeers, and why.
	ReasonNotSent = "NotSent"
)
