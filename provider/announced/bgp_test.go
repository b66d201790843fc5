package announced

import (
	"net/netip"
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
	s.expect("False NoNode: 192.0.2.5 is not announced: no node can, neither n1 and n2 (no BGPPeer to which this address is advertised is for the node)")
	s.bgpPeer("tor", nil)
	s.expect("False NoSession: 192.0.2.5 is not announced: none of 2 nodes that could announce it by BGP has a session")
	s.announcer("n1", up("tor"))
	s.expect("True Announced: 192.0.2.5 is announced by BGP from 1 node to 1 peer")
	s.bgpPeer("tor2", nil)
	s.announcer("n2", up("tor", "tor2"))
	s.expect("True Announced: 192.0.2.5 is announced by BGP from 2 nodes to 2 peers")
	s.announcer("n2", sessions(map[string]v1alpha1.BGPState{"tor": v1alpha1.BGPConnecting}, "refused"))
	s.expect("True Announced: 192.0.2.5 is announced by BGP from 1 node to 1 peer")
	s.node("n1", corev1.ConditionFalse)
	s.expect("False NoSession: 192.0.2.5 is not announced: none of 2 nodes that could announce it by BGP has a session")
	s.endpoint("web", discoveryv1.AddressTypeIPv4, "")
	s.expect("False NoEndpoint: 192.0.2.5 is not announced: the Service has no endpoint that can serve")
	s.setBGPAdvertisement("all", nil)
	s.expect("False NotAdvertised: 192.0.2.5 is not announced: no L2Advertisement or BGPAdvertisement selects this address")
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
	expect(1, 0, "False NoSession: No node has a session with the router: the Announcers of the nodes say why.")
	s.announcer("n1", up("tor"))
	s.announcer("n2", sessions(map[string]v1alpha1.BGPState{"tor": v1alpha1.BGPConnecting}, "connection refused"))
	expect(2, 1, "True Valid: 1 of 2 nodes have a session with the router: the Announcers of the others say why.")
	s.announcer("n2", up("tor"))
	expect(2, 2, "True Valid: The nodes that are selected speak with the router.")
	refused := sessions(map[string]v1alpha1.BGPState{"tor": v1alpha1.BGPRefused}, "there is no Secret")
	s.announcer("n1", refused)
	expect(2, 1, "False Refused: n1: there is no Secret")
	s.announcer("n2", refused)
	expect(2, 0, "False Refused: n1 and n2: there is no Secret")
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
	expect("all", `False Invalid: no Community defines "cheap", nor is that a well-known one`+stays)
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
