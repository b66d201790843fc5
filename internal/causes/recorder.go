package causes

import (
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"
)

// recorder keeps events, as the API does.
type recorder struct {
	mu     sync.Mutex
	events []*corev1.Event
}

var _ record.EventRecorder = &recorder{}

// Event keeps one.
func (r *recorder) Event(o runtime.Object, kind, reason, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := o.(object)
	e := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: of.GetNamespace(), Name: fmt.Sprintf("%s.%d", of.GetName(), len(r.events))},
		Type:       kind, Reason: reason, Message: message, Count: 1,
		FirstTimestamp: metav1.Now(), LastTimestamp: metav1.Now(), Source: corev1.EventSource{Component: "clarion"},
	}
	e.InvolvedObject.Kind, e.InvolvedObject.Namespace = kindNamed(o), of.GetNamespace()
	e.InvolvedObject.Name, e.InvolvedObject.UID = of.GetName(), of.GetUID()
	r.events = append(r.events, e)
}

// Eventf keeps one.
func (r *recorder) Eventf(o runtime.Object, kind, reason, format string, args ...any) {
	r.Event(o, kind, reason, fmt.Sprintf(format, args...))
}

// AnnotatedEventf keeps one without the annotations.
func (r *recorder) AnnotatedEventf(o runtime.Object, _ map[string]string, kind, reason, format string, args ...any) {
	r.Eventf(o, kind, reason, format, args...)
}

func (r *recorder) all() []*corev1.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}
