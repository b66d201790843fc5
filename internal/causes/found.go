package causes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Found is what there is to see of a cause.
type Found struct {
	// Objects are all that the API has, with their statuses.
	Objects []runtime.Object
	// Events are those of all objects, in their order.
	Events []*corev1.Event
	// Now is the time.
	Now time.Time
}

func (w *World) found() *Found {
	found := &Found{Objects: w.objects(), Now: time.Now()}
	found.Events = append(w.events.all(), of[*corev1.Event](found.Objects)...)
	slices.SortStableFunc(found.Events, func(a, b *corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
	return found
}

// Shown are the lines that kubectl shows of an object, "service/web": a line for each column of `get
// --output wide`, each condition and each event. Of a Service, `describe` does not print the conditions.
func (f *Found) Shown(name string) (lines []string) {
	o := f.object(name)
	if o == nil {
		return nil
	}
	lines = columns(o)
	for _, c := range conditionsOf(o) {
		if kindOf(o) == "service" {
			break
		}
		lines = append(lines, fmt.Sprintf("condition %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	for _, e := range f.EventsOf(name) {
		lines = append(lines, fmt.Sprintf("event %s %s: %s", e.Type, e.Reason, e.Message))
	}
	return lines
}

// EventsOf are the events of an object, the last one last.
func (f *Found) EventsOf(name string) (events []*corev1.Event) {
	for _, e := range f.Events {
		if lower(e.InvolvedObject.Kind)+"/"+e.InvolvedObject.Name == name {
			events = append(events, e)
		}
	}
	return events
}

// Names are those of all objects of which something is shown.
func (f *Found) Names() (names []string) {
	for _, o := range f.Objects {
		names = append(names, kindOf(o)+"/"+o.(object).GetName())
	}
	return names
}

func (f *Found) object(name string) runtime.Object {
	for _, o := range f.Objects {
		if kindOf(o)+"/"+o.(object).GetName() == name {
			return o
		}
	}
	return nil
}

// conditionsOf are the conditions of Clarion's that an object has.
func conditionsOf(o runtime.Object) []metav1.Condition {
	if service, is := o.(*corev1.Service); is {
		return service.Status.Conditions
	}
	return v1alpha1.ConditionsOf(o)
}

// saidBy tells whether a line of those that Found.Shown has is what is to be shown. A column is that alone.
func (s Shown) saidBy(line string) bool {
	if s.Column {
		return line == "column "+s.Words[0]
	}
	return says(line, s.Words)
}

// says tells whether a line has words in this order.
func says(line string, words []string) bool {
	for _, w := range words {
		_, rest, found := strings.Cut(line, w)
		if !found {
			return false
		}
		line = rest
	}
	return true
}

func lower(s string) string { return strings.ToLower(s) }

func eachListItem(list runtime.Object, do func(runtime.Object)) error {
	return meta.EachListItem(list, func(o runtime.Object) error {
		do(o)
		return nil
	})
}
