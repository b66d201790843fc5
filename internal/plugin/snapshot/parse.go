package snapshot

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/claims"
)

// Scheme has all kinds of a Snapshot.
var Scheme = runtime.NewScheme()

func init() {
	utilruntime.Must(scheme.AddToScheme(Scheme))
	utilruntime.Must(v1alpha1.AddToScheme(Scheme))
}

// Parse makes a Snapshot of objects from files or a support bundle. Kinds that a Snapshot does not have
// are left out. Its Time is the latest that an object tells of, so that what has been saved long ago is
// as it was then; now if none tells of any.
func Parse(objects []unstructured.Unstructured) (*Snapshot, error) {
	typed := make([]runtime.Object, 0, len(objects))
	for i := range objects {
		u := &objects[i]
		if !Scheme.Recognizes(u.GroupVersionKind()) {
			continue
		}
		o, err := Scheme.New(u.GroupVersionKind())
		if err != nil {
			return nil, err
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, o); err != nil {
			return nil, fmt.Errorf("read %s %s: %w", u.GetKind(), u.GetName(), err)
		}
		typed = append(typed, o)
	}
	return Of(typed...), nil
}

// Of makes a Snapshot of objects, as Parse does. It keeps them.
func Of(objects ...runtime.Object) *Snapshot {
	s := &Snapshot{}
	lists := s.lists()
	for _, o := range objects {
		for _, l := range lists {
			if l.add(o) {
				break
			}
		}
	}
	s.tidy()
	if s.Time = s.latest(); s.Time.IsZero() {
		s.Time = time.Now()
	}
	return s
}

// latest is the latest time that an object tells of; zero if none tells of any.
func (s *Snapshot) latest() (latest time.Time) {
	see := func(t time.Time) {
		if t.After(latest) {
			latest = t
		}
	}
	seeAll := func(conditions []metav1.Condition) {
		for _, c := range conditions {
			see(c.LastTransitionTime.Time)
		}
	}
	for _, l := range s.Leases {
		if l.Spec.RenewTime != nil {
			see(l.Spec.RenewTime.Time)
		}
	}
	for _, e := range s.Events {
		see(EventTime(e))
	}
	for _, service := range s.Services {
		seeAll(service.Status.Conditions)
	}
	for _, a := range s.Announcers {
		seeAll(a.Status.Conditions)
		for _, claim := range claims.Of(a, s.ClaimSlices) {
			see(claim.Since.Time)
		}
	}
	return latest
}

// EventTime is when an event happened last.
func EventTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}
