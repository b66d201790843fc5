package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=clarion,shortName=bgpp
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="My ASN",type=integer,JSONPath=`.spec.myASN`
// +kubebuilder:printcolumn:name="Peer ASN",type=integer,JSONPath=`.spec.peerASN`
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.peerAddress`
// +kubebuilder:printcolumn:name="Interface",type=string,JSONPath=`.spec.interface`
// +kubebuilder:printcolumn:name="Gateway",type=string,JSONPath=`.spec.defaultGateway`
// +kubebuilder:printcolumn:name="Sessions",type=string,JSONPath=`.status.sessions`
// +kubebuilder:printcolumn:name="BFD",type=integer,JSONPath=`.status.bfdUp`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Established",type=string,JSONPath=`.status.conditions[?(@.type=="Established")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// BGPPeer is a router that nodes speak BGP with. The nodes dial; they never listen.
type BGPPeer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec BGPPeerSpec `json:"spec"`
	// +optional
	Status BGPPeerStatus `json:"status,omitempty"`
}

// BGPPeerSpec says which router, which nodes and how. A session is taken down and up again only when its own parameters change.
// +kubebuilder:validation:XValidation:rule="has(self.peerASN) != has(self.dynamicASN)",message="exactly one of peerASN and dynamicASN is needed"
// +kubebuilder:validation:XValidation:rule="[has(self.peerAddress), has(self.interface), has(self.defaultGateway)].filter(x, x).size() == 1",message="exactly one of peerAddress, interface and defaultGateway is needed"
// +kubebuilder:validation:XValidation:rule="!has(self.sourceAddress) || !has(self.peerAddress) || !isIP(self.sourceAddress) || !isIP(self.peerAddress) || ip(self.sourceAddress).family() == ip(self.peerAddress).family()",message="sourceAddress and peerAddress must be of one IP family"
// +kubebuilder:validation:XValidation:rule="!has(self.sourceAddress) || !has(self.interface)",message="sourceAddress cannot be used with interface: the session is between link-local addresses"
// +kubebuilder:validation:XValidation:rule="!has(self.ebgpMultiHop) || !self.ebgpMultiHop || !has(self.ttlSecurityHops)",message="ebgpMultiHop and ttlSecurityHops exclude each other"
// +kubebuilder:validation:XValidation:rule="!has(self.ebgpMultiHop) || !self.ebgpMultiHop || has(self.dynamicASN) && self.dynamicASN == 'external' || has(self.peerASN) && self.peerASN != self.myASN",message="ebgpMultiHop is for external peers"
// +kubebuilder:validation:XValidation:rule="!has(self.holdTime) || !has(self.keepaliveTime) || duration(self.keepaliveTime) + duration(self.keepaliveTime) + duration(self.keepaliveTime) <= duration(self.holdTime)",message="keepaliveTime must not be longer than a third of holdTime (RFC 4271, section 10)"
type BGPPeerSpec struct {
	// MyASN is the autonomous system of the nodes towards this router.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967294
	// +kubebuilder:validation:XValidation:rule="self != 23456 && self != 65535",message="is a reserved autonomous system number (RFC 6793, RFC 7300)"
	MyASN int64 `json:"myASN"`

	// PeerASN is the autonomous system of the router: that of the nodes is an internal session, another one external.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967294
	// +kubebuilder:validation:XValidation:rule="self != 23456 && self != 65535",message="is a reserved autonomous system number (RFC 6793, RFC 7300)"
	PeerASN *int64 `json:"peerASN,omitempty"`

	// DynamicASN accepts the autonomous system that the router says it has: "internal" only that of the nodes, "external" any
	// other.
	// +optional
	DynamicASN DynamicASN `json:"dynamicASN,omitempty"`

	// PeerAddress is the address of the router.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="must be an IP address"
	PeerAddress string `json:"peerAddress,omitempty"`

	// Interface of the node on which the router is found by its router advertisements ("unnumbered").
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	Interface string `json:"interface,omitempty"`

	// DefaultGateway has every node speak with the routers of its own default route in this family, so that one BGPPeer
	// serves nodes in different networks.
	// +optional
	// +kubebuilder:validation:Enum=IPv4;IPv6
	DefaultGateway corev1.IPFamily `json:"defaultGateway,omitempty"`

	// PeerPort is the router's TCP port.
	// +optional
	// +kubebuilder:default=179
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	PeerPort int32 `json:"peerPort,omitempty"`

	// SourceAddress is the node's address to connect from. Absent: the one that the routing table gives.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="must be an IP address"
	SourceAddress string `json:"sourceAddress,omitempty"`

	// RouterID identifies the node to the router, in the form of an IPv4 address. It only makes sense for a BGPPeer of one
	// node. Absent: the node's IPv4 address, or a number made of its name if it has none.
	// +optional
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:XValidation:rule="isIP(self) && ip(self).family() == 4 && self != '0.0.0.0'",message="must be an IPv4 address other than 0.0.0.0"
	RouterID string `json:"routerID,omitempty"`

	// AddressFamilies are the IP families whose routes sessions carry. Absent: both, as far as the router does. Where one is named
	// that the router does not carry, the BGPPeer is not Ready.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:Enum=IPv4;IPv6
	// +listType=set
	AddressFamilies []corev1.IPFamily `json:"addressFamilies,omitempty"`

	// NodeSelectors are the nodes that speak with the router, by label: one match is enough. Absent: all nodes.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	NodeSelectors []LabelSelector `json:"nodeSelectors,omitempty"`

	// HoldTime after which a silent router is given up; the router offers one too, and the shorter counts. Default 90s.
	// +optional
	// +kubebuilder:default="90s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('3s') && duration(self) <= duration('65535s') && duration(self).getMilliseconds() % 1000 == 0",message="must be whole seconds from 3s to 65535s"
	HoldTime *metav1.Duration `json:"holdTime,omitempty"`

	// KeepaliveTime between signs of life. Default: a third of holdTime.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('21845s') && duration(self).getMilliseconds() % 1000 == 0",message="must be whole seconds from 1s to 21845s"
	KeepaliveTime *metav1.Duration `json:"keepaliveTime,omitempty"`

	// ConnectTime between attempts to connect. Default 5s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('2s') && duration(self) <= duration('65535s') && duration(self).getMilliseconds() % 1000 == 0",message="must be whole seconds from 2s to 65535s"
	ConnectTime *metav1.Duration `json:"connectTime,omitempty"`

	// PasswordSecret has the password for TCP MD5 signatures. Without the Secret there is no session.
	// +optional
	PasswordSecret *BGPPasswordSecret `json:"passwordSecret,omitempty"`

	// EBGPMultiHop says that an external router need not be on a network of the node.
	// +optional
	EBGPMultiHop bool `json:"ebgpMultiHop,omitempty"`

	// TTLSecurityHops has packets refused that come from more than so many hops away (RFC 5082): 1 is a router on a network
	// of the node. The router must be set to do the same.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=254
	TTLSecurityHops *int32 `json:"ttlSecurityHops,omitempty"`

	// EnableGracefulRestart has the router keep the node's routes for up to two minutes when the announcer is restarted
	// (RFC 4724): the connection ends without a word then. That of a node that is shut down ends so too, and its routes are
	// kept as long, unless it is drained or not ready when that happens. The routes of a node that falls silent go when the holdTime ends.
	// +optional
	EnableGracefulRestart bool `json:"enableGracefulRestart,omitempty"`

	// BFDProfile has the path to the router watched by BFD, as the BFDProfile of this name says: a router that does the same notices
	// within its detection time that a node is dead. Without the BFDProfile there is a session nevertheless, which is not watched; one
	// that is watched already goes on to be. Of BGPPeers for one router, the oldest decides.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	BFDProfile string `json:"bfdProfile,omitempty"`

	// MaxPrefixes is how many routes of each family the router may send before it is cut off. What routers send is not used,
	// but it takes memory. 0: any number.
	// +optional
	// +kubebuilder:default=10000
	// +kubebuilder:validation:Minimum=0
	MaxPrefixes *int32 `json:"maxPrefixes,omitempty"`
}

// DynamicASN is which autonomous systems of a router are accepted.
// +kubebuilder:validation:Enum=internal;external
type DynamicASN string

const (
	// DynamicASNInternal : only that of the nodes.
	DynamicASNInternal DynamicASN = "internal"
	// DynamicASNExternal : any other than that of the nodes.
	DynamicASNExternal DynamicASN = "external"
)

// BGPPasswordSecret names a Secret.
type BGPPasswordSecret struct {
	// Name of a Secret of type kubernetes.io/basic-auth in the namespace clarion-bgp. Its field "password" is used.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// Reasons of the Ready condition of BGPPeers, advertisements, Communities and BFDProfiles, besides Valid.
const (
	// ReasonInvalid is that something in the spec cannot be read, or be honoured by any node.
	//   - BGPPeer Ready (False): something in spec cannot be read, or be honoured by any node
	//   - L2Advertisement Ready (False): a selector or a pattern of an interface cannot be read
	//   - BGPAdvertisement Ready (False): a selector or a community cannot be read
	//   - Community Ready (False): a value cannot be read
	ReasonInvalid = "Invalid"
	// ReasonRefused is that nodes cannot honour an object; the message says which and why.
	//   - BGPPeer Ready (False): some nodes cannot honour it: a Secret is missing, say, or an older BGPPeer is for the same router
	ReasonRefused = "Refused"
	// ReasonNoNodes is that there is no node for it.
	//   - BGPPeer Ready (False): no node whose announcer is in sight is to speak with the router
	//   - BGPPeer Established (False): no node is to have a session
	ReasonNoNodes = "NoNodes"
	// ReasonFamilyNotCarried is about the IP families of sessions.
	//   - BGPPeer Ready (False): nodes have sessions, but some of these do not carry a family that addressFamilies names; the message
	//     says which
	ReasonFamilyNotCarried = "FamilyNotCarried"
	// ReasonNoBFD is about BFD on the paths of sessions.
	//   - BGPPeer Ready (False): nodes have sessions, but some of them not the BFD that bfdProfile asks for; the message says why
	ReasonNoBFD = "NoBFD"
	// ReasonUnknownName is that an object is named that does not exist.
	//   - BGPPeer Ready (False): an edit names a BFDProfile that does not exist
	//   - L2Advertisement Ready (False): it names an IPAddressPool that does not exist
	//   - BGPAdvertisement Ready (False): it names a BGPPeer, an IPAddressPool or a community that does not exist
	ReasonUnknownName = "UnknownName"
	// ReasonContradicts is that an older object says otherwise, and holds.
	//   - BGPAdvertisement Ready (False): older ones say otherwise about the same prefixes and peers, and hold; the message says in
	//     what, and which
	ReasonContradicts = "Contradicts"
)

// ConditionEstablished is the condition type, in a BGPPeer's status, that says whether all nodes have a session with the router that
// are to have one. One session is enough for Ready.
const ConditionEstablished = "Established"

// Reasons of a BGPPeer's Established condition.
const (
	// ReasonAllNodes (True): all nodes that are to have a session have one.
	ReasonAllNodes = "AllNodes"
	// ReasonSomeNodes (False): some of them have one, and others do not; the message says which and why. A node that is
	// unreachable counts as one without until its Node is deleted.
	ReasonSomeNodes = "SomeNodes"
)

// BGPPeerStatus is written by the cloud-controller-manager alone. How the sessions are is in the Announcers of the nodes.
type BGPPeerStatus struct {
	// Nodes is how many nodes are to speak with the router.
	Nodes int32 `json:"nodes"`
	// Established is how many of them do.
	Established int32 `json:"established"`
	// Sessions are both numbers at a glance: "9/10" is that 9 of 10 nodes have a session.
	// +optional
	Sessions string `json:"sessions,omitempty"`
	// Families are the IP families that sessions with the router carry.
	// +optional
	// +listType=map
	// +listMapKey=family
	Families []BGPPeerFamily `json:"families,omitempty"`
	// BFDUp is how many of them have BFD up with the router. Absent without a bfdProfile.
	// +optional
	BFDUp *int32 `json:"bfdUp,omitempty"`

	// AppliedSpec is the spec that was last found valid. It stays in force while the spec as it is
	// written cannot be used.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	AppliedSpec *BGPPeerSpec `json:"appliedSpec,omitempty"`

	// Conditions: Ready, and Established, which is True if all nodes have a session that are to have one.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BGPPeerFamily is one IP family that sessions with a router carry.
type BGPPeerFamily struct {
	// Family is "IPv4" or "IPv6".
	Family corev1.IPFamily `json:"family"`
	// Established is how many nodes have a session that carries it.
	Established int32 `json:"established"`
}

// +kubebuilder:object:root=true

// BGPPeerList is a list of BGPPeers.
type BGPPeerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []BGPPeer `json:"items"`
}
