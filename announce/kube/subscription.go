package kube

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/informer"
	"github.com/clarionlb/clarion/internal/notify"
)

// changeRate is how often in a second a Subscription tells of changes while there are always some, and
// changeBurst how often it does at once before that counts.
const changeRate, changeBurst = 20, 10

// Subscription brings one View up to date. It collects changes, so that thousands of them are
// applied in one go. Each of a few is told at once. While many come, what came within 50 ms is told together: every time costs a
// plan, and more.
type Subscription struct {
	sources []watched
	changed notify.Signal
	limiter *rate.Limiter

	mu sync.Mutex
	// told says that Changed receives, or will, for what is pending.
	told bool
	// pending are the objects that have changed since the last Apply.
	pending map[change]struct{}
	// states are those of objects of which every state counts, in the order of the watch.
	states []func(*plan.View)
	// failed is told of objects that the View could not take.
	failed func(object any, name types.NamespacedName, p *guard.Panic)
}

// change is that an object is there, has changed or is gone.
type change struct {
	source watched
	name   cache.ObjectName
}

func newSubscription() *Subscription {
	return &Subscription{
		changed: notify.New(), limiter: rate.NewLimiter(changeRate, changeBurst),
		pending: map[change]struct{}{}, failed: func(any, types.NamespacedName, *guard.Panic) {},
	}
}

// Wait blocks until Apply has everything that the API had when the Watcher began to run; false if
// the context ends before.
func (s *Subscription) Wait(ctx context.Context) bool {
	for _, source := range s.sources {
		if !await(ctx, source) {
			return false
		}
	}
	return true
}

// Changed receives when Apply has something to do.
func (s *Subscription) Changed() <-chan struct{} { return s.changed }

// Apply brings a View up to date; always the same one. Of an object that the View cannot take for a
// fault of the program, it keeps what it had until the object changes.
func (s *Subscription) Apply(view *plan.View) {
	s.mu.Lock()
	pending, states := s.pending, s.states
	s.pending, s.states, s.told = map[change]struct{}{}, nil, false
	s.mu.Unlock()
	for _, set := range states {
		set(view)
	}
	for c := range pending {
		c.source.apply(s, view, c.name)
	}
}

// take has a View take an object, or says that it could not.
func (s *Subscription) take(object any, name types.NamespacedName, set func()) {
	if p := guard.Do("api", object, set); p != nil {
		guard.Report("api", informer.Kind(object)+" "+name.String(), p)
		s.failed(object, name, p)
	}
}

func (s *Subscription) note(c change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[c] = struct{}{}
	s.tell()
}

func (s *Subscription) noteState(set func(*plan.View)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states = append(s.states, set)
	s.tell()
}

// tell has Changed receive, at once or when that is due, with the lock held.
func (s *Subscription) tell() {
	if s.told {
		return
	}
	s.told = true
	if delay := s.limiter.Reserve().Delay(); delay > 0 {
		time.AfterFunc(delay, s.changed.Notify)
	} else {
		s.changed.Notify()
	}
}
