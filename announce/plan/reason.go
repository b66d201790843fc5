package plan

// Reason says why a node announces an address or why not. sentences.go has the words for it.
type Reason string

// Reasons that hold for an address on all nodes.
const (
	// NotAssigned : no Service of ours has the address.
	NotAssigned Reason = "NotAssigned"
	// NoPool : no IPAddressPool contains the address.
	NoPool Reason = "NoPool"
	// NoAdvertisement : no advertisement of the protocol in question selects the address.
	NoAdvertisement Reason = "NoAdvertisement"
	// NoEndpoint : no endpoint of the Service can serve.
	NoEndpoint Reason = "NoEndpoint"
)

// Reasons that hold for a node.
const (
	// NoAnnouncer : no announcer has ever run on the node.
	NoAnnouncer Reason = "NoAnnouncer"
	// NotAlive : the node's announcer is not in sight.
	NotAlive Reason = "NotAlive"
	// Excluded : the node is labelled to be left out.
	Excluded Reason = "Excluded"
	// NetworkUnavailable : the Node object says that the node's network is not set up.
	NetworkUnavailable Reason = "NetworkUnavailable"
	// NotSelected : no advertisement of the address selects the node.
	NotSelected Reason = "NotSelected"
	// NoLocalEndpoint : traffic must stay local, and no endpoint on the node can serve.
	NoLocalEndpoint Reason = "NoLocalEndpoint"
	// EndpointsTerminate : traffic must stay local, and the endpoints on the node serve no longer than
	// it takes them to terminate, while other nodes have ready ones.
	EndpointsTerminate Reason = "EndpointsTerminate"
	// NoInterface : no interface of the node that is up suits the address.
	NoInterface Reason = "NoInterface"
	// Draining : the node is being drained, and others can announce the address.
	Draining Reason = "Draining"
	// NotReady : the Node is not ready, and others can announce the address.
	NotReady Reason = "NotReady"
	// KubeProxyDown : the node's kube-proxy does not serve, and others can announce the address.
	KubeProxyDown Reason = "KubeProxyDown"
	// StandsBy : the node could announce the address, but another one does.
	StandsBy Reason = "StandsBy"
	// Announces : the node is the one that announces the address.
	Announces Reason = "Announces"
)

// Reasons that hold for a node and BGP.
const (
	// NoPeer : no BGPPeer of the advertisements of the address is for the node.
	NoPeer Reason = "NoPeer"
	// NoPeerOfFamily : BGPPeers of the advertisements of the address are for the node, but none is to carry its family.
	NoPeerOfFamily Reason = "NoPeerOfFamily"
	// BeyondPool : the prefix that is to be announced for the address reaches beyond its pool.
	BeyondPool Reason = "BeyondPool"
)

// Reasons that hold for an advertisement.
const (
	// OtherPool : the advertisement does not select the pool of the address.
	OtherPool Reason = "OtherPool"
	// OtherService : the advertisement selects the pool of the address, but none of its Services.
	OtherService Reason = "OtherService"
)

// MoveReason says why an address came to a node or left it.
type MoveReason string

const (
	// MoveNew (gained): the address had no owner before.
	MoveNew MoveReason = "New"
	// MoveIncumbentDown (gained): the incumbent is dead.
	MoveIncumbentDown MoveReason = "IncumbentDown"
	// MoveIncumbentIneligible (gained): the incumbent may no longer announce the address, or should not,
	// because it is drained.
	MoveIncumbentIneligible MoveReason = "IncumbentIneligible"
	// MoveHandedOver (gained): the incumbent has handed the address over.
	MoveHandedOver MoveReason = "HandedOver"
	// MoveResumed (gained): a restarted announcer goes on with an address that it had.
	MoveResumed MoveReason = "Resumed"
	// MoveSuperseded (lost): another node owns the address.
	MoveSuperseded MoveReason = "Superseded"
	// MoveWithdrawn (lost): no node may announce the address now.
	MoveWithdrawn MoveReason = "Withdrawn"
)

// RefusalReason says why a node has no session with a BGPPeer that is for it.
type RefusalReason string

const (
	// SamePeer : an older BGPPeer is for the same addresses and port.
	SamePeer RefusalReason = "SamePeer"
	// NoSecret : the Secret with the password does not exist or is of another type.
	NoSecret RefusalReason = "NoSecret"
	// NoPassword : the Secret has no password in it.
	NoPassword RefusalReason = "NoPassword"
	// PasswordNewline : the password ends with a newline, as a file does that an editor wrote.
	PasswordNewline RefusalReason = "PasswordNewline"
	// NoGateway : the node has no default route of the family that the BGPPeer is for.
	NoGateway RefusalReason = "NoGateway"
	// InvalidOnNode : with what the node adds, the session cannot be.
	InvalidOnNode RefusalReason = "InvalidOnNode"
)
