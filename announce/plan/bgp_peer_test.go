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
