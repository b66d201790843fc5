package guard

import (
	"context"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// stackInterval is how often the stack of panics at one place of the program is logged.
const stackInterval = time.Minute

// Reporter tells of panics in the log and by a metric. It is safe for concurrent use.
type Reporter struct {
	logger klog.Logger
	count  func(component string)

	mu sync.Mutex
	// logged has when a panic at a place of the program was logged last. There are only so many
	// places.
	logged map[string]time.Time
}

// NewReporter returns a Reporter that calls count for each panic; nil counts nothing.
func NewReporter(logger klog.Logger, count func(component string)) *Reporter {
	if count == nil {
		count = func(string) {}
	}
	return &Reporter{logger: logger, count: count, logged: map[string]time.Time{}}
}

// Report tells of a panic in a component on an object, which is "" if it is not known on which. It is
// logged with its stack, and at one place of the program once a minute.
func (r *Reporter) Report(component, object string, p *Panic) {
	r.count(component)
	now := time.Now()
	r.mu.Lock()
	last, known := r.logged[p.site]
	due := !known || now.Sub(last) >= stackInterval
	if due {
		r.logged[p.site] = now
	}
	r.mu.Unlock()
	if due {
		r.logger.Error(p, "A fault of Clarion's: what was in force for this object stays so, and all else goes on. Please report it",
			"component", component, "object", object, "stack", p.Stack)
	}
}

// Run calls a function as Do does, and reports what it panics with.
func (r *Reporter) Run(component, object string, f func()) *Panic {
	p := Do(component, object, f)
	if p != nil {
		r.Report(component, object, p)
	}
	return p
}

type contextKey struct{}

// NewContext returns a context that has a Reporter.
func NewContext(ctx context.Context, r *Reporter) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// FromContext returns the Reporter of a context. Without one, it is one that logs as the context
// does, and counts nothing.
func FromContext(ctx context.Context) *Reporter {
	if r, has := ctx.Value(contextKey{}).(*Reporter); has {
		return r
	}
	return NewReporter(klog.FromContext(ctx), nil)
}
