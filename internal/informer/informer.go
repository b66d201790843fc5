// Package informer has what every user of client-go's informers needs: handlers for one type of
// objects, and a collector of changes that are brought into a state of one's own in one go.
//
//	informers ──► handlers ──► Changes ──► Apply ──► set(name, object as it is now)
//	                              └──► Changed: a loop wakes up
package informer

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/notify"
)

// Handle adds a handler to an informer. That fails only if the informer was stopped, which would be
// a programming error. What the handler panics with is reported; client-go would end the process.
func Handle(informer cache.SharedIndexInformer, handler cache.ResourceEventHandler) cache.ResourceEventHandlerRegistration {
	registration, err := informer.AddEventHandler(guarded{handler})
	if err != nil {
		panic(fmt.Sprintf("add a handler to an informer: %v", err))
	}
	return registration
}

// SetTransform has an informer store its objects in another form. That fails only if the informer
// was started, which would be a programming error. An object on which the transform panics is stored
// as it is.
func SetTransform(informer cache.SharedIndexInformer, transform cache.TransformFunc) {
	if err := informer.SetTransform(guardedTransform(transform)); err != nil {
		panic(fmt.Sprintf("set the transform of an informer: %v", err))
	}
}

// AddIndex has an informer find its objects by what values says of each. That fails only if the informer was started, which would be a
// programming error.
func AddIndex(informer cache.SharedIndexInformer, name string, values cache.IndexFunc) {
	if err := informer.AddIndexers(cache.Indexers{name: values}); err != nil {
		panic(fmt.Sprintf("add an index to an informer: %v", err))
	}
}

// Funcs is a handler for objects of one type. Functions that are nil are not called. Delete gets
// the last state that is known.
type Funcs[T any] struct {
	Add    func(object T)
	Update func(before, after T)
	Delete func(object T)
}

var _ cache.ResourceEventHandler = Funcs[any]{}

// OnAdd implements cache.ResourceEventHandler.
func (f Funcs[T]) OnAdd(object any, _ bool) {
	if o, ok := object.(T); ok && f.Add != nil {
		f.Add(o)
	}
}

// OnUpdate implements cache.ResourceEventHandler.
func (f Funcs[T]) OnUpdate(before, after any) {
	b, ok := before.(T)
	if a, ok2 := after.(T); ok && ok2 && f.Update != nil {
		f.Update(b, a)
	}
}

// OnDelete implements cache.ResourceEventHandler.
func (f Funcs[T]) OnDelete(object any) {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	if o, ok := object.(T); ok && f.Delete != nil {
		f.Delete(o)
	}
}

// OnAny is a handler that calls a function whatever happens.
func OnAny(changed func()) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(_, _ any) { changed() },
		DeleteFunc: func(any) { changed() },
	}
}

// Changes collects which objects have changed, so that thousands of changes are followed in one go.
type Changes struct {
	changed notify.Signal

	mu      sync.Mutex
	sources int
	// latest has what brings up to date the objects of which the state at the time of Apply counts.
	latest map[change]func()
	// states has what hands on every state, in order, of those of which each counts.
	states []func()
	failed func(object any, name types.NamespacedName, p *guard.Panic)
}

type change struct {
	source int
	name   cache.ObjectName
}

// NewChanges returns Changes that follow no informer.
func NewChanges() *Changes {
	return &Changes{changed: notify.New(), latest: map[change]func(){}}
}

// Changed receives when Apply has something to do.
func (c *Changes) Changed() <-chan struct{} { return c.changed }

// Apply brings everything up to date with what has changed since the last call, in the goroutine of
// the caller.
func (c *Changes) Apply() {
	c.mu.Lock()
	states, latest := c.states, c.latest
	c.states, c.latest = nil, map[change]func(){}
	c.mu.Unlock()
	for _, set := range states {
		set()
	}
	for _, set := range latest {
		set()
	}
}

// OnFailure has a function told of objects with which set of Latest or States panics. The others are
// set all the same. It is to be called before the informers are started.
func (c *Changes) OnFailure(failed func(object any, name types.NamespacedName, p *guard.Panic)) {
	c.failed = failed
}

// guard calls a function for an object.
func (c *Changes) guard(object any, name types.NamespacedName, set func()) {
	p := guard.Run("api", describe(object, name), set)
	if p != nil && c.failed != nil {
		c.failed(object, name, p)
	}
}

// Latest has Apply call set with each object that was added, deleted, or changed in a way that
// concerns, as it is at that time; nil if it is gone. The order is any. If concerns is nil, every
// change does. What it returns tells when Apply has all objects that there were at first.
func Latest[T any](c *Changes, informer cache.SharedIndexInformer, concerns func(before, after *T) bool, set func(name types.NamespacedName, object *T)) cache.InformerSynced {
	c.sources++
	source, store := c.sources, informer.GetStore()
	note := func(object any) {
		name, err := cache.DeletionHandlingObjectToName(object)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.latest[change{source, name}] = func() {
			stored, _, _ := store.GetByKey(name.String())
			object, _ := stored.(*T)
			c.guard(object, name.AsNamespacedName(), func() { set(name.AsNamespacedName(), object) })
		}
		c.mu.Unlock()
		c.changed.Notify()
	}
	return Handle(informer, cache.ResourceEventHandlerFuncs{
		AddFunc: note,
		UpdateFunc: func(before, after any) {
			if concerns == nil || concerns(before.(*T), after.(*T)) {
				note(after)
			}
		},
		DeleteFunc: note,
	}).HasSynced
}

// States has Apply call set with every state that the objects have had since the last call, in the
// order of the watch and before those of Latest; nil for one that is gone.
func States[T any](c *Changes, informer cache.SharedIndexInformer, set func(name types.NamespacedName, object *T)) cache.InformerSynced {
	note := func(object any, state *T) {
		name, err := cache.DeletionHandlingObjectToName(object)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.states = append(c.states, func() {
			c.guard(state, name.AsNamespacedName(), func() { set(name.AsNamespacedName(), state) })
		})
		c.mu.Unlock()
		c.changed.Notify()
	}
	return Handle(informer, cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { note(object, object.(*T)) },
		UpdateFunc: func(_, object any) { note(object, object.(*T)) },
		DeleteFunc: func(object any) { note(object, nil) },
	}).HasSynced
}
