package announced

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// watchedBy is a session with the BGPPeer tor whose path BFD watches.
func watchedBy(state v1alpha1.BFDState, problem string) func(*v1alpha1.AnnouncerStatus) {
	return func(status *v1alpha1.AnnouncerStatus) {
		up("tor")(status)
		status.BGP.Peers[0].BFD = &v1alpha1.BFDSession{State: state, LastError: problem}
	}
}

func TestABGPPeerSaysWhereBFDIsNotUp(t *testing.T) {
	s := routed(t)
	s.bgpPeer("tor", func(spec *v1alpha1.BGPPeerSpec) { spec.BFDProfile = "fast" })
	expect := func(want string, bfdUp int32) {
		t.Helper()
		s.evaluate(s.now)
		status := s.peerStatus("tor")
		c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
		if got := string(c.Status) + " " + c.Reason + ": " + c.Message; got != want || status.BFDUp == nil || *status.BFDUp != bfdUp {
			t.Errorf("%s, %d with BFD up\nwant %s, %d", got, *status.BFDUp, want, bfdUp)
		}
	}
	s.announcer("n1", watchedBy(v1alpha1.BFDRefused, "there is no BFDProfile fast"))
	s.announcer("n2", watchedBy(v1alpha1.BFDRefused, "there is no BFDProfile fast"))
	expect("False NoBFD: BFD does not watch the path to the router as it should: n1 and n2: there is no BFDProfile fast", 0)
	s.announcer("n1", watchedBy(v1alpha1.BFDDown, ""))
	s.announcer("n2", watchedBy(v1alpha1.BFDUp, ""))
	expect("True Valid: The nodes that are selected speak with the router.", 1)
	s.announcer("n1", watchedBy(v1alpha1.BFDUp, "there is no BFDProfile fast"))
	expect("False NoBFD: BFD does not watch the path to the router as it should: n1: there is no BFDProfile fast", 2)
	s.announcer("n1", watchedBy(v1alpha1.BFDUp, ""))
	expect("True Valid: The nodes that are selected speak with the router.", 2)
	s.bgpPeer("tor", nil)
	if status := s.peerStatus("tor"); status.BFDUp != nil {
		t.Errorf("without a BFDProfile, BFD is up on %d nodes", *status.BFDUp)
	}
}

func TestABFDProfileThatAsksForWhatThereIsNotSaysSo(t *testing.T) {
	s := routed(t)
	for _, tt := range []struct {
		echo bool
		want string
	}{
		{true, "False Unsupported: spec.echoMode is not supported: the BFDProfile is not used, and sessions that name it go on without BFD"},
		{false, "True Valid: BGPPeers can use the BFDProfile."},
		{true, "False Unsupported: spec.echoMode is not supported" + stays},
	} {
		s.setBFDProfile("fast", &v1alpha1.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: "fast", Generation: s.next()}, Spec: v1alpha1.BFDProfileSpec{EchoMode: tt.echo}})
		s.view.Settle()
		c := s.profileCondition("fast")
		if got := string(c.Status) + " " + c.Reason + ": " + c.Message; got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
	s.setBFDProfile("fast", nil)
	if len(s.profiles) != 0 {
		t.Errorf("there are still %v", s.profiles)
	}
}

func TestABGPPeerSaysThatAnEditIsNotInForce(t *testing.T) {
	s := routed(t)
	s.announcer("n1", watchedBy(v1alpha1.BFDUp, ""))
	expect := func(profile string, holdTime time.Duration, want string) {
		t.Helper()
		s.bgpPeer("tor", func(spec *v1alpha1.BGPPeerSpec) {
			spec.BFDProfile, spec.HoldTime = profile, &metav1.Duration{Duration: holdTime}
		})
		s.evaluate(s.now)
		c := meta.FindStatusCondition(s.peerStatus("tor").Conditions, v1alpha1.ConditionReady)
		if got := c.Reason + ": " + c.Message; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	s.setBFDProfile("fast", &v1alpha1.BFDProfile{})
	const fine = "Valid: The nodes that are selected speak with the router."
	expect("fast", time.Minute, fine)
	expect("fats", time.Minute, "UnknownName: there is no BFDProfile fats"+stays)
	s.setBFDProfile("fast", nil)
	expect("fast", time.Minute, fine) // as the nodes say that BFD goes on
	expect("fast", time.Hour, "UnknownName: there is no BFDProfile fast"+stays)
}
