package why

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// mostWarnings is how many warnings are shown of a Service.
const mostWarnings = 3

// warningsLinks have the last warnings that a Service was given, with their times: what is over, or what
// only those know who said it. There is no link without any.
func warningsLinks(s *snapshot.State, service *corev1.Service) []Link {
	return lastWarnings(s.EventsOn("Service", snapshot.NameOf(service)), func(e *corev1.Event) bool {
		return e.InvolvedObject.UID == "" || e.InvolvedObject.UID == service.UID
	})
}

// nodeWarningsLinks have the last warnings that Clarion gave a Node.
func nodeWarningsLinks(s *snapshot.State, node string) []Link {
	return lastWarnings(s.EventsOn("Node", types.NamespacedName{Name: node}), func(e *corev1.Event) bool {
		return e.Source.Component == v1alpha1.EventSource
	})
}

func lastWarnings(events []*corev1.Event, concerns func(*corev1.Event) bool) []Link {
	l := Link{Name: "warnings", Mark: Note, Sentence: "the last ones, which may be over"}
	var warnings []*corev1.Event
	for _, e := range events {
		if e.Type == corev1.EventTypeWarning && concerns(e) {
			warnings = append(warnings, e)
		}
	}
	slices.SortStableFunc(warnings, func(a, b *corev1.Event) int { return snapshot.EventTime(b).Compare(snapshot.EventTime(a)) })
	for _, e := range warnings[:min(len(warnings), mostWarnings)] {
		l.Items = append(l.Items, Item{Name: e.Reason, Mark: Note, Sentence: e.Message + " (" + stamp(metav1.NewTime(snapshot.EventTime(e))) + ")"})
	}
	if len(l.Items) == 0 {
		return nil
	}
	return []Link{l}
}
