package kube

import (
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/informer"
)

// setter has a View take an object of type T as it is now; nil if it is gone.
type setter[T any] func(view *plan.View, name types.NamespacedName, object *T)

// source watches the objects of one kind, whose Go type is T, and tells Subscriptions of them.
type source[T any] struct {
	informer cache.SharedIndexInformer
	set      setter[T]
	// specOnly says that of an object only what concerns plans matters, which is not its status.
	specOnly bool
	// shared says that the informer is that of another source, which runs it.
	shared bool
	// ordered says that Views get every state of an object, in the order of the watch, and not only
	// the last one.
	ordered bool

	subscriptions []*Subscription
	// delivered is done when Subscriptions have been told of all objects of the first list.
	delivered cache.DoneChecker
}

// watched is a source of any kind of objects.
type watched interface {
	run(ctx context.Context)
	// subscribe has a Subscription told of the objects. All do before start.
	subscribe(s *Subscription)
	start(transform cache.TransformFunc)
	// follow has Reads know why the objects cannot be read.
	follow(reads *informer.Reads)
	// apply brings a View up to date with one object.
	apply(subscription *Subscription, view *plan.View, name cache.ObjectName)
	synced() <-chan struct{}
}

func (s *source[T]) run(ctx context.Context) {
	if !s.shared {
		s.informer.RunWithContext(ctx)
	}
}

func (s *source[T]) subscribe(subscription *Subscription) {
	s.subscriptions = append(s.subscriptions, subscription)
}

func (s *source[T]) follow(reads *informer.Reads) {
	if s.shared {
		return
	}
	objects := informer.Kind(new(T)) + "s"
	if stem, is := strings.CutSuffix(objects, "ys"); is {
		objects = stem + "ies"
	}
	reads.Of(objects, s.informer)
}

// start takes the handlers into the informer, which has not run yet.
func (s *source[T]) start(transform cache.TransformFunc) {
	informer.SetTransform(s.informer, transform)
	registration := informer.Handle(s.informer, cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { s.note(o, false) },
		UpdateFunc: func(before, o any) {
			if !s.specOnly || plan.Concerns(before.(metav1.Object), o.(metav1.Object)) {
				s.note(o, false)
			}
		},
		DeleteFunc: func(o any) { s.note(o, true) },
	})
	s.delivered = registration.HasSyncedChecker()
}

// note tells the Subscriptions that there is an object, that it has changed or that it is gone.
func (s *source[T]) note(object any, gone bool) {
	name, err := cache.DeletionHandlingObjectToName(object)
	if err != nil {
		return // it is no object, which no informer delivers
	}
	for _, subscription := range s.subscriptions {
		if !s.ordered {
			subscription.note(change{s, name})
			continue
		}
		state, _ := object.(*T)
		if gone {
			state = nil
		}
		subscription.noteState(func(view *plan.View) { s.give(subscription, view, name, state) })
	}
}

func (s *source[T]) apply(subscription *Subscription, view *plan.View, name cache.ObjectName) {
	s.give(subscription, view, name, s.get(name.String()))
}

// give has the View of a Subscription take an object.
func (s *source[T]) give(subscription *Subscription, view *plan.View, name cache.ObjectName, object *T) {
	subscription.take(object, types.NamespacedName(name), func() { s.set(view, types.NamespacedName(name), object) })
}

// get returns the object with a key, as it is in the cache; nil if there is none.
func (s *source[T]) get(key string) *T {
	object, _, _ := s.informer.GetStore().GetByKey(key)
	typed, _ := object.(*T)
	return typed
}

func (s *source[T]) synced() <-chan struct{} { return s.delivered.Done() }
