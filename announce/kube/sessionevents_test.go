package kube

import (
	"net/netip"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// oneAnnouncer is an API that has the Announcer of one node, if any.
type oneAnnouncer struct{ object *v1alpha1.Announcer }

func (o oneAnnouncer) Announcer(string) *v1alpha1.Announcer { return o.object }

func TestSessionsThatComeAndGoAreEventsOnTheAnnouncer(t *testing.T) {
	recorder := record.NewFakeRecorder(10)
	e := &Events{node: "n1", recorder: recorder, announcers: oneAnnouncer{&v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}}}
	tor := netip.MustParseAddr("10.0.0.1")
	e.SessionEstablished("tor", tor)
	e.SessionLost("tor", tor, "the router closed the session")
	e.SessionClosed("tor", netip.Addr{}, "the node is drained")
	e.BFDUp("tor", tor)
	e.BFDDown("tor", tor, "silence")
	want := []string{
		"Normal BGPSessionEstablished the BGP session with tor (10.0.0.1) is established",
		"Warning BGPSessionLost the BGP session with tor (10.0.0.1) is lost: the router closed the session",
		"Normal BGPSessionClosed the BGP session with tor is closed: the node is drained",
		"Normal BFDUp BFD with tor (10.0.0.1) is up: the path is watched",
		"Warning BFDDown BFD with tor (10.0.0.1) went down: silence",
	}
	var got []string
	for len(recorder.Events) > 0 {
		got = append(got, <-recorder.Events)
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	e.announcers = oneAnnouncer{}
	e.SessionEstablished("tor", tor)
	if len(recorder.Events) > 0 {
		t.Error("an event has no object that it is about")
	}
}
