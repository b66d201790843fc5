package announced

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/provider/internal/status"
)

const (
	// patience is how long an address must have been without announcement before the Service says
	// so. A new one, or one that moves, has it back sooner, and costs one write instead of two.
	patience = time.Second
	// calm is how long it waits that an address is announced by BGP from fewer nodes than the
	// Service says, or that what keeps it from being announced has other words: a node that goes and
	// comes back, for an upgrade say, would otherwise have every Service written to twice.
	calm = 10 * time.Second
	// writers is how many Services are written to at once.
	writers = 5
)

// conditionWriter writes the Announced conditions of Services where they differ from what is
// wanted, with as few writes as that takes.
type conditionWriter struct {
	client   typedcorev1.ServicesGetter
	services corelisters.ServiceLister
	queue    workqueue.TypedRateLimitingInterface[types.NamespacedName]
	// events is told what Services say.
	events *eventWriter

	mu sync.Mutex
	// wanted is what Services are to say. Those that are to say nothing are in it until that is so.
	wanted map[types.NamespacedName]wantedStatements
	// told is what Services say by what was written last, as far as this process knows.
	told map[types.NamespacedName]toldStatements
}

// wantedStatements are what a Service is to say since when; none if it is to have no condition.
type wantedStatements struct {
	statements []statement
	since      time.Time
}

// toldStatements are what the Service with this UID was told.
type toldStatements struct {
	uid        types.UID
	statements []statement
}

func newConditionWriter(client typedcorev1.ServicesGetter, services corelisters.ServiceLister, events *eventWriter) *conditionWriter {
	return &conditionWriter{
		client:   client,
		services: services,
		events:   events,
		queue:    workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[types.NamespacedName]()),
		wanted:   map[types.NamespacedName]wantedStatements{},
		told:     map[types.NamespacedName]toldStatements{},
	}
}

// want takes what Services are to say as of now, and queues them.
func (w *conditionWriter) want(statements map[types.NamespacedName][]statement, now time.Time) {
	w.mu.Lock()
	for name, s := range statements {
		if is, known := w.wanted[name]; !known || !slices.Equal(is.statements, s) {
			w.wanted[name] = wantedStatements{s, now}
		}
	}
	w.mu.Unlock()
	for name := range statements {
		w.queue.Add(name)
	}
}

// start begins to write, until the queue is shut down. What it returns waits until nothing is
// written any more.
func (w *conditionWriter) start(ctx context.Context) (wait func()) {
	var running sync.WaitGroup
	running.Go(func() { w.events.run(ctx) })
	for range writers {
		running.Go(func() {
			for w.writeNext(ctx) {
			}
		})
	}
	return running.Wait
}

// writeNext writes the condition of the next Service that is due; false when there will be none any
// more.
func (w *conditionWriter) writeNext(ctx context.Context) bool {
	name, end := w.queue.Get()
	if end {
		return false
	}
	defer w.queue.Done(name)
	var wait time.Duration
	err := guard.Try("announced", name.String(), func() (err error) {
		wait, err = w.write(ctx, name, time.Now())
		return err
	})
	if err != nil {
		klog.FromContext(ctx).Error(err, "Cannot write the Announced condition of a Service", "service", name)
		w.queue.AddRateLimited(name)
		return true
	}
	w.queue.Forget(name)
	if wait > 0 {
		w.queue.AddAfter(name, wait)
	}
	return true
}

// write has a Service say what it is to say. If it is too early for that, it returns how long to wait.
func (w *conditionWriter) write(ctx context.Context, name types.NamespacedName, now time.Time) (wait time.Duration, err error) {
	wanted, told := w.take(name)
	service, err := w.services.Services(name.Namespace).Get(name.Name)
	if err != nil || service.DeletionTimestamp != nil { // gone or going
		w.remember(name, toldStatements{})
		w.events.forget(name)
		return 0, nil
	}
	if told.uid != service.UID {
		told = toldStatements{}
	}
	has := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAnnounced)
	if len(wanted.statements) == 0 {
		w.events.forget(name)
		if has == nil {
			return 0, nil
		}
		return 0, w.patch(ctx, service, map[string]any{"$patch": "delete", "type": v1alpha1.ConditionAnnounced}, func(*corev1.Service) bool { return true })
	}
	condition := announcedCondition(wanted.statements)
	if has != nil && has.Status == condition.Status && has.Reason == condition.Reason && has.Message == condition.Message {
		w.remember(name, toldStatements{service.UID, wanted.statements})
		w.events.observe(service, has, condition, wanted.statements, now)
		return 0, nil
	}
	if wait := wanted.since.Add(patienceWith(has, told.statements, condition, wanted.statements)).Sub(now); wait > 0 {
		return wait, nil
	}
	conditions := []metav1.Condition{}
	if has != nil {
		conditions = append(conditions, *has)
	}
	meta.SetStatusCondition(&conditions, condition) // it knows the transition time
	if err := w.patch(ctx, service, conditions[0], scope.Marked); errors.Is(err, status.ErrGivenAway) {
		return patience, nil // it is to say something else, or something again, when the informer has that
	} else if err != nil {
		return 0, err
	}
	w.remember(name, toldStatements{service.UID, wanted.statements})
	w.events.observe(service, has, condition, wanted.statements, now)
	return 0, nil
}

// take returns what a Service is to say and what it was told. What is not to say anything is forgotten.
func (w *conditionWriter) take(name types.NamespacedName) (wantedStatements, toldStatements) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted, told := w.wanted[name], w.told[name]
	if len(wanted.statements) == 0 {
		delete(w.wanted, name)
		delete(w.told, name)
	}
	return wanted, told
}

// remember notes what a Service was told; nothing if it is gone.
func (w *conditionWriter) remember(name types.NamespacedName, told toldStatements) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if told.statements == nil {
		delete(w.told, name)
	} else {
		w.told[name] = told
	}
}

// patch writes a change of the list of conditions, to this Service and to no later one of the same
// name, if it stands for the Service as it is by then.
func (w *conditionWriter) patch(ctx context.Context, service *corev1.Service, change any, stands func(*corev1.Service) bool) error {
	patch := status.ServicePatch{Status: map[string]any{"conditions": []any{change}}}
	_, err := status.PatchService(ctx, w.client.Services(service.Namespace), service, patch, stands)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// patienceWith is how long a Service may go on saying what it has in the place of what is wanted.
// told are the statements that make up what it has, none if this process has not written it: then
// what it says can differ in the counts of BGP alone, and may as well do so until those have
// settled.
func patienceWith(has *metav1.Condition, told []statement, condition metav1.Condition, wanted []statement) time.Duration {
	switch {
	case condition.Status != metav1.ConditionTrue && has != nil && (has.Reason == condition.Reason || condition.Reason == v1alpha1.ReasonPending):
		return calm // it says what is so, in other words, or what is so will soon be over
	case condition.Status != metav1.ConditionTrue:
		return patience
	case has == nil:
		return 0
	case told != nil:
		return recountPatience(told, wanted)
	case has.Status == condition.Status && has.Reason == condition.Reason && slices.ContainsFunc(wanted, statement.byBGP):
		return calm
	}
	return 0
}

// recountPatience is how long statements may be late that differ only in from how many nodes and to
// how many peers addresses are announced by BGP; 0 if they differ in more, or not at all.
func recountPatience(from, to []statement) time.Duration {
	if len(from) != len(to) || slices.Equal(from, to) {
		return 0
	}
	gained := 0
	for i := range to {
		a, b := from[i], to[i]
		if a.byBGP() != b.byBGP() {
			return 0
		}
		gained += b.bgp.nodes + b.bgp.peers - a.bgp.nodes - a.bgp.peers
		a.bgp, b.bgp, a.names, b.names = reach{}, reach{}, "", ""
		if a != b {
			return 0
		}
	}
	if gained > 0 {
		return patience
	}
	return calm
}
