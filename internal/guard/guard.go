// Package guard keeps a panic to the piece of work in which it happens. A fault of the program that
// one object brings to light is to concern this object alone: every node has the same objects, and
// would end at the same moment.
//
// Whoever does a piece of work for one object, one packet or one session calls Do. If that panics,
// the caller leaves in force what was in force before, and says so where people look. The piece must
// be such that this can be done: what it changes is either replaced as a whole at its end, or put
// back by the caller. Do recovers what panics in its own goroutine alone.
package guard

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
)

// Panic is what a piece of work ended with. As an error, it asks people to report it.
type Panic struct {
	// Value is what it panicked with, as text, and Stack where.
	Value, Stack string
	// site is the function and line that panicked.
	site string
}

// Error is a half sentence about what was worked on.
func (p *Panic) Error() string {
	return fmt.Sprintf("Clarion failed on it, which is a fault of Clarion's: please report this with the log (panic: %s)", p.Value)
}

// Do calls a function, and returns what it panicked with; nil if it did not. kind and object say for
// Plant what is worked on; object is nil if that is no certain one.
func Do(kind string, object any, f func()) (p *Panic) {
	defer func() {
		if value := recover(); value != nil {
			p = &Panic{Value: fmt.Sprint(value), Stack: string(debug.Stack()), site: site()}
		}
	}()
	f()
	if plant := planted.Load(); plant != nil && (*plant)(kind, object) {
		panic("planted by a test")
	}
	return nil
}

// planted is what Plant was given last.
var planted atomic.Pointer[func(kind string, object any) bool]

// Plant is for tests: it has every piece of work panic at its end, when all is changed that it
// changes, for which the function returns true. The function may be called by any goroutine. What
// Plant returns ends it.
func Plant(where func(kind string, object any) bool) (remove func()) {
	planted.Store(&where)
	return func() { planted.Store(nil) }
}

// site finds the place that panicked: the first one below the runtime that is called by a deferred
// function.
func site() string {
	var callers [32]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	for panicked := false; ; {
		frame, more := frames.Next()
		if panicked && !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", frame.Function, frame.Line)
		}
		panicked = panicked || frame.Function == "runtime.gopanic"
		if !more {
			return ""
		}
	}
}
