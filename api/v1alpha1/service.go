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

// AnnotationProblem on a Lease in the namespace kube-system, which the cloud-controller-manager holds, says why its holder cannot do its
// work. It goes with the renewals of the Lease. Announcers repeat it on Services that get no answer.
const AnnotationProblem = "clarionlb.io/problem"

// AnnotationWentBack on the Lease of the cloud-controller-manager is when its holder last noticed that etcd was restored from a copy, in
// RFC 3339. The other replicas read all objects anew then, too.
const AnnotationWentBack = "clarionlb.io/went-back"

// EventSource is the component that events of Clarion's come from, whichever of its programs writes them.
const EventSource = "clarion"

// ConditionAddressAssigned is the condition type, in a Service's status, that says whether it has its load balancer
// addresses and, if not, why. It is Unknown from when Clarion takes the Service up until it answers.
const ConditionAddressAssigned = "clarionlb.io/AddressAssigned"

// ConditionAnnounced is the condition type, in a Service's status, that says whether its addresses are announced, by which
// nodes and since when, and if not, why.
const ConditionAnnounced = "clarionlb.io/Announced"

// Reasons of a Service's Announced condition. With several addresses, the reason is the first that holds for one of them of
// InternalError, AddressConflict, NotAdvertised, NoEndpoint, NoNode, NoSession, NotSent, Pending and Announced, and the message has
// a sentence for each.
const (
	// ReasonAnnounced (True): every address is announced.
	ReasonAnnounced = "Announced"
	// ReasonPending (False): an address is about to be announced, or to move away from a node whose announcer is out of sight.
	ReasonPending = "Pending"
	// ReasonAddressConflict (False): a host that runs no announcer answers for an address; the message says whether it is announced
	// nevertheless.
	ReasonAddressConflict = "AddressConflict"
	// ReasonNotAdvertised (False): no IPAddressPool contains an address, or no L2Advertisement or BGPAdvertisement selects it.
	ReasonNotAdvertised = "NotAdvertised"
	// ReasonNoEndpoint (False): no endpoint of the Service can serve.
	ReasonNoEndpoint = "NoEndpoint"
	// ReasonNoNode (False): no node can announce an address; the message says why, node by node.
	ReasonNoNode = "NoNode"
	// ReasonNoSession (False): no node that could announce an address by BGP has a session, and layer 2 does not announce it.
	//   - BGPPeer Ready (False): no node has a session with the router
	//   - BGPPeer Established (False): none has one
	ReasonNoSession = "NoSession"
	// ReasonNotSent (False): nodes that could announce an address have BGP sessions, but it is sent on none of them: no router carries
	// its IP family in the session, or the nodes have no next hop in it; the message says which BGPPeers, why, and what helps.
	ReasonNotSent = "NotSent"
)
