// Package lastgood has the rule for objects of our API that cannot be used as they are written: an
// edit with a mistake takes nothing from anybody. Until the mistake is mended, the last good version
// of the spec stays in force. The cloud-controller-manager and the announcers go by the same rule.
//
// The cloud-controller-manager records the last good version in status.appliedSpec, so that it
// outlives every process.
package lastgood

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
)

// Sentence says on an object that the rule applies.
const Sentence = "the last good version stays in force (status.appliedSpec)"

// Object is an object as far as the rule goes. S is the type of its spec.
type Object[S any] struct {
	// Spec is the spec as it is written.
	Spec *S
	// Applied is status.appliedSpec, the spec when the cloud-controller-manager last found it valid;
	// nil if it never did.
	Applied *S
	// Remembered is the spec that was in force in this process before, of the same object by its UID;
	// nil if there was none.
	Remembered *S
	// Judged says that the cloud-controller-manager has judged the spec as it is written. Applied is
	// then newer than Remembered.
	Judged bool
}

// Judged says whether the Ready condition among conditions is about this generation of an object.
func Judged(conditions []metav1.Condition, generation int64) bool {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.ObservedGeneration == generation
}

// Choice is the spec that is in force.
type Choice[S, V any] struct {
	// Spec is in force; nil if no version is known that could be read. It is to be remembered.
	Spec *S
	// Value is what read makes of Spec; if that is nil, what it makes of the spec as it is written.
	Value V
	// Wrong is what is wrong with the spec as it is written; nil if nothing is.
	Wrong error
}

// Choose returns the spec that is in force: the one that is written if it can be read, or else the
// newest known one that can be. read returns an error for a spec that cannot be used, and may return
// a value all the same. A spec on which it panics cannot be used either: the error is a *guard.Panic
// then, and the value the zero one.
func Choose[S, V any](object Object[S], read func(*S) (V, error)) Choice[S, V] {
	read = guarded(read)
	value, wrong := read(object.Spec)
	if wrong == nil {
		return Choice[S, V]{Spec: object.Spec, Value: value}
	}
	known := []*S{object.Remembered, object.Applied}
	if object.Judged {
		known = []*S{object.Applied, object.Remembered}
	}
	for _, spec := range known {
		if spec == nil {
			continue
		}
		if value, err := read(spec); err == nil {
			return Choice[S, V]{spec, value, wrong}
		}
	}
	return Choice[S, V]{Value: value, Wrong: wrong}
}

// guarded has read return a panic as an error.
func guarded[S, V any](read func(*S) (V, error)) func(*S) (V, error) {
	return func(spec *S) (V, error) {
		var value, none V
		var err error
		if p := guard.Do("spec", spec, func() { value, err = read(spec) }); p != nil {
			return none, p
		}
		return value, err
	}
}
