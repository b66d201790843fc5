package plan

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestAPlanSaysHowPathsAreToBeWatched(t *testing.T) {
	r := newRack()
	named := func(spec *v1alpha1.BGPPeerSpec) { spec.BFDProfile = "fast" }
	r.peer("tor", named)
	r.peer("unwatched", nil)
	expect := func(when string, want BFDSettings) {
		t.Helper()
		if got := r.plan().BFD; len(got) != 1 || got[bgp.SessionKey{Peer: "tor"}] != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	expect("without the profile", BFDSettings{Refused: "there is no BFDProfile fast"})
	profile := &v1alpha1.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Spec: v1alpha1.BFDProfileSpec{
		TransmitInterval: 100, ReceiveInterval: 200, DetectMultiplier: 4, MinimumTTL: 250, PassiveMode: true, Strict: true, EchoInterval: 50,
	}}
	r.view.SetBFDProfile("fast", profile.DeepCopy())
	expect("with it", BFDSettings{
		Strict:   true,
		Transmit: 100 * time.Millisecond, Receive: 200 * time.Millisecond, Multiplier: 4, MinimumTTL: 250, Passive: true,
	})
	r.view.SetBFDProfile("fast", profile.DeepCopy())
	if r.plan().Changed {
		t.Error("nothing has changed, and all is planned again")
	}
	r.view.SetBFDProfile("fast", nil)
	profile.Spec.EchoMode = true
	r.view.SetBFDProfile("fast", profile)
	expect("with echoes", BFDSettings{Refused: "BFDProfile fast: spec.echoMode is not supported"})
	r.view.SetBFDProfile("fast", nil)
	expect("without it again", BFDSettings{Refused: "there is no BFDProfile fast"})
	if len(r.plan().Peers) != 2 {
		t.Error("there are no sessions without BFD")
	}
}
