package why

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/deadnodes"
)

// deadNode is a cluster of three nodes; those of by take n1 for dead since a time.
func deadNode(since time.Time, by ...string) (objects []runtime.Object) {
	for _, name := range []string{"n1", "n2", "n3"} {
		node, announcer := aNode(corev1.ConditionTrue), anAnnouncer(v1alpha1.ReasonRunning, metav1.ConditionTrue)
		node.Name, announcer.Name = name, name
		objects = append(objects, node, announcer)
	}
	for _, name := range by {
		objects = append(objects, deadnodes.Record{"n1": since}.Lease(metav1.OwnerReference{Kind: "Node", Name: name}, since))
	}
	return objects
}

func withdrawalEvent(reason, message string, at time.Time) *corev1.Event {
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: reason}, InvolvedObject: corev1.ObjectReference{Kind: "Node", Name: "n1"},
		Reason: reason, Message: message, LastTimestamp: metav1.NewTime(at.Truncate(time.Second)), Source: corev1.EventSource{Component: "clarion"},
	}
}

func TestWhatBecomesOfADeadNodesEndpointsIsSaid(t *testing.T) {
	now := time.Now()
	withdrawn := withdrawalEvent("EndpointsWithdrawn", "2 pods that were ready are marked not ready.", now)
	held := withdrawalEvent("EndpointsNotWithdrawn", "too many", now.Add(time.Second))
	for name, tt := range map[string]struct {
		objects []runtime.Object
		want    string // "" for nothing
	}{
		"nobody says that it is dead":      {append(deadNode(now), withdrawn), ""},
		"one of three does":                {append(deadNode(now, "n2"), withdrawn), ""},
		"two do":                           {deadNode(now, "n2", "n3"), "Dead The node is silent for the announcers of n2, n3, 2 of 3."},
		"and its endpoints are withdrawn":  {append(deadNode(now, "n2", "n3"), withdrawn), "EndpointsWithdrawn 2 pods"},
		"another event is later":           {append(deadNode(now, "n2", "n3"), withdrawn, held), "EndpointsNotWithdrawn too many"},
		"an event is from the time before": {append(deadNode(now.Add(time.Hour), "n2", "n3"), withdrawn), "Dead The node is silent"},
		"an event is about something else": {append(deadNode(now, "n2", "n3"), withdrawalEvent("NodeNotReady", "no", now)), "Dead The node is silent"},
	} {
		got, said := Withdrawal(stateOf(tt.objects...), "n1"), ""
		if got != nil {
			said = got.Name + " " + got.Sentence
		}
		if (said == "") != (tt.want == "") || !strings.HasPrefix(said, tt.want) {
			t.Errorf("%s: it says %q", name, said)
		}
	}
}

func TestAServiceSaysThatItsEndpointsAreOnADeadNode(t *testing.T) {
	now, no, yes := time.Now(), false, true
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}}}
	for node, ready := range map[string]*bool{"n1": &no, "n2": &no, "n3": &yes} {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: ready}})
	}
	l := endpointsLink(stateOf(append(deadNode(now, "n2", "n3"), service, slice)...), service, nil)
	var items []string
	for _, i := range l.Items {
		items = append(items, i.Name+" "+i.Sentence)
	}
	if got, want := strings.Join(items, "; "), "n3 has 1 that can serve; n1 has 1 that does not serve: the node is dead"; got != want {
		t.Errorf("it says %s", got)
	}
}

func TestTheLeaseOfTheControllerIsToldFromThoseOfDeadNodes(t *testing.T) {
	state := stateOf(deadNode(time.Now(), "n2", "n3")...)
	if l := Controller(state); l.Mark != Failed || !strings.Contains(l.Sentence, "has never run") {
		t.Errorf("%v: %s", l.Mark, l.Sentence)
	}
	lease := state.ControllerLease()
	if lease != nil || len(state.Leases) != 2 {
		t.Errorf("the Lease is %v, of %d", lease, len(state.Leases))
	}
}
