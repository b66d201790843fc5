package guard

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"
)

// stackInterval is how often the stack of panics at one place of the program is logged.
const stackInterval = time.Minute

// Reporter tells of panics in the log and by a metric. It is safe for concurrent use.
type Reporter struct {
	logger func() klog.Logger
	count  func(component string)

	mu sync.Mutex
	// logged has when a panic at a place of the program was logged last. There are only so many
	// places.
	logged map[string]time.Time
}

// NewReporter returns a Reporter that asks for the logger when there is something to log, and calls
// count for each panic.
func NewReporter(logger func() klog.Logger, count func(component string)) *Reporter {
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
		r.logger().Error(p, "A fault of Clarion's: what was in force for this object stays so, and all else goes on. Please report it",
			"component", component, "object", object, "stack", p.Stack)
	}
}

var reporter atomic.Pointer[Reporter]

func init() { SetReporter(NewReporter(klog.Background, func(string) {})) }

// SetReporter has panics of the process reported by a Reporter. Without it they are logged by
// klog.Background, and not counted.
func SetReporter(r *Reporter) { reporter.Store(r) }

// Report has the Reporter of the process tell of a panic.
func Report(component, object string, p *Panic) { reporter.Load().Report(component, object, p) }

// Run calls a function as Do does, and has the Reporter of the process tell what it panics with.
func Run(component, object string, f func()) *Panic {
	p := Do(component, object, f)
	if p != nil {
		Report(component, object, p)
	}
	return p
}

// Try is Run for a function that returns an error: a panic is one too.
func Try(component, object string, f func() error) (err error) {
	if p := Run(component, object, func() { err = f() }); p != nil {
		return p
	}
	return err
}

// retryPause is how long Retry waits.
const retryPause = 10 * time.Second

// Retry is Run, again and again until the function returns, with a pause after each panic. It returns
// false if the context ends in a pause.
func Retry(ctx context.Context, component, object string, f func()) bool {
	for Run(component, object, f) != nil {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retryPause):
		}
	}
	return true
}
