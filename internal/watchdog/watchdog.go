// Package watchdog tells when a loop is stuck, so that a liveness probe can have the process started anew.
package watchdog

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Limit is how long a turn of a loop may take: far longer than any does on a machine that is only busy.
const Limit = 30 * time.Second

// Loop is watched. Its zero value rests. Stuck may be called by any goroutine.
type Loop struct {
	since atomic.Pointer[time.Time]
}

// Work says that a turn begins: something has happened, and is worked on.
func (l *Loop) Work() {
	now := time.Now()
	l.since.Store(&now)
}

// Rest says that the turn has ended, and that the loop waits for something to happen.
func (l *Loop) Rest() { l.since.Store(nil) }

// Stuck returns an error if the present turn has taken longer than Limit.
func (l *Loop) Stuck() error {
	if since := l.since.Load(); since != nil && time.Since(*since) > Limit {
		return fmt.Errorf("it has been busy with one thing for %s", time.Since(*since).Round(time.Second))
	}
	return nil
}
