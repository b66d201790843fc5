package plan

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/lastgood"
)

// objects are those of one kind and, of each, the version of its spec that is in force: an edit with
// a mistake changes nothing (package lastgood). O is the type of the objects, S of their specs, and V
// of what plans need of them.
type objects[O, S, V any] struct {
	kind  string
	parts func(*O) parts[S]
	// known are the objects by name, and inForce what counts of them: nothing of one of which no
	// version is known that can be used at all.
	known   map[string]*known[O, S, V]
	inForce map[string]*V
	// failed are those that could not be read, for a fault of the program, since this was asked last.
	failed []Failure
}

// known is an object as it is written, and what was found out about it.
type known[O, S, V any] struct {
	object *O
	uid    types.UID
	choice lastgood.Choice[S, *V]
}

func newObjects[V, O, S any](kind string, of func(*O) parts[S]) objects[O, S, V] {
	return objects[O, S, V]{kind: kind, parts: of, known: map[string]*known[O, S, V]{}, inForce: map[string]*V{}}
}

// set takes an object as it is now; nil if it is gone. It is settled later what that means.
func (k *objects[O, S, V]) set(name string, object *O) {
	if object == nil {
		delete(k.known, name)
		return
	}
	uid, before := k.parts(object).meta.UID, k.known[name]
	if before == nil || before.uid != uid {
		before = &known[O, S, V]{uid: uid}
		k.known[name] = before
	}
	before.object = object
}

// settle finds out which versions are in force, and reports whether they are others than before.
//
// read makes of an object what plans need of it: it returns an error for one that cannot be used as
// it is written, and nil for one of which nothing can be. missing says which objects are named that
// do not exist. Only what is written is asked: of a version that was good once, those count that do.
// lasting is a spec in a form that does not depend on other objects. Both may be nil.
func (k *objects[O, S, V]) settle(read func(*O) (*V, error), missing func(*O) error, lasting func(*S) *S) (changed bool) {
	inForce := make(map[string]*V, len(k.known))
	for name, o := range k.known {
		o.choice = k.choose(o, read, missing)
		if p := (*guard.Panic)(nil); errors.As(o.choice.Wrong, &p) {
			k.failed = append(k.failed, Failure{Object: k.kind + " " + name, Panic: p})
		}
		if o.choice.Wrong == nil && lasting != nil {
			o.choice.Spec = lasting(o.choice.Spec)
		}
		value := o.choice.Value
		if value == nil {
			continue
		}
		if before := k.inForce[name]; before != nil && reflect.DeepEqual(before, value) {
			value = before
		}
		inForce[name] = value
		changed = changed || value != k.inForce[name]
	}
	changed = changed || len(inForce) != len(k.inForce)
	k.inForce = inForce
	return changed
}

// choose finds out which version of an object is in force.
func (k *objects[O, S, V]) choose(o *known[O, S, V], read func(*O) (*V, error), missing func(*O) error) lastgood.Choice[S, *V] {
	is := k.parts(o.object)
	versions := lastgood.Object[S]{
		Spec: is.spec, Applied: is.applied, Remembered: o.choice.Spec, Judged: lastgood.Judged(is.conditions, is.meta.Generation),
	}
	return lastgood.Choose(versions, func(spec *S) (*V, error) {
		if spec != is.spec {
			older := *o.object
			*k.parts(&older).spec = *spec
			return read(&older)
		}
		value, err := read(o.object)
		if missing != nil {
			err = also(err, missing(o.object))
		}
		return value, err
	})
}

// State is how it stands with an object that may be wrong. S is the type of its spec.
type State[S any] struct {
	// LastGood is the spec as it was when it was last valid, which is in force; nil if it never was.
	LastGood *S
	// Problem is what is wrong with it as it is written; nil if nothing is.
	Problem error
	// Used says whether anything of it is in use.
	Used bool
}

// state of an object as of the last time that this was settled.
func (k *objects[O, S, V]) state(name string) State[S] {
	o := k.known[name]
	if o == nil {
		return State[S]{}
	}
	return State[S]{LastGood: o.choice.Spec, Problem: o.choice.Wrong, Used: k.inForce[name] != nil}
}

// has says whether there is an object of that name, whatever is wrong with it.
func (k *objects[O, S, V]) has(name string) bool { return k.known[name] != nil }

// Reason is the reason of the Ready condition for a problem with an object; v1alpha1.ReasonValid if
// there is none.
func (s State[S]) Reason() string {
	var failed *guard.Panic
	switch unknown := (*unknownNames)(nil); {
	case s.Problem == nil:
		return v1alpha1.ReasonValid
	case errors.As(s.Problem, &failed):
		return v1alpha1.ReasonInternalError
	case errors.Is(s.Problem, errEcho):
		return v1alpha1.ReasonUnsupported
	case errors.As(s.Problem, &unknown):
		return v1alpha1.ReasonUnknownName
	}
	return v1alpha1.ReasonInvalid
}

// unknownNames says that names are used for which there is nothing.
type unknownNames struct{ problems []string }

func (e *unknownNames) Error() string { return strings.Join(e.problems, "; ") }

// missingOf says which of some names are not known; nil if all are.
func missingOf(problem func(name string) string, names []string, known func(name string) bool) error {
	var problems []string
	for _, name := range names {
		if !known(name) {
			problems = append(problems, problem(name))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &unknownNames{problems}
}

// also joins two problems with an object. The first decides about the reason; only names that do not exist leave that to what is wrong
// whatever there is.
func also(first, second error) error {
	if first == nil || second == nil {
		return cmp.Or(first, second)
	}
	if errors.As(first, new(*unknownNames)) {
		return fmt.Errorf("%v; %w", first, second)
	}
	return fmt.Errorf("%w; %v", first, second)
}
