// Package fakeapi is an API server for tests: the fake clients of client-go and ours, with what
// they leave out of what controllers depend on. Every write gives an object another resource
// version, a write that is based on an older one is refused, and so is a patch for an object with
// another UID.
package fakeapi

import (
	"strconv"
	"sync"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	clarionfake "github.com/clarionlb/clarion/client/versioned/fake"
)

// Kube returns a client of an API that has these objects.
func Kube(objects ...runtime.Object) *fake.Clientset {
	client := fake.NewClientset()
	serve(&client.Fake, client.Tracker(), objects)
	return client
}

// Clarion returns a client of an API that has these objects of api/v1alpha1.
func Clarion(objects ...runtime.Object) *clarionfake.Clientset {
	client := clarionfake.NewSimpleClientset()
	serve(&client.Fake, client.Tracker(), objects)
	return client
}

func serve(client *clienttesting.Fake, tracker clienttesting.ObjectTracker, objects []runtime.Object) {
	versions := &versionedTracker{ObjectTracker: tracker}
	client.PrependReactor("*", "*", clienttesting.ObjectReaction(versions))
	for _, object := range objects {
		if err := tracker.Add(versions.next(object)); err != nil {
			panic(err)
		}
	}
}

// Failure is what calls of a fake API fail with.
type Failure struct {
	mu  sync.Mutex
	err error
}

// Set has them fail with another error, or succeed if it is nil.
func (f *Failure) Set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *Failure) react(clienttesting.Action) (bool, runtime.Object, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err != nil, nil, f.err
}

// Fail has calls return an error, until the Failure that it returns is set to something else. verb and
// resource may be "*". The API may be in use already.
func Fail(client *clienttesting.Fake, verb, resource string, err error) *Failure {
	f := &Failure{err: err}
	// PrependReactor does not lock what calls read.
	client.Lock()
	defer client.Unlock()
	client.PrependReactor(verb, resource, f.react)
	return f
}

// Interrupt has somebody else change an object once, just before a call to it is carried out: that call goes by an older state.
// verb is not "get" or "update". The API may be in use already.
func Interrupt(client *clienttesting.Fake, verb string, resource schema.GroupVersionResource, namespace, name string, change func(runtime.Object)) {
	done := false
	do := func(action clienttesting.Action) runtime.Object {
		for _, reactor := range client.ReactionChain {
			if reactor.Handles(action) {
				if handled, object, err := reactor.React(action); err != nil {
					panic(err)
				} else if handled {
					return object
				}
			}
		}
		panic("nothing handles " + action.GetVerb() + " " + resource.Resource)
	}
	client.Lock()
	defer client.Unlock()
	client.PrependReactor(verb, resource.Resource, func(action clienttesting.Action) (bool, runtime.Object, error) {
		to, ok := action.(interface{ GetName() string })
		if !done && ok && to.GetName() == name && action.GetNamespace() == namespace {
			done = true
			object := do(clienttesting.NewGetAction(resource, namespace, name))
			change(object)
			do(clienttesting.NewUpdateAction(resource, namespace, object))
		}
		return false, nil, nil
	})
}

// Count returns how often something was done to a resource.
func Count(client *clienttesting.Fake, verb, resource string) (n int) {
	for _, action := range client.Actions() {
		if action.Matches(verb, resource) {
			n++
		}
	}
	return n
}

// versionedTracker gives objects resource versions, and compares them.
type versionedTracker struct {
	clienttesting.ObjectTracker
	last atomic.Int64
	// writing makes one of the comparison of a version and the write that depends on it.
	writing sync.Mutex
}

// next returns the object with a new resource version.
func (t *versionedTracker) next(object runtime.Object) runtime.Object {
	object = object.DeepCopyObject()
	accessor, err := meta.Accessor(object)
	if err != nil {
		panic(err)
	}
	accessor.SetResourceVersion(strconv.FormatInt(t.last.Add(1), 10))
	return object
}

func (t *versionedTracker) Create(gvr schema.GroupVersionResource, object runtime.Object, namespace string, options ...metav1.CreateOptions) error {
	return t.ObjectTracker.Create(gvr, t.next(object), namespace, options...)
}

func (t *versionedTracker) Update(gvr schema.GroupVersionResource, object runtime.Object, namespace string, options ...metav1.UpdateOptions) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	if err := t.check(gvr, object, namespace); err != nil {
		return err
	}
	return t.ObjectTracker.Update(gvr, t.next(object), namespace, options...)
}

func (t *versionedTracker) Patch(gvr schema.GroupVersionResource, object runtime.Object, namespace string, options ...metav1.PatchOptions) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	if err := t.check(gvr, object, namespace); err != nil {
		return err
	}
	patched := t.next(object)
	if err := t.ObjectTracker.Patch(gvr, patched, namespace, options...); err != nil {
		return err
	}
	// The object is what the client returns.
	stored, err := meta.Accessor(patched)
	if err != nil {
		return err
	}
	returned, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	returned.SetResourceVersion(stored.GetResourceVersion())
	return nil
}

// check refuses a write to another object than the one that is there, or to another version of it.
func (t *versionedTracker) check(gvr schema.GroupVersionResource, object runtime.Object, namespace string) error {
	written, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	there, err := t.Get(gvr, namespace, written.GetName())
	if err != nil {
		return err
	}
	stored, err := meta.Accessor(there)
	if err != nil {
		return err
	}
	version := written.GetResourceVersion()
	if written.GetUID() != stored.GetUID() || version != "" && version != stored.GetResourceVersion() {
		return apierrors.NewConflict(gvr.GroupResource(), written.GetName(), nil)
	}
	return nil
}
