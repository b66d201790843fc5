package causes

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

const tor = "bgppeer/tor"

// routed are the causes of an address that does not answer as it should by BGP.
var routed = []Cause{
	{
		Name: "There is no BGPPeer", Symptom: NoAnswer, Routed: true,
		Break: func(c *Cluster) { remove[*v1alpha1.BGPPeer](c) },
		Shown: []Shown{on(web, "NoNode", "no BGPPeer to which this address is advertised is for the node", "change spec.nodeSelectors of the BGPPeer")},
		Fix:   "Create a BGPPeer for the router.",
	},
	{
		Name: "The BGPPeer selects no node", Symptom: NoAnswer, Routed: true,
		Break: func(c *Cluster) {
			change(c, func(p *v1alpha1.BGPPeer) { p.Spec.NodeSelectors = selecting("rack", "1") })
		},
		Shown: []Shown{
			on(web, "NoNode", "no BGPPeer to which this address is advertised is for the node", "change spec.nodeSelectors of the BGPPeer"),
			on(tor, "Ready=False NoNodes"),
		},
		Fix: "Give nodes the labels, or change `spec.nodeSelectors` of the BGPPeer.",
	},
	{
		Name: "The BGPAdvertisement names a BGPPeer that does not exist", Symptom: NoAnswer, Routed: true,
		Break: func(c *Cluster) { change(c, func(a *v1alpha1.BGPAdvertisement) { a.Spec.Peers = []string{"tro"} }) },
		Shown: []Shown{
			on(web, "NoNode", "no BGPPeer to which this address is advertised", "spec.peers of the BGPAdvertisement"),
			on("bgpadvertisement/all", "Ready=False UnknownName", "there is no BGPPeer tro"),
		},
		Fix: "Correct `spec.peers` of the BGPAdvertisement.",
	},
	{
		Name: "The router refuses the connection", Symptom: NoAnswer, Routed: true,
		Break: failing(bgp.Problem{Kind: bgp.NoConnection, Detail: "dial tcp 192.0.2.1:179: connect: connection refused"}),
		Shown: both("connection refused", "does the router run BGP at this address and port, and know this node as a neighbor?"),
		Fix:   "Have the router run BGP on the port of the BGPPeer, with this node as a neighbor.",
	},
	{
		Name: "The router does not answer", Symptom: NoAnswer, Routed: true,
		Break: failing(bgp.Problem{Kind: bgp.NoConnection, Detail: "dial tcp 192.0.2.1:179: i/o timeout"}),
		Shown: both("i/o timeout", "are the address and the way to the router right?", "ebgpMultiHop"),
		Fix:   "Correct `peerAddress`; use `ebgpMultiHop` for a router that is on no network of the node; see firewalls.",
	},
	{
		Name: "The passwords of node and router differ", Symptom: NoAnswer, Routed: true,
		Break: failing(bgp.Problem{Kind: bgp.PasswordSuspected, Detail: "dial tcp 192.0.2.1:179: i/o timeout"}),
		Shown: both("no connection", "does the router have the same password?"),
		Fix:   "Use one password: TCP drops packets with another one without a word.",
	},
	{
		Name: "The Secret with the password is missing", Symptom: NoAnswer, Routed: true,
		Break: func(c *Cluster) {
			change(c, func(p *v1alpha1.BGPPeer) { p.Spec.PasswordSecret = &v1alpha1.BGPPasswordSecret{Name: "tor"} })
		},
		Shown: []Shown{
			on(web, "NoSession", "there is no Secret clarion-bgp/tor of type kubernetes.io/basic-auth"),
			on(tor, "Ready=False Refused", "there is no Secret clarion-bgp/tor of type kubernetes.io/basic-auth"),
		},
		Fix: "Create the Secret in the namespace `clarion-bgp`.",
	},
	{
		Name: "The router is in another autonomous system", Symptom: NoAnswer, Routed: true,
		Break: failing(bgp.Problem{Kind: bgp.UnexpectedASN, ASN: 64999, ExpectedASN: 64513}),
		Shown: both("autonomous system 64999, and 64513 was expected", "correct peerASN of the BGPPeer"),
		Fix:   "Correct `peerASN`.",
	},
	{
		Name: "The router expects another autonomous system of the node", Symptom: NoAnswer, Routed: true,
		Break: failing(bgp.Problem{Kind: bgp.Refused, Notification: bgp.Notification{Code: 2, Subcode: 2}}),
		Shown: both("the router refused the session: OPEN Message Error/Bad Peer AS", "does it expect this autonomous system"),
		Fix:   "Correct `myASN`, or the neighbor's autonomous system at the router.",
	},
	{
		Name: "The router does not know the node", Symptom: NoAnswer, Routed: true,
		Break: failing(bgp.Problem{Kind: bgp.ClosedBeforeOpen}),
		Shown: both("the router closed the connection before it said anything", "does it know this node's address?"),
		Fix:   "Have the router know the node's address as a neighbor.",
	},
	{
		Name: "The router falls silent", Symptom: NoAnswer, Routed: true,
		Break: failing(bgp.Problem{Kind: bgp.HoldTimerExpired}),
		Shown: both("the router fell silent: hold time expired", "is the way between them broken"),
		Fix:   "See the way between node and router, and the load of both.",
	},
	{
		Name: "The router takes no more prefixes", Symptom: NoAnswer, Routed: true,
		Break: failing(bgp.Problem{Kind: bgp.NotificationReceived, Notification: bgp.Notification{Code: 6, Subcode: 1}}),
		Shown: both("Maximum Number of Prefixes Reached", "raise the limit at the router"),
		Fix:   "Raise the limit at the router, or announce fewer prefixes (`aggregationLength`).",
	},
	{
		Name: "The router was shut down by its administrator", Symptom: NoAnswer, Routed: true,
		Break: failing(bgp.Problem{Kind: bgp.NotificationReceived, Notification: bgp.Notification{Code: 6, Subcode: 2, Reason: "back at 12:30"}}),
		Shown: both("the router closed the session: Cease/Administrative Shutdown", "back at 12:30"),
		Fix:   "Ask the administrator of the router.",
	},
	{
		Name: "Node and router have one router ID", Symptom: NoAnswer, Routed: true,
		Break: failing(bgp.Problem{Kind: bgp.BadIdentifier}),
		Shown: both("BGP Identifier that it cannot have", "give one of the two another router ID"),
		Fix:   "Give one of the two another router ID (`routerID` of the BGPPeer).",
	},
	{
		Name: "BFD does not come up", Symptom: NoAnswer, Routed: true,
		Break: func(c *Cluster) {
			c.add(&v1alpha1.BFDProfile{ObjectMeta: named("fast")})
			change(c, func(p *v1alpha1.BGPPeer) { p.Spec.BFDProfile = "fast" })
			failing(bgp.Problem{Kind: bgp.BFDNotUp, Detail: "the router sends no BFD packets"})(c)
		},
		Shown: both("BFD is not up: the router sends no BFD packets"),
		Fix:   "Switch BFD on for the neighbor at the router, and open UDP ports 3784 (4784 with `ebgpMultiHop`).",
	},
	{
		Name: "The session does not carry the family", Symptom: NoAnswer, Routed: true,
		Break: func(c *Cluster) {
			change(c, func(p *v1alpha1.IPAddressPool) { p.Spec.Addresses = []string{"2001:db8::/120"} })
			change(c, func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} })
			e := endpoints("web", "n1")
			e.Name, e.AddressType = "web-2", "IPv6"
			c.add(e)
			c.Sessions["tor"] = Session{Families: bgp.IPv4}
		},
		Shown: []Shown{
			on(web, "NotSent", "IPv6 addresses are sent to no BGPPeer", "does not carry IPv6 unicast", "activate that address family"),
			on(tor, "does not carry IPv6 unicast", "activate that address family"),
		},
		Fix: "Activate the address family for the node at the router.",
	},
	{
		Name: "Two BGPPeers are for one router", Symptom: NotAsWritten, Routed: true,
		Break: func(c *Cluster) { c.add(peer("tor2", "192.0.2.1")) },
		Shown: []Shown{on("bgppeer/tor2", "Ready=False Refused", "BGPPeer tor, which is older, is for the same router")},
		Asked: []Shown{on(web, "n1 to tor2", "BGPPeer tor, which is older, is for the same router", "correct the BGPPeer tor2")},
		Fix:   "Delete one of the two, or give it another address.",
	},
	{
		Name: "Some nodes have no session", Symptom: WrongAnswer, Routed: true,
		Break: func(*Cluster) {},
		Then: func(w *World) {
			edit(w, "n3", func(a *v1alpha1.Announcer) {
				say(a, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonRunning, "The announcer announces what falls to its node.")
			})
			w.cluster.Sessions["tor"] = Session{Only: []string{"n1", "n2"}, Problem: bgp.Problem{Kind: bgp.HoldTimerExpired}}
		},
		Shown: []Shown{on(tor, "Established=False SomeNodes", "n3", "hold time expired"), inColumn(tor, "Sessions", "2/3")},
		Asked: []Shown{on(web, "n3 to tor", "hold time expired")},
		Fix:   "See the node that the condition `Established` of the BGPPeer names.",
	},
}

// failing has no node have a session with the router.
func failing(problem bgp.Problem) func(*Cluster) {
	return func(c *Cluster) { c.Sessions["tor"] = Session{Problem: problem} }
}

// both has the Service and the BGPPeer say what keeps nodes from having a session.
func both(words ...string) []Shown {
	return []Shown{
		on(web, append([]string{"NoSession"}, words...)...),
		on(tor, append([]string{"Ready=False NoSession"}, words...)...),
	}
}
