// Package paced tells Services of trouble by events, at a pace that the API server bears also when
// ten thousand of them are in trouble at once. It knows nothing about what they are told.
package paced

import (
	"context"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"github.com/clarionlb/clarion/internal/guard"
)

const (
	// Reminder is how often there is a Warning again while it lasts. The API keeps events for an hour.
	Reminder = 30 * time.Minute
	// Rate is how many events there are in a second about all Services, and Burst how many before that
	// counts.
	Rate, Burst = 25, 100
)

// Queue has the Services that something may have to be told.
type Queue struct {
	queue   workqueue.TypedDelayingInterface[types.NamespacedName]
	limiter *rate.Limiter
	next    func(name types.NamespacedName, now time.Time) (wait time.Duration, due bool)
	tell    func(name types.NamespacedName, now time.Time)
}

// NewQueue returns an empty Queue. next says whether an event about a Service is due, and if not, in what
// time to look again; zero if something must change first. tell writes the event that is due, which may
// be less than what was due when next was asked.
func NewQueue(next func(types.NamespacedName, time.Time) (time.Duration, bool), tell func(types.NamespacedName, time.Time)) *Queue {
	return &Queue{
		queue:   workqueue.NewTypedDelayingQueue[types.NamespacedName](),
		limiter: rate.NewLimiter(Rate, Burst),
		next:    next,
		tell:    tell,
	}
}

// Add has it looked whether an event about a Service is due.
func (q *Queue) Add(name types.NamespacedName) { q.queue.Add(name) }

// ShutDown ends Run, and is to be called also if there was none.
func (q *Queue) ShutDown() { q.queue.ShutDown() }

// Run tells Services until ShutDown. What panics is reported under the name of a component.
func (q *Queue) Run(ctx context.Context, component string) {
	for {
		name, end := q.queue.Get()
		if end {
			return
		}
		guard.Run(component, name.String(), func() { q.step(ctx, name) })
		q.queue.Done(name)
	}
}

func (q *Queue) step(ctx context.Context, name types.NamespacedName) {
	if wait, due := q.next(name, time.Now()); !due {
		if wait > 0 {
			q.queue.AddAfter(name, wait)
		}
		return
	}
	if q.limiter.Wait(ctx) != nil {
		return // told to stop
	}
	q.tell(name, time.Now())
	q.queue.Add(name) // for what is due next
}
