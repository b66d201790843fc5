package announced

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// sessions are those that an announcer reports, by BGPPeer.
func sessions(states map[string]v1alpha1.BGPState, problem string) func(*v1alpha1.AnnouncerStatus) {
	return func(status *v1alpha1.AnnouncerStatus) {
		for peer, state := range states {
			status.BGP.Peers = append(status.BGP.Peers, v1alpha1.BGPSession{Name: peer, State: state, LastError: problem})
		}
	}
}

func up(peers ...string) func(*v1alpha1.AnnouncerStatus) {
	states := map[string]v1alpha1.BGPState{}
	for _, peer := range peers {
		states[peer] = v1alpha1.BGPEstablished
	}
	return sessions(states, "")
}

func (s *scene) bgpPeer(name string, change func(*v1alpha1.BGPPeerSpec)) {
	asn := int64(65000)
	p := &v1alpha1.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: s.next()},
		Spec:       v1alpha1.BGPPeerSpec{MyASN: 65001, PeerASN: &asn, PeerAddress: "192.0.2.1"},
	}
	if change != nil {
		change(&p.Spec)
	}
	s.setBGPPeer(name, p)
}

func (s *scene) bgpAdvertise(name string, spec v1alpha1.BGPAdvertisementSpec) {
	s.setBGPAdvertisement(name, &v1alpha1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: s.next()}, Spec: spec})
}

func (s *scene) next() int64 {
	s.generation++
	return s.generation
}

// routed has a Service with an address, two nodes with announcers, and a BGPAdvertisement of
// everything.
func routed(t *testing.T) *scene {
	s := newScene(t)
	s.pool("192.0.2.0/24")
	s.serve("web", "192.0.2.5")
	s.endpoint("web", discoveryv1.AddressTypeIPv4, "n1")
	for _, name := range []string{"n1", "n2"} {
		s.node(name, corev1.ConditionTrue)
		s.announcer(name, nil)
	}
	s.bgpAdvertise("all", v1alpha1.BGPAdvertisementSpec{})
	return s
}

func TestAServiceSaysFromHowManyNodesItIsAnnouncedByBGP(t *testing.T) {
	s := routed(t)
	s.expect("False NoNode: 192.0.2.5 is not announced: no node can: n1 and n2 (no BGPPeer to which this address is advertised is for the node; change spec.nodeSelectors of the BGPPeer, or spec.peers of the BGPAdvertisement)")
	s.bgpPeer("tor", nil)
	s.expect("False NoSession: 192.0.2.5 is not announced: none of 2 nodes that could announce it by BGP has a session (tor: there is no session yet)")
	s.announcer("n1", up("tor"))
	s.expect("True Announced: 192.0.2.5 is announced by BGP from 1 node to 1 peer")
	s.bgpPeer("tor2", nil)
	s.announcer("n2", up("tor", "tor2"))
	s.expect("True Announced: 192.0.2.5 is announced by BGP from 2 nodes to 2 peers")
	s.announcer("n2", sessions(map[string]v1alpha1.BGPState{"tor": v1alpha1.BGPConnecting}, "refused"))
	s.expect("True Announced: 192.0.2.5 is announced by BGP from 1 node to 1 peer")
	s.node("n1", corev1.ConditionFalse)
	s.expect("False NoSession: 192.0.2.5 is not announced: none of 2 nodes that could announce it by BGP has a session " +
		"(n1: the Node is not ready; see its kubelet; tor2: there is no session yet; tor: refused)")
	s.endpoint("web", discoveryv1.AddressTypeIPv4, "")
	s.expect("False NoEndpoint: 192.0.2.5 is not announced: the Service has no endpoint that can serve; have its selector select a pod that is ready, or give it EndpointSlices")
	s.setBGPAdvertisement("all", nil)
	s.expect("False NotAdvertised: 192.0.2.5 is not announced: no L2Advertisement or BGPAdvertisement selects this address; create an L2Advertisement or BGPAdvertisement, or have one select its pool")
}

// carries is a session with a BGPPeer that carries these families.
func carries(peer string, families ...v1alpha1.BGPSessionFamily) func(*v1alpha1.AnnouncerStatus) {
	return func(status *v1alpha1.AnnouncerStatus) {
		status.BGP.Peers = append(status.BGP.Peers, v1alpha1.BGPSession{Name: peer, State: v1alpha1.BGPEstablished, Families: families})
	}
}

func both(changes ...func(*v1alpha1.AnnouncerStatus)) func(*v1alpha1.AnnouncerStatus) {
	return func(status *v1alpha1.AnnouncerStatus) {
		for _, change := range changes {
			change(status)
		}
	}
}

func sent(family corev1.IPFamily, prefixes int32) v1alpha1.BGPSessionFamily {
	return v1alpha1.BGPSessionFamily{Family: family, Prefixes: prefixes}
}

func TestAnAddressIsAnnouncedByBGPWhereItsFamilyIsSent(t *testing.T) {
	const (
		v4         = "192.0.2.5 is announced by BGP from 2 nodes to 1 peer"
		notCarried = "the router does not carry IPv6 unicast in this session: activate that address family for the node at the router, or have another BGPPeer carry it"
		noNextHop  = "IPv6 routes have no next hop: the interface towards 192.0.2.1 has no such address"
	)
	ipv4 := sent(corev1.IPv4Protocol, 3)
	failed := func(problem string) v1alpha1.BGPSessionFamily {
		return v1alpha1.BGPSessionFamily{Family: corev1.IPv6Protocol, LastError: problem}
	}
	for _, test := range []struct {
		name   string
		layer2 bool
		n1, n2 func(*v1alpha1.AnnouncerStatus)
		want   string
	}{
		{"both families", false, carries("tor", ipv4, sent(corev1.IPv6Protocol, 1)), carries("tor", ipv4, sent(corev1.IPv6Protocol, 1)),
			"True Announced: " + v4 + "; 2001:db8::5 is announced by BGP from 2 nodes to 1 peer"},
		{"announcers of an earlier version", false, up("tor"), up("tor"),
			"True Announced: " + v4 + "; 2001:db8::5 is announced by BGP from 2 nodes to 1 peer"},
		{"a router that does not carry it", false, carries("tor", ipv4), carries("tor", ipv4, failed(notCarried)),
			"False NotSent: " + v4 + "; 2001:db8::5 is not announced: IPv6 addresses are sent to no BGPPeer (tor: " + notCarried + ")"},
		{"no next hop", false, carries("tor", ipv4, failed(noNextHop)), carries("tor", ipv4, failed(noNextHop)),
			"False NotSent: " + v4 + "; 2001:db8::5 is not announced: IPv6 addresses are sent to no BGPPeer (tor: " + noNextHop + ")"},
		{"no next hop on one node", false, carries("tor", ipv4, failed(noNextHop)), carries("tor", ipv4, sent(corev1.IPv6Protocol, 1)),
			"True Announced: " + v4 + "; 2001:db8::5 is announced by BGP from 1 node to 1 peer"},
		{"a BGPPeer for each family", false, both(carries("tor", ipv4), carries("tor6", sent(corev1.IPv6Protocol, 2))), carries("tor", ipv4, failed(notCarried)),
			"True Announced: " + v4 + "; 2001:db8::5 is announced by BGP from 1 node to 1 peer"},
		{"a BGPPeer for each family, one without a session", false, carries("tor", ipv4), both(carries("tor", ipv4), sessions(map[string]v1alpha1.BGPState{"tor6": v1alpha1.BGPConnecting}, "refused")),
			"False NotSent: " + v4 + "; 2001:db8::5 is not announced: IPv6 addresses are sent to no BGPPeer (tor6: there is no session: refused; tor: " + notCarried + ")"},
		{"nothing sent yet", false, carries("tor", ipv4, sent(corev1.IPv6Protocol, 0)), carries("tor", ipv4, sent(corev1.IPv6Protocol, 0)),
			"False Pending: " + v4 + "; 2001:db8::5 is about to be announced by BGP"},
		{"on layer 2 as well", true, both(claims(map[string]int64{"2001:db8::5": 1, "192.0.2.5": 1}, "eth0"), carries("tor", ipv4)), carries("tor", ipv4),
			"True Announced: 192.0.2.5 is announced by n1 on eth0 since 2026-01-01T00:00:00Z and by BGP from 2 nodes to 1 peer; " +
				"2001:db8::5 is announced by n1 on eth0 since 2026-01-01T00:00:00Z, and not by BGP: IPv6 addresses are sent to no BGPPeer (tor: " + notCarried + ")"},
	} {
		s := routed(t)
		s.pool("192.0.2.0/24", "2001:db8::/64")
		s.serve("web", "192.0.2.5", "2001:db8::5")
		s.endpoint("web", discoveryv1.AddressTypeIPv6, "n1")
		s.bgpPeer("tor", nil)
		if strings.Contains(test.name, "BGPPeer for each") {
			s.bgpPeer("tor6", func(spec *v1alpha1.BGPPeerSpec) { spec.PeerAddress = "2001:db8::1" })
		}
		if test.layer2 {
			s.advertise()
		}
		s.announcer("n1", test.n1)
		s.announcer("n2", test.n2)
		t.Log(test.name)
		s.expect(test.want)
	}
}

func TestABGPPeerSaysWhichFamiliesItsSessionsCarry(t *testing.T) {
	s := routed(t)
	s.bgpPeer("tor", nil)
	expect := func(ipv4, ipv6 int32, want string) {
		t.Helper()
		s.evaluate(s.now)
		status := s.peerStatus("tor")
		families := []v1alpha1.BGPPeerFamily{{Family: corev1.IPv4Protocol, Established: ipv4}, {Family: corev1.IPv6Protocol, Established: ipv6}}
		c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
		if got := string(c.Status) + " " + c.Reason + ": " + c.Message; got != want || !slices.Equal(status.Families, families) {
			t.Errorf("%s %v\nwant %s %v", got, status.Families, want, families)
		}
	}
	ipv4, ipv6 := sent(corev1.IPv4Protocol, 1), sent(corev1.IPv6Protocol, 1)
	s.announcer("n1", carries("tor", ipv4, ipv6))
	s.announcer("n2", carries("tor", ipv4))
	expect(2, 1, "True Valid: The nodes that are selected speak with the router.")
	s.bgpPeer("tor", func(spec *v1alpha1.BGPPeerSpec) {
		spec.AddressFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	})
	expect(2, 1, "False FamilyNotCarried: n2: the router does not carry IPv6 unicast in this session: "+
		"activate that address family for the node at the router, or have another BGPPeer carry it")
	s.bgpPeer("tor", func(spec *v1alpha1.BGPPeerSpec) { spec.AddressFamilies = []corev1.IPFamily{corev1.IPv4Protocol} })
	expect(2, 1, "True Valid: The nodes that are selected speak with the router.")
	s.bgpPeer("tor", nil)
	ipv6.LastError = "it does not carry IPv6"
	s.announcer("n2", carries("tor", ipv4, ipv6))
	expect(2, 1, "True Valid: The nodes that are selected speak with the router. Not all that is advertised to it is sent: n2: it does not carry IPv6.")
}

func TestANodeThatIsDrainedByATaintAnnouncesByBGPOnlyWhatNoOtherCan(t *testing.T) {
	const from1, from2 = "True Announced: 192.0.2.5 is announced by BGP from 1 node to 1 peer", "True Announced: 192.0.2.5 is announced by BGP from 2 nodes to 1 peer"
	s := routed(t)
	s.bgpPeer("tor", nil)
	s.announcer("n1", up("tor"))
	s.announcer("n2", up("tor"))
	s.expect(from2)
	// Its session is for what no other node can announce.
	s.announcer("n1", drains(up("tor")))
	s.expect(from1)
	s.announcer("n2", nil)
	s.expect(from1)
	s.announcer("n2", up("tor"))
	s.node("n1", corev1.ConditionTrue) // as before: the annotation is only shown to the plan
	s.expect(from1)
	s.announcer("n1", up("tor"))
	s.expect(from2)
	s.announcer("n1", drains(up("tor")))
	s.setNode("n1", nil)
	s.setAnnouncer("n1", nil)
	s.expect(from1)
}

func TestAServiceThatIsAnnouncedBothWaysSaysSo(t *testing.T) {
	s := routed(t)
	s.bgpPeer("tor", nil)
	s.advertise()
	s.announcer("n1", func(status *v1alpha1.AnnouncerStatus) {
		claims(map[string]int64{"192.0.2.5": 1}, "eth0")(status)
		up("tor")(status)
	})
	s.expect("True Announced: 192.0.2.5 is announced by n1 on eth0 since 2026-01-01T00:00:00Z and by BGP from 1 node to 1 peer")
}

func TestABGPPeerSaysWhoSpeaksWithItAndWhoCannot(t *testing.T) {
	s := routed(t)
	expect := func(nodes, established int32, want string) {
		t.Helper()
		s.evaluate(s.now)
		status := s.peerStatus("tor")
		c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
		if got := string(c.Status) + " " + c.Reason + ": " + c.Message; got != want || status.Nodes != nodes || status.Established != established {
			t.Errorf("%d nodes, %d established, %s\nwant %d nodes, %d established, %s", status.Nodes, status.Established, got, nodes, established, want)
		}
	}
	s.bgpPeer("tor", nil)
	expect(0, 0, "False NoNodes: No node whose announcer is in sight is to speak with the router.")
	s.announcer("n1", sessions(map[string]v1alpha1.BGPState{"tor": v1alpha1.BGPConnecting}, "connection refused"))
	expect(1, 0, "False NoSession: 0 of 1 nodes have a session with the router. Without one are n1: connection refused.")
	s.announcer("n1", up("tor"))
	s.announcer("n2", sessions(map[string]v1alpha1.BGPState{"tor": v1alpha1.BGPConnecting}, "connection refused"))
	expect(2, 1, "True Valid: 1 of 2 nodes have a session with the router. Without one are n2: connection refused.")
	s.announcer("n2", up("tor"))
	expect(2, 2, "True Valid: The nodes that are selected speak with the router.")
	condition := func(want string) {
		t.Helper()
		c := meta.FindStatusCondition(s.peerStatus("tor").Conditions, v1alpha1.ConditionEstablished)
		if got := string(c.Status) + " " + c.Reason + ": " + c.Message; got != want {
			t.Errorf("Established: %s, want %s", got, want)
		}
	}
	condition("True AllNodes: 2 of 2 nodes have a session with the router.")
	s.announcer("n1", sessions(map[string]v1alpha1.BGPState{"tor": v1alpha1.BGPConnecting}, "connection refused"))
	expect(2, 1, "True Valid: 1 of 2 nodes have a session with the router. Without one are n1: connection refused.")
	condition("False SomeNodes: 1 of 2 nodes have a session with the router. Without one are n1: connection refused.")
	if got := s.peerStatus("tor").Sessions; got != "1/2" {
		t.Errorf("sessions %q", got)
	}
	refused := sessions(map[string]v1alpha1.BGPState{"tor": v1alpha1.BGPRefused}, "there is no Secret")
	s.announcer("n1", refused)
	expect(2, 1, "False Refused: n1: there is no Secret")
	s.announcer("n2", refused)
	expect(2, 0, "False Refused: n1 and n2: there is no Secret")
	condition("False NoSession: 0 of 2 nodes have a session with the router. Without one are n1 and n2: there is no Secret.")
	s.bgpPeer("tor", func(spec *v1alpha1.BGPPeerSpec) { spec.PeerAddress = "fe80::1" })
	expect(2, 0, "False Invalid: the link-local address fe80::1 needs an interface as its zone; the last good version stays in force (status.appliedSpec)")
}

const stays = "; the last good version stays in force (status.appliedSpec)"

func TestABGPAdvertisementSaysWhatOfItDoesNotHold(t *testing.T) {
	s := routed(t)
	s.bgpPeer("tor", nil)
	expect := func(name, want string) {
		t.Helper()
		s.evaluate(s.now)
		c := s.advertisementCondition(name, s.bgp.Contradictions())
		if got := string(c.Status) + " " + c.Reason + ": " + c.Message; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	expect("all", "True Valid: The BGPAdvertisement is in use.")
	s.bgpAdvertise("all", v1alpha1.BGPAdvertisementSpec{Peers: []string{"tor", "other"}})
	expect("all", "False UnknownName: there is no BGPPeer other"+stays)
	s.bgpAdvertise("all", v1alpha1.BGPAdvertisementSpec{IPAddressPools: []string{"pool", "other"}})
	expect("all", "False UnknownName: there is no IPAddressPool other"+stays)
	s.bgpAdvertise("all", v1alpha1.BGPAdvertisementSpec{Communities: []string{"cheap"}})
	expect("all", `False UnknownName: no Community defines "cheap", nor is that a well-known one`+stays)
	s.bgpAdvertise("all", v1alpha1.BGPAdvertisementSpec{Communities: []string{"cheap", "1:2:3:4"}})
	expect("all", `False Invalid: no Community defines "cheap", nor is that a well-known one; community "1:2:3:4" is neither of the form "65000:1" nor "large:65000:1:2"`+stays)
	s.bgpAdvertise("all", v1alpha1.BGPAdvertisementSpec{Communities: []string{"cheap"}, IPAddressPools: []string{"other"}})
	expect("all", `False UnknownName: no Community defines "cheap", nor is that a well-known one; there is no IPAddressPool other`+stays)
	s.bgpAdvertise("all", v1alpha1.BGPAdvertisementSpec{Communities: []string{"cheap"}})
	s.setCommunity("names", &v1alpha1.Community{Spec: v1alpha1.CommunitySpec{Communities: []v1alpha1.CommunityAlias{{Name: "cheap", Value: "65000:1"}}}})
	expect("all", "True Valid: The BGPAdvertisement is in use.")
	s.bgpAdvertise("all", v1alpha1.BGPAdvertisementSpec{MED: new(int64(1))})
	s.bgpAdvertise("other", v1alpha1.BGPAdvertisementSpec{MED: new(int64(2))})
	expect("all", "True Valid: The BGPAdvertisement is in use.")
	expect("other", "False Contradicts: 192.0.2.5/32 is announced with the med of BGPAdvertisement all, which is older")
	s.bgpAdvertise("other", v1alpha1.BGPAdvertisementSpec{NodeSelectors: []v1alpha1.LabelSelector{{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "a", Operator: "Bad"}}}}})
	expect("other", `False Invalid: spec.nodeSelectors[0]: "Bad" is not a valid label selector operator`+stays+"; 192.0.2.5/32 is announced with the med of BGPAdvertisement all, which is older")
}

func TestOnlyCountsMayWait(t *testing.T) {
	address := netip.MustParseAddr("192.0.2.5")
	onN1 := announcement{node: "n1", interfaces: "eth0"}
	from := statement{address: address, reason: v1alpha1.ReasonAnnounced, layer2: onN1, bgp: reach{2, 1}}
	with := func(layer2 announcement, bgp reach) statement {
		return statement{address: address, reason: v1alpha1.ReasonAnnounced, layer2: layer2, bgp: bgp}
	}
	for name, test := range map[string]struct {
		to   []statement
		want time.Duration
	}{
		"more nodes":              {[]statement{with(onN1, reach{12, 1})}, patience},
		"fewer nodes":             {[]statement{with(onN1, reach{1, 1})}, calm},
		"another node on layer 2": {[]statement{with(announcement{node: "n2", interfaces: "eth0"}, reach{1, 2})}, 0},
		"not by BGP any more":     {[]statement{with(onN1, reach{})}, 0},
		"an address more":         {[]statement{with(onN1, reach{1, 1}), with(onN1, reach{1, 1})}, 0},
		"what is written already": {[]statement{from}, 0},
	} {
		if got := recountPatience([]statement{from}, test.to); got != test.want {
			t.Errorf("%s may wait %s, want %s", name, got, test.want)
		}
	}
}
