package why

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// warning is an event on the Service shop/front.
func warning(reason string, with func(*corev1.Event)) *corev1.Event {
	e := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "shop", Name: strings.ToLower(reason)},
		InvolvedObject: corev1.ObjectReference{Kind: "Service", Namespace: "shop", Name: "front"},
		Type:           corev1.EventTypeWarning, Reason: reason, Message: "m",
	}
	with(e)
	return e
}

func TestWarningsHaveTheirTimeHoweverItIsRecorded(t *testing.T) {
	s := example(t)
	at := s.Time.UTC().Truncate(time.Second)
	s.Events = append(s.Events,
		warning("Old", func(e *corev1.Event) { e.LastTimestamp = metav1.NewTime(at.Add(-time.Hour)) }),
		warning("Single", func(e *corev1.Event) { e.EventTime = metav1.NewMicroTime(at.Add(-time.Minute)) }),
		warning("Repeated", func(e *corev1.Event) { e.Series = &corev1.EventSeries{LastObservedTime: metav1.NewMicroTime(at)} }),
		warning("OfAnEarlierOne", func(e *corev1.Event) { e.InvolvedObject.UID, e.LastTimestamp = "gone", metav1.NewTime(at) }),
		warning("Elsewhere", func(e *corev1.Event) { e.InvolvedObject.Namespace, e.LastTimestamp = "other", metav1.NewTime(at) }),
	)
	var got []string
	state := s.Snapshot.State()
	for _, l := range warningsLinks(state, state.Service(types.NamespacedName{Namespace: "shop", Name: "front"})) {
		for _, i := range l.Items {
			got = append(got, i.Name+" "+i.Sentence)
		}
	}
	stamp := func(d time.Duration) string { return " m (" + at.Add(d).Format(time.RFC3339) + ")" }
	want := []string{"Repeated" + stamp(0), "Single" + stamp(-time.Minute), "Old" + stamp(-time.Hour)}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
