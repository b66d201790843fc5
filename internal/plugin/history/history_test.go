package history

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarionlb/clarion/internal/plugin/dashboard/fixture"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

func event(kind, name, component, reason, message string, at time.Time) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "shop", Name: name + reason + component},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: kind, Namespace: "shop", Name: name},
		Source:         corev1.EventSource{Component: component}, Reason: reason, Message: message, LastTimestamp: metav1.NewTime(at),
	}
}

// of has the entries of the fixture, with events in place of its own.
func of(now time.Time, events ...runtime.Object) []Entry {
	var objects []runtime.Object
	for _, o := range fixture.New(now) {
		if _, is := o.(*corev1.Event); !is {
			objects = append(objects, o)
		}
	}
	return Of(snapshot.Of(append(objects, events...)...).State())
}

func moved(entries []Entry) (list []Entry) {
	for _, e := range entries {
		if e.Move != nil {
			list = append(list, e)
		}
	}
	return list
}

func TestAMoveIsKnownWhenItsEventIsGone(t *testing.T) {
	entries := of(time.Now())
	if len(entries) == 0 || len(moved(entries)) != len(entries) {
		t.Fatalf("%d entries, %d moves", len(entries), len(moved(entries)))
	}
	for i, e := range entries {
		if e.Reason != ReasonMoved || e.Move.From == "" || e.Move.To == "" || e.Count != 0 {
			t.Errorf("%+v", e)
		}
		if i > 0 && e.Time.Before(entries[i-1].Time) {
			t.Errorf("%+v is not in order", e)
		}
	}
}

func TestAMoveAndItsEventAreOne(t *testing.T) {
	now := time.Now()
	all := of(now)
	m := all[len(all)-1]
	because := m.Move.Address + " is announced from node " + m.Move.To + " in place of " + m.Move.From + ", which is not in sight"
	told := event("Service", m.Object.Name, "clarion", "AddressAnnounced", because, m.Time.Add(time.Second))
	told.InvolvedObject.Namespace = m.Object.Namespace
	late := told.DeepCopy()
	late.Name, late.LastTimestamp = "late", metav1.NewTime(m.Time.Add(time.Minute))
	other := told.DeepCopy()
	other.Name, other.Source.Host = "other", "another-node"

	entries := of(now, told)
	if len(entries) != len(all) {
		t.Errorf("%d entries, want %d", len(entries), len(all))
	}
	found := 0
	for _, e := range entries {
		if e.Message == because && e.Move != nil && *e.Move == *m.Move {
			found++
		}
	}
	if found != 1 {
		t.Errorf("found %d times", found)
	}
	if entries := of(now, late, other); len(entries) != len(all)+2 {
		t.Errorf("%d entries: an event of another time or node is another one", len(entries))
	}
}

func TestWhatOthersTellIsNoHistoryUnlessANodeComesOrGoes(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		kind, component, reason string
		want                    bool
	}{
		{"Service", "clarion", "AddressInUse", true},
		{"Service", "service-controller", "EnsuringLoadBalancer", false},
		{"Node", "node-controller", "NodeNotReady", true},
		{"Node", "kubelet", "NodeReady", true},
		{"Node", "kubelet", "Starting", false},
		{"Pod", "kubelet", "Pulled", false},
	} {
		if got := Tells(event(test.kind, "a", test.component, test.reason, "", now)); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
