package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=clarion,shortName=ann
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Addresses",type=integer,JSONPath=`.status.summary.addresses`
// +kubebuilder:printcolumn:name="Sessions",type=string,JSONPath=`.status.summary.sessions`
// +kubebuilder:printcolumn:name="Gossip",type=string,JSONPath=`.status.conditions[?(@.type=="Gossip")].reason`
// +kubebuilder:printcolumn:name="KubeProxy",type=string,JSONPath=`.status.conditions[?(@.type=="KubeProxy")].reason`
// +kubebuilder:printcolumn:name="StrictARP",type=string,JSONPath=`.status.conditions[?(@.type=="StrictARP")].reason`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// Announcer reports what the announcer of one node does. It is named after the node, created by that node's announcer and
// written by it alone. When the node falls silent, the cloud-controller-manager sets the conditions to Unknown, as Kubernetes does
// with those of the Node; when the announcer alone does, Ready to False and the others to Unknown.
type Announcer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Status AnnouncerStatus `json:"status,omitempty"`
}

// AnnouncerStatus is what an announcer sees and does.
type AnnouncerStatus struct {
	// +optional
	Layer2 Layer2Status `json:"layer2,omitempty"`
	// +optional
	BGP BGPStatus `json:"bgp,omitempty"`
	// +optional
	Host HostStatus `json:"host,omitempty"`
	// Summary counts what is announced. It is absent while the node or its announcer is silent: what the rest says was so before.
	// +optional
	Summary *AnnouncerSummary `json:"summary,omitempty"`

	// Conditions: Ready, StrictARP, KubeProxy, Gossip, and while it is False Recorded.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// AnnouncerSummary is what a node announces at a glance.
type AnnouncerSummary struct {
	// Addresses is how many addresses the node announces on layer 2.
	Addresses int32 `json:"addresses"`
	// Sessions are how many BGP sessions are established and how many there should be, as "1/2". Absent if there should be none.
	// +optional
	Sessions string `json:"sessions,omitempty"`
}

// ReasonNodeUnreachable is the reason of all conditions of an Announcer of which the Node's condition Ready is Unknown, or whose
// node is dead by the word of the others: the conditions are Unknown too. The cloud-controller-manager sets them. An announcer that runs nevertheless puts them right.
//   - Announcer Ready, StrictARP, KubeProxy, Gossip (Unknown): the condition Ready of the Node is Unknown, or a majority of the
//     announcers takes the node for dead (--record-dead-nodes), and the announcer has written nothing since: what the rest of the
//     status says was so before. The cloud-controller-manager writes this
//   - Pod Ready (False): a majority of the announcers takes the node for dead. The cloud-controller-manager writes this, with
//     --withdraw-endpoints-of-dead-nodes
const ReasonNodeUnreachable = "NodeUnreachable"

// ReasonAnnouncerDown is the reason of all conditions of an Announcer of which the Node is Ready and the announcer does not run:
// the kubelet says that its Pod is not ready, or there is none. The cloud-controller-manager sets them after 5 s, which a restart
// does not take, or a minute after the announcer has said that it stops. An announcer that runs nevertheless puts them right.
//   - Announcer Ready (False): the kubelet says that the Pod of the announcer is not ready, or there is none. An announcer that
//     has said that it was stopped is down if it has a Pod that is not ready for a minute: what the rest of the status says was so before; the message says what became of its container. The
//     cloud-controller-manager writes this
//   - Announcer StrictARP, KubeProxy, Gossip (Unknown): the announcer does not run, so that what it said of this may be so no longer
const ReasonAnnouncerDown = "AnnouncerDown"

// Reasons of an Announcer's Ready condition.
const (
	// ReasonRunning (True): the announcer takes part: it announces what falls to it; the message says if the kernel cannot relay
	// connections, or cannot refuse what no Service serves.
	ReasonRunning = "Running"
	// ReasonNoInterface (False): no interface of the node can carry an address.
	ReasonNoInterface = "NoInterface"
	// ReasonStopped (False): the announcer was stopped and announces nothing.
	ReasonStopped = "Stopped"
	// ReasonDraining (True): the announcer takes part, but the node is drained, by annotation, taint or the label that excludes it:
	// its addresses go to others. The message says by what, and how many it still announces. That is on purpose and may be for
	// good, as with nodes of the control plane that kubeadm labels: the condition is True.
	ReasonDraining = "Draining"
	// ReasonIsolated (False): the node announces nothing, since it reaches no other announcer, no router and no API server, or has no
	// link on the interface with its own address, or was cut off or suspended and has not learnt yet what others have taken over
	// meanwhile; the message says which.
	ReasonIsolated = "Isolated"
	// ReasonGossipKeyInvalid (False, True): the key in the Secret clarion-system/clarion-gossip cannot be used; the message says why. An announcer
	// that starts waits for another key and announces nothing: the condition is False. One that had a key before goes on with that:
	// the condition is True.
	ReasonGossipKeyInvalid = "GossipKeyInvalid"
	// ReasonNotPermitted (False): the announcer may not do what layer 2 takes, and announces nothing there; the message says what its
	// container lacks.
	ReasonNotPermitted = "NotPermitted"
)

// ConditionStrictARP is the condition type, in an Announcer's status, that says whether the kernel of the node leaves it to
// the announcer to answer ARP and neighbour solicitations for the addresses of Services, or answers for them itself from
// every node.
const ConditionStrictARP = "StrictARP"

// Reasons of an Announcer's StrictARP condition.
const (
	// ReasonStrict (True): the kernel leaves the addresses of Services to the announcers.
	ReasonStrict = "Strict"
	// ReasonKernelAnswers (False): the kernel answers, or speaks, for an address by itself; the message has the cause, and which
	// setting or command helps.
	ReasonKernelAnswers = "KernelAnswers"
)

// ConditionKubeProxy is the condition type, in an Announcer's status, that says whether the kube-proxy of the node serves: what it
// answers at its healthz port, 10256. A node where it does not announces only what no other node can, as long as it does on some node.
const ConditionKubeProxy = "KubeProxy"

// Reasons of an Announcer's KubeProxy condition.
const (
	// ReasonServing (True): kube-proxy answers 200.
	ReasonServing = "Serving"
	// ReasonNotServing (False): it has not answered 200 for 10 s: it is down, its rules are out of date, or the node is about to be
	// deleted; the message says which answer there was.
	ReasonNotServing = "NotServing"
	// ReasonNoAnswer (Unknown): nobody has answered 200 since the announcer started: kube-proxy has not written its rules yet, has
	// another healthzBindAddress, or something else takes its place.
	ReasonNoAnswer = "NoAnswer"
)

// ConditionGossip is the condition type, in an Announcer's status, that says whether the node's gossip reaches the others. Who is in
// sight, and how many should be, is in the metric clarion_announcer_members alone: nobody is to write because another one comes
// or goes.
const ConditionGossip = "Gossip"

// Reasons of an Announcer's Gossip condition.
const (
	// ReasonConnected (True): nothing is known to be wrong with the gossip of the node; others may be out of sight because they are
	// dead, or because of their own gossip.
	ReasonConnected = "Connected"
	// ReasonBlocked (False): more announcers answer on the network than the gossip sees: its port is blocked, TCP or UDP.
	ReasonBlocked = "Blocked"
)

// ConditionRecorded is the condition type, in an Announcer's status, that is there, as False, while the API server refuses what
// the announcer has to record. The rest of the status is then out of date.
const ConditionRecorded = "Recorded"

// Reasons of an Announcer's Recorded condition.
const (
	// ReasonWriteRefused (False): the API server refuses the status; the message says why. It can be too large for the API, for
	// example, which is so from some 12,000 addresses on one node.
	ReasonWriteRefused = "WriteRefused"
)

// AnnotationRebalance on an Announcer, with any new value, asks it to hand as many addresses to other nodes as it has more
// than its share.
const AnnotationRebalance = "clarionlb.io/rebalance"

// AnnotationDrain on a Node, with any value but "false", has its addresses announced from other nodes, if others can.
const AnnotationDrain = "clarionlb.io/drain"

// AnnotationDeadNodes on a Lease in the namespace clarion-system, which has the name of a node, says which other nodes the announcer of
// that node takes for dead, and since when. The announcer writes it, if it was started with --record-dead-nodes.
const AnnotationDeadNodes = "clarionlb.io/dead-nodes"

// Layer2Status is what the node announces by ARP and NDP. Its lists are atomic, because one writer writes all of it: for lists
// with keys the API keeps who manages which field of which entry, which takes more space than the entries.
type Layer2Status struct {
	// Interfaces of the node that can carry addresses: those that are up and have a network or a default route, or that an
	// L2Advertisement matches by name. The announcers of other nodes leave addresses to this node that suit them, and none
	// without.
	// +optional
	// +listType=atomic
	Interfaces []Layer2Interface `json:"interfaces,omitempty"`

	// Addresses that this node claims. Of an announcer that has many, ClaimSlices of the same revision have what has changed since.
	// +optional
	// +listType=atomic
	Addresses []Layer2Address `json:"addresses,omitempty"`

	// Revision of Addresses, in microseconds since 1970. It is higher whenever the list is written, and 0 if the announcer, which is an
	// older one, does not read ClaimSlices. As long as there is such a one, nobody writes any.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Revision int64 `json:"revision,omitempty"`

	// Conflicts are addresses for which something on the network answers that is none of the announcers.
	// +optional
	// +listType=atomic
	Conflicts []Layer2Conflict `json:"conflicts,omitempty"`

	// Probed are addresses that Services ask for by name and that none has, for which this node has asked the network without an
	// answer. The cloud-controller-manager waits for that before it gives them out.
	// +optional
	// +listType=atomic
	Probed []string `json:"probed,omitempty"`

	// Rebalanced is the value of the annotation clarionlb.io/rebalance that was last acted upon.
	// +optional
	Rebalanced string `json:"rebalanced,omitempty"`
}

// Layer2Interface is a network interface of the node.
type Layer2Interface struct {
	// Name of the interface.
	// +kubebuilder:validation:MaxLength=15
	Name string `json:"name"`
	// MAC is the hardware address of the interface: what the node answers with.
	// +optional
	MAC string `json:"mac,omitempty"`
	// Prefixes are the networks that are on link: those of the interface's own addresses, and those of other on-link routes that
	// lead to addresses of pools or to nodes, as CIDRs.
	// +optional
	// +listType=atomic
	Prefixes []string `json:"prefixes,omitempty"`
	// Routes are the destinations, as CIDRs, of routes by way of a router that lead out of the interface to addresses of pools or to
	// nodes. Default routes are left out.
	// +optional
	// +listType=atomic
	Routes []string `json:"routes,omitempty"`
	// DefaultRoutes are the IP families whose default route leads out of the interface.
	// +optional
	// +listType=atomic
	DefaultRoutes []corev1.IPFamily `json:"defaultRoutes,omitempty"`
}

// Layer2Address is a claim: this node answers for an address, or is about to. Of several claims the one with the highest
// epoch holds, then the one that was there first.
type Layer2Address struct {
	// IP is the address, in its canonical text form.
	// +kubebuilder:validation:MaxLength=45
	IP string `json:"ip"`
	// Interfaces on which the node answers. None: it does not yet, because the address is new and the node makes sure first
	// that nobody else has it.
	// +optional
	// +listType=atomic
	Interfaces []string `json:"interfaces,omitempty"`
	// Epoch is one more than that of the claim which this one followed, and 1 for the first claim of an address. It is at most 2^40,
	// which no address moves often enough to reach.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1099511627776
	Epoch int64 `json:"epoch"`
	// Since is when the node took the address.
	Since metav1.Time `json:"since"`
	// HandoverTo is the node that is to take the address over; until it has, this node answers.
	// +optional
	HandoverTo string `json:"handoverTo,omitempty"`
	// PreviousOwners are the nodes that announced the address before, the last one first, and serve the connections that began there.
	// Each node relays what belongs to connections that it does not know to the next one. A node that answered when the network was asked
	// for the address is among them, if another load balancer had it there.
	// +optional
	// +listType=atomic
	PreviousOwners []string `json:"previousOwners,omitempty"`
}

// Layer2Conflict is an address for which a conflicting host answers: one that runs no announcer.
type Layer2Conflict struct {
	// IP is the address, in its canonical text form.
	// +kubebuilder:validation:MaxLength=45
	IP string `json:"ip"`
	// Interface on which the host was heard.
	Interface string `json:"interface"`
	// MAC is the hardware address of the host. It is that of the first packet if there are several: an address has one conflict,
	// however many hosts answer for it.
	MAC string `json:"mac"`
	// LastMAC is the hardware address that was heard last. It is there if it has ever been another one than MAC, so that there are
	// several hosts, or one that changes its address. It is brought up to date once a minute.
	// +optional
	LastMAC string `json:"lastMAC,omitempty"`
	// Since is when the host was first heard.
	Since metav1.Time `json:"since"`
	// InUse says that the address was in use when the host was heard. It is announced nevertheless. An address that was not
	// in use is not announced, and should not be handed out.
	// +optional
	InUse bool `json:"inUse,omitempty"`
	// Proxy says that the host answers for addresses that it cannot all have, as a router with proxy ARP does (RFC 1027). Whether
	// anybody has this one cannot be told then: it is not announced, but may be handed out.
	// +optional
	Proxy bool `json:"proxy,omitempty"`
}

// BGPStatus is what the node says to routers.
type BGPStatus struct {
	// Peers are the sessions that the node has or should have.
	// +optional
	// +listType=atomic
	Peers []BGPSession `json:"peers,omitempty"`

	// BootID is the boot of the node in which this was written. An announcer that is started in the same one asks routers that
	// have kept its routes to go on using them.
	// +optional
	BootID string `json:"bootID,omitempty"`
}

// BGPSession is a session with a router.
type BGPSession struct {
	// Name of the BGPPeer.
	Name string `json:"name"`
	// Address of the router; empty for one that has not been found.
	// +optional
	Address string `json:"address,omitempty"`
	// State: there is a session if it is "Established".
	State BGPState `json:"state"`
	// Since when it has been established, or since when it has not.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// Prefixes that are announced.
	Prefixes int32 `json:"prefixes"`
	// Families are the IP families that the session carries, and those that it should and does not.
	// +optional
	// +listType=map
	// +listMapKey=family
	Families []BGPSessionFamily `json:"families,omitempty"`
	// Revision identifies what the session goes by of the BGPPeer and of the Secret with its password. Nodes with the same one go by
	// the same; while a change is rolled out they differ.
	// +optional
	Revision string `json:"revision,omitempty"`
	// LastError is what went wrong last, or what is wrong with the session.
	// +optional
	LastError string `json:"lastError,omitempty"`
	// BFD is how the path to the router is watched; absent if it is not.
	// +optional
	BFD *BFDSession `json:"bfd,omitempty"`
}

// BGPSessionFamily is what is announced of one IP family on a session.
type BGPSessionFamily struct {
	// Family is "IPv4" or "IPv6".
	Family corev1.IPFamily `json:"family"`
	// Prefixes of the family that are announced.
	Prefixes int32 `json:"prefixes"`
	// LastError is why prefixes of the family are not announced although they should be.
	// +optional
	LastError string `json:"lastError,omitempty"`
}

// BFDSession is how it stands with BFD on the path to a router.
type BFDSession struct {
	// State: the path works in both directions if it is "Up".
	State BFDState `json:"state"`
	// Since when it is up, or since when it is not.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// DetectionTime is how long the router may be silent before the path counts as dead; absent while the router is not heard.
	// +optional
	DetectionTime *metav1.Duration `json:"detectionTime,omitempty"`
	// LastError is what keeps it from being up, or what is wrong with its BFDProfile.
	// +optional
	LastError string `json:"lastError,omitempty"`
}

// BFDState is how it stands with a BFD session.
// +kubebuilder:validation:Enum=Up;Down;Refused
type BFDState string

const (
	// BFDUp : node and router hear each other.
	BFDUp BFDState = "Up"
	// BFDDown : they do not, or not yet.
	BFDDown BFDState = "Down"
	// BFDRefused : there is none, because the BFDProfile does not exist or cannot be honoured; lastError says what.
	BFDRefused BFDState = "Refused"
)

// BGPState is how it stands with a session.
// +kubebuilder:validation:Enum=Established;Connecting;Refused
type BGPState string

const (
	// BGPEstablished : there is a session, on which routes are announced.
	BGPEstablished BGPState = "Established"
	// BGPConnecting : the node tries to have a session.
	BGPConnecting BGPState = "Connecting"
	// BGPRefused : something about the BGPPeer cannot be honoured on this node; lastError says what.
	BGPRefused BGPState = "Refused"
)

// HostStatus is what the kernel of the node has of the network. The cloud-controller-manager hands none of these addresses out.
type HostStatus struct {
	// NodeIPs are the addresses from which the node reaches what is on none of its networks, at most one of each family and IPv4
	// first. A Node whose kubelet was given no address (--node-ip) gets these.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	NodeIPs []string `json:"nodeIPs,omitempty"`
	// Gateways are the routers of the node's default routes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Gateways []string `json:"gateways,omitempty"`
	// Addresses are those that the node has on any interface. Loopback and link-local ones are left out, and those of
	// kube-ipvs0, where kube-proxy in IPVS mode puts the addresses of Services. Of more than 256, the lowest are here.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Addresses []HostAddress `json:"addresses,omitempty"`
}

// HostAddress is an address that the kernel of the node has.
type HostAddress struct {
	// IP is the address, in its canonical text form.
	// +kubebuilder:validation:MaxLength=45
	IP string `json:"ip"`
	// Interface that has it; the first by name if several do.
	// +kubebuilder:validation:MaxLength=15
	Interface string `json:"interface"`
}

// +kubebuilder:object:root=true

// AnnouncerList is a list of Announcers.
type AnnouncerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Announcer `json:"items"`
}
