package announced

import (
	"net/netip"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/deadnodes"
	"github.com/clarionlb/clarion/loadbalancer"
)

// Objects are what an Evaluation goes by.
type Objects struct {
	Services          []*corev1.Service
	EndpointSlices    []*discoveryv1.EndpointSlice
	Nodes             []*corev1.Node
	Pools             []*v1alpha1.IPAddressPool
	L2Advertisements  []*v1alpha1.L2Advertisement
	BGPPeers          []*v1alpha1.BGPPeer
	BGPAdvertisements []*v1alpha1.BGPAdvertisement
	Communities       []*v1alpha1.Community
	BFDProfiles       []*v1alpha1.BFDProfile
	Announcers        []*v1alpha1.Announcer
	// Pods are those of the announcers. PodsKnown says that there are no others.
	Pods      []*corev1.Pod
	PodsKnown bool
	// DeadNodes are the Leases of announcers in deadnodes.Namespace.
	DeadNodes []*coordinationv1.Lease
}

// Evaluation is what a Controller that has just started finds at one moment. It writes nothing, and is
// not safe for concurrent use.
type Evaluation struct {
	evaluator  *evaluator
	statements map[types.NamespacedName][]statement
}

// Evaluate finds out what there is to say about these objects, with the class and the exclusion label
// taken as Config has them.
func Evaluate(now time.Time, class string, ignoreExcludeLabel bool, o Objects) *Evaluation {
	e := newEvaluator()
	e.view.SetClass(class)
	e.view.IgnoreExclusion(ignoreExcludeLabel)
	setAll(o.Services, e.setService)
	setAll(o.EndpointSlices, e.setEndpointSlice)
	setAll(o.Nodes, byName(e.setNode))
	setAll(o.Pools, byName(e.setPool))
	setAll(o.L2Advertisements, byName(e.setL2Advertisement))
	setAll(o.BGPPeers, byName(e.setBGPPeer))
	setAll(o.BGPAdvertisements, byName(e.setBGPAdvertisement))
	setAll(o.Communities, byName(e.setCommunity))
	setAll(o.BFDProfiles, byName(e.setBFDProfile))
	setAll(o.Announcers, byName(e.setAnnouncer))
	setAll(o.DeadNodes, e.setRecord)
	setAll(o.Pods, e.setPod)
	e.podsKnown = o.PodsKnown
	statements, _ := e.evaluate(now)
	if !e.planned {
		e.planLayer2(now)
	}
	return &Evaluation{e, statements}
}

func setAll[T any, O object[T]](objects []O, set func(types.NamespacedName, *T)) {
	for _, o := range objects {
		m := any(o).(metav1.Object)
		set(types.NamespacedName{Namespace: m.GetNamespace(), Name: m.GetName()}, o)
	}
}

// Condition is the Announced condition that a Service is to have; nil if it is to have none. It has no
// transition time.
func (e *Evaluation) Condition(service types.NamespacedName) *metav1.Condition {
	statements := e.statements[service]
	if len(statements) == 0 {
		return nil
	}
	condition := announcedCondition(statements)
	return &condition
}

// Address is what there is to say about one address of Services.
type Address struct {
	IP netip.Addr
	// Reason is one of those of the condition Announced, and Sentence says who announces the address,
	// or why nobody does.
	Reason, Sentence string
	// Owner announces it on layer 2, on Interfaces since Since; "" if nobody does.
	Owner      string
	Interfaces string
	Since      time.Time
	// Claim is the claim that holds; nil if there is none.
	Claim *plan.Claim
	// Nodes and Peers are from how many nodes and to how many BGPPeers it is announced by BGP.
	Nodes, Peers int
	// Conflict says which other hosts answer for the address; "" if none does.
	Conflict string
	// Unserved says which nodes announce the address and cannot serve it; "" if one can.
	Unserved string
	// L2Advertisements and BGPAdvertisements say which of those that are in force select the address.
	L2Advertisements, BGPAdvertisements []plan.AdvertisementVerdict
	// Layer2 and BGP have what each node does about it, and why.
	Layer2 plan.Layer2Explanation
	BGP    plan.BGPExplanation
}

// Announced says whether anybody announces the address.
func (a *Address) Announced() bool { return a.Owner != "" || a.Nodes > 0 }

// Address explains an address that Services have.
func (e *Evaluation) Address(now time.Time, address netip.Addr) Address {
	s := e.evaluator.stateOf(address, now)
	a := Address{
		IP:     address,
		Reason: s.reason, Sentence: s.String(),
		Nodes: s.bgp.nodes, Peers: s.bgp.peers, Unserved: s.unserved,
		Conflict: e.evaluator.conflicts[address].String(),
		Layer2:   e.evaluator.explain(address, now),
		BGP:      e.evaluator.bgp.Explain(address),

		L2Advertisements:  e.evaluator.layer2.Advertisements(address),
		BGPAdvertisements: e.evaluator.bgp.Advertisements(address),
	}
	if s.onLayer2() {
		a.Owner, a.Interfaces, a.Since = s.layer2.node, s.layer2.interfaces, time.Unix(s.layer2.since, 0).UTC()
	}
	if claim, claimed := e.evaluator.view.Claim(address); claimed {
		a.Claim = &claim
	}
	return a
}

// Outlook is what becomes of an address once every node has done what falls to it.
type Outlook struct {
	// Owner is who announces it on layer 2; "" for nobody.
	Owner string
	// Routes are from which node to which BGPPeer it is to be announced by BGP, sorted.
	Routes []Route
	// WhyNot is a sentence about an address that is announced neither way; "" if it is.
	WhyNot string
}

// Route is an announcement by BGP.
type Route struct {
	Node, Peer string
	// Established says that the node has a session with the BGPPeer that carries the address.
	Established bool
}

// Announced says whether anybody will announce the address.
func (o *Outlook) Announced() bool {
	return o.Owner != "" || slices.ContainsFunc(o.Routes, func(r Route) bool { return r.Established })
}

// Outlook says what is to become of an address: who announces it is decided by the plans, and not by what is announced now. Sessions
// are taken as they are.
func (e *Evaluation) Outlook(now time.Time, address netip.Addr) Outlook {
	return e.evaluator.outlook(address, now)
}

// Claimant is the node of which the claim to an address holds; "" if nobody claims it.
func (e *Evaluation) Claimant(address netip.Addr) string {
	claim, _ := e.evaluator.view.Claim(address)
	return claim.Node
}

// Services are those that have an address, the oldest first.
func (e *Evaluation) Services(address netip.Addr) (names []types.NamespacedName) {
	for _, s := range e.evaluator.view.ServicesOf(address) {
		names = append(names, s.NamespacedName)
	}
	return names
}

// Alive says whether the announcer of a node is.
func (e *Evaluation) Alive(node string) bool { return e.evaluator.isAlive(node) }

// NoAnnouncer is what is known of a node on which no announcer has run, and what helps.
func (e *Evaluation) NoAnnouncer(node string) (cause, remedy string) {
	return e.evaluator.whyNoAnnouncer(node)
}

// PodTrouble is what has become of the Pod of a node's announcer, and what helps; false if it is ready.
func (e *Evaluation) PodTrouble(node string) (trouble, remedy string, known bool) {
	return e.evaluator.podTrouble(node)
}

// Dead says by whose word a node is dead, where announcers record it; false if it is not.
func (e *Evaluation) Dead(node string) (verdict deadnodes.Verdict, dead bool) {
	verdict, dead = e.evaluator.dead[node]
	return verdict, dead
}

// NodeReason is why a node announces nothing at all on layer 2, or only what no other can; "" if
// neither is so.
func (e *Evaluation) NodeReason(node string) plan.Reason { return e.evaluator.layer2.NodeReason(node) }

// Unsent says why the sessions of a node with a BGPPeer carry no address of a family; "" if they do, or
// if there is no session.
func (e *Evaluation) Unsent(node, peer string, address netip.Addr) string {
	return e.evaluator.sending(node, peer, address).problem
}

// Conflicting are the addresses that are not to be handed out because other hosts answer for them.
func (e *Evaluation) Conflicting() []loadbalancer.ConflictingAddress {
	return conflictingAddresses(e.evaluator.conflicts)
}

// Conflicts says of each address for which other hosts answer which those are.
func (e *Evaluation) Conflicts() map[netip.Addr]string {
	said := map[netip.Addr]string{}
	for address, c := range e.evaluator.conflicts {
		said[address] = c.String()
	}
	return said
}

// BGPPeer is the status that a BGPPeer is to have; its conditions have no transition times unless it
// had them before.
func (e *Evaluation) BGPPeer(name string) v1alpha1.BGPPeerStatus { return e.evaluator.peerStatus(name) }

// L2Advertisement is the Ready condition that an L2Advertisement is to have.
func (e *Evaluation) L2Advertisement(name string) metav1.Condition {
	return e.evaluator.l2AdvertisementCondition(name)
}

// BGPAdvertisement is the Ready condition that a BGPAdvertisement is to have.
func (e *Evaluation) BGPAdvertisement(name string) metav1.Condition {
	return e.evaluator.advertisementCondition(name, e.evaluator.bgp.Contradictions())
}

// Community is the Ready condition that a Community is to have.
func (e *Evaluation) Community(name string) metav1.Condition {
	return e.evaluator.communityCondition(name)
}

// BFDProfile is the Ready condition that a BFDProfile is to have.
func (e *Evaluation) BFDProfile(name string) metav1.Condition {
	return e.evaluator.profileCondition(name)
}

// Earlier is the spec that is in force of an object of this kind while that as it is written cannot be
// used; nil if there is none, or the one as it is written can.
func (e *Evaluation) Earlier(kind, name string) any {
	switch view := e.evaluator.view; kind {
	case "L2Advertisement":
		return earlier(view.L2Advertisement(name))
	case "BGPAdvertisement":
		return earlier(view.BGPAdvertisement(name))
	case "BGPPeer":
		return earlier(view.BGPPeer(name))
	case "Community":
		return earlier(view.Community(name))
	case "BFDProfile":
		return earlier(view.BFDProfile(name))
	}
	return nil
}

func earlier[S any](state plan.State[S]) any {
	if state.Problem == nil || state.LastGood == nil {
		return nil
	}
	return state.LastGood
}

// Nodes are the names of all nodes, sorted.
func (e *Evaluation) Nodes() []string { return slices.Sorted(e.evaluator.view.Nodes()) }

// Rebalance is which node takes over which address if all nodes are asked to rebalance.
func (e *Evaluation) Rebalance() map[netip.Addr]string { return e.evaluator.layer2.Rebalance() }
