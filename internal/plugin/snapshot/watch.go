package snapshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/informer"
	"github.com/clarionlb/clarion/internal/notify"
)

// Live has all objects as they are now, by watch.
type Live struct {
	changed notify.Signal
	stores  []store
	unread  []Unread
	running sync.WaitGroup

	mu sync.Mutex
	// failing has what is wrong with the watch of a kind, for as long as it is.
	failing map[string]error
}

// store has the objects of one source.
type store struct {
	kind     string
	informer cache.SharedIndexInformer
}

// Watch follows all objects until the context ends, with the caller's rights. It returns when all are
// there. As with Read, a kind that the caller may not read, or that the cluster does not have, is in
// Unread; it fails if the API server does not answer.
func Watch(ctx context.Context, kube kubernetes.Interface, clarion versioned.Interface) (*Live, error) {
	l := &Live{changed: notify.New(), failing: map[string]error{}}
	sources := sources(kube, clarion)
	for _, kind := range (&Snapshot{}).lists() {
		for _, source := range sources[kind.kind] {
			one := source.options
			one.Limit = 1
			switch _, err := source.list(ctx, one); {
			case apierrors.IsForbidden(err) || apierrors.IsNotFound(err):
				l.unread = append(l.unread, Unread{kind.kind, err.Error()})
			case err != nil:
				return nil, fmt.Errorf("read %s: %w", kind.kind, err)
			default:
				l.stores = append(l.stores, store{kind.kind, l.follow(kind, source, kube)})
			}
		}
	}
	for _, s := range l.stores {
		l.running.Go(func() { s.informer.RunWithContext(ctx) })
	}
	for _, s := range l.stores {
		if !cache.WaitForCacheSync(ctx.Done(), s.informer.HasSynced) {
			return nil, errors.Join(fmt.Errorf("read %s: %w", s.kind, context.Cause(ctx)), l.Stale())
		}
	}
	return l, nil
}

// follow makes the informer of a source. What it fails at is told by Stale, until it succeeds again.
func (l *Live) follow(kind list, source source, client any) cache.SharedIndexInformer {
	lister := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector, o.FieldSelector = source.options.LabelSelector, source.options.FieldSelector
			page, err := source.list(ctx, o)
			l.note(kind.kind, err)
			return page, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector, o.FieldSelector = source.options.LabelSelector, source.options.FieldSelector
			stream, err := source.watch(ctx, o)
			l.note(kind.kind, err)
			return stream, err
		},
	}
	i := cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(lister, client), kind.empty, 0, nil)
	informer.SetTransform(i, slim)
	// The default writes to the terminal. The list that follows finds out whether the error lasts.
	_ = i.SetWatchErrorHandlerWithContext(func(context.Context, *cache.Reflector, error) {}) // fails after the start alone
	informer.Handle(i, informer.Funcs[runtime.Object]{
		Add:    l.noteChange,
		Update: func(_, after runtime.Object) { l.noteChange(after) },
		Delete: l.noteChange,
	})
	return i
}

// slim leaves out what nothing reads: who manages which field, and of events about something else all
// but their name.
func slim(object any) (any, error) {
	if e, is := object.(*corev1.Event); is && !concerns(e) {
		slim := &corev1.Event{InvolvedObject: corev1.ObjectReference{Kind: e.InvolvedObject.Kind}}
		slim.Namespace, slim.Name, slim.UID, slim.ResourceVersion = e.Namespace, e.Name, e.UID, e.ResourceVersion
		return slim, nil
	}
	if m, err := meta.Accessor(object); err == nil {
		m.SetManagedFields(nil)
	}
	return object, nil
}

func (l *Live) noteChange(object runtime.Object) {
	e, isEvent := object.(*corev1.Event)
	lease, isLease := object.(*coordinationv1.Lease)
	renewed := isLease && lease.Namespace == ControllerNamespace // all the time
	if !renewed && (!isEvent || concerns(e)) {
		l.changed.Notify()
	}
}

// note remembers what is wrong with a kind; nil if nothing is any more.
func (l *Live) note(kind string, err error) {
	l.mu.Lock()
	_, failed := l.failing[kind]
	if err == nil {
		delete(l.failing, kind)
	} else {
		l.failing[kind] = err
	}
	l.mu.Unlock()
	if failed != (err != nil) {
		l.changed.Notify()
	}
}

// Changed receives when Snapshot or Stale may say something else than before.
func (l *Live) Changed() <-chan struct{} { return l.changed }

// Stale is what keeps the objects from being up to date; nil if nothing does.
func (l *Live) Stale() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, kind := range slices.Sorted(maps.Keys(l.failing)) {
		return fmt.Errorf("%s cannot be read: %w", kind, l.failing[kind])
	}
	return nil
}

// Snapshot has the objects as they are now. They must not be modified.
func (l *Live) Snapshot() *Snapshot {
	s := &Snapshot{Time: time.Now(), Unread: slices.Clone(l.unread)}
	lists := map[string]list{}
	for _, list := range s.lists() {
		lists[list.kind] = list
	}
	for _, from := range l.stores {
		for _, o := range from.informer.GetStore().List() {
			lists[from.kind].add(o.(runtime.Object))
		}
	}
	s.tidy()
	return s
}

// Wait waits until everything has ended that follows, after the context has.
func (l *Live) Wait() { l.running.Wait() }
