package plan

import (
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestParametersOfASession(t *testing.T) {
	r := newRack()
	r.peer("tor", func(s *v1alpha1.BGPPeerSpec) {
		s.PeerAddress, s.PeerPort, s.SourceAddress = "10.0.0.254", 1179, "10.0.0.1"
		s.HoldTime, s.ConnectTime = &metav1.Duration{Duration: 9 * time.Second}, &metav1.Duration{Duration: 2 * time.Second}
		s.TTLSecurityHops, s.EnableGracefulRestart, s.MaxPrefixes = new(int32(1)), true, new(int32(10))
		s.PasswordSecret = &v1alpha1.BGPPasswordSecret{Name: "tor"}
	})
	r.view.SetSecret("tor", &corev1.Secret{Data: map[string][]byte{"password": []byte("secret")}})
	want := bgp.Peer{
		Address: netip.MustParseAddr("10.0.0.254"), Port: 1179, Source: netip.MustParseAddr("10.0.0.1"),
		LocalASN: 65001, PeerASN: 65000, RouterID: netip.MustParseAddr("10.0.0.1"),
		Password: "secret", SecurityHops: 1, MaxPrefixes: 10,
		HoldTime: 9 * time.Second, ConnectTime: 2 * time.Second, RestartTime: 2 * time.Minute,
	}
	if got := r.plan().Peers[bgp.SessionKey{Peer: "tor"}]; got != want {
		t.Errorf("session %+v, want %+v", got, want)
	}
	r.node("n1", func(n *corev1.Node) { n.Status.Addresses = nil })
	if got := r.plan().Peers[bgp.SessionKey{Peer: "tor"}].RouterID; !got.Is4() || got.IsUnspecified() {
		t.Errorf("router ID %s of a node without an IPv4 address", got)
	}
}

func TestAGatewayOfTheWrongFamilyForTheSourceAddressIsRefused(t *testing.T) {
	r := newRack()
	r.peer("tor", func(s *v1alpha1.BGPPeerSpec) {
		s.PeerAddress, s.DefaultGateway, s.SourceAddress = "", corev1.IPv6Protocol, "10.0.0.1"
	})
	r.planner.SetGateways([]netip.Addr{netip.MustParseAddr("2001:db8::1")})
	plan := r.plan()
	if len(plan.Peers) > 0 || len(plan.Refused) != 1 || plan.Refused[0].Reason != InvalidOnNode || plan.Refused[0].Sentence() == "" {
		t.Errorf("sessions %v, refused %+v", plan.Peers, plan.Refused)
	}
}

func TestABGPPeerThatCannotBeReadIsForNoNode(t *testing.T) {
	r := newRack()
	for name, change := range map[string]func(*v1alpha1.BGPPeerSpec){
		"address": func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "tor" },
		"source":  func(s *v1alpha1.BGPPeerSpec) { s.SourceAddress = "10.0.0" },
		"selector": func(s *v1alpha1.BGPPeerSpec) {
			s.NodeSelectors = []v1alpha1.LabelSelector{{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "a", Operator: "Is"}}}}
		},
	} {
		r.view.SetBGPPeer("tor", nil)
		r.peer("tor", change)
		if plan := r.plan(); r.view.BGPPeer("tor").Problem == nil || len(plan.Peers) > 0 {
			t.Errorf("%s: %+v, sessions %v", name, r.view.BGPPeer("tor"), plan.Peers)
		}
	}
}

func TestANodeThatIsGoneHasNoSession(t *testing.T) {
	r := newRack()
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	r.plan()
	r.view.SetNode("n1", nil)
	if plan := r.plan(); len(plan.Peers)+len(plan.Routes) > 0 || !plan.Changed {
		t.Errorf("plan %+v", plan)
	}
	r.view.SetBGPPeer("tor", nil)
	r.view.SetNode("n1", nodeObject("n1"))
	if plan := r.plan(); len(plan.Peers) > 0 {
		t.Errorf("sessions %v without a BGPPeer", plan.Peers)
	}
}

func TestTheRevisionOfABGPPeerIsThatOfWhatSessionsAreResetFor(t *testing.T) {
	secret := func(version string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}, Data: map[string][]byte{"password": []byte("secret")}}
	}
	base := func(s *v1alpha1.BGPPeerSpec) {
		s.PeerAddress, s.PasswordSecret = "10.0.0.254", &v1alpha1.BGPPasswordSecret{Name: "tor"}
	}
	revision := func(version string, change func(*v1alpha1.BGPPeerSpec)) string {
		r := newRack()
		r.view.SetSecret("tor", secret(version))
		r.peer("tor", func(s *v1alpha1.BGPPeerSpec) {
			base(s)
			change(s)
		})
		return r.plan().Revisions[bgp.SessionKey{Peer: "tor"}]
	}
	none := func(*v1alpha1.BGPPeerSpec) {}
	before := revision("1", none)
	if before == "" {
		t.Fatal("there is none")
	}
	for name, test := range map[string]struct {
		version string
		change  func(*v1alpha1.BGPPeerSpec)
		same    bool
	}{
		"nothing":         {"1", none, true},
		"connectTime":     {"1", func(s *v1alpha1.BGPPeerSpec) { s.ConnectTime = &metav1.Duration{Duration: 9 * time.Second} }, true},
		"maxPrefixes":     {"1", func(s *v1alpha1.BGPPeerSpec) { s.MaxPrefixes = new(int32(9)) }, true},
		"bfdProfile":      {"1", func(s *v1alpha1.BGPPeerSpec) { s.BFDProfile = "fast" }, true},
		"holdTime":        {"1", func(s *v1alpha1.BGPPeerSpec) { s.HoldTime = &metav1.Duration{Duration: 9 * time.Second} }, false},
		"addressFamilies": {"1", func(s *v1alpha1.BGPPeerSpec) { s.AddressFamilies = []corev1.IPFamily{corev1.IPv6Protocol} }, false},
		"peerAddress":     {"1", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "10.0.0.253" }, false},
		"the Secret":      {"2", none, false},
	} {
		if got := revision(test.version, test.change); (got == before) != test.same {
			t.Errorf("%s: %s, before %s", name, got, before)
		}
	}
}
