package liveness

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/internal/notify"
)

const (
	// pauseTick is the time between two signs of life that a process gives to itself.
	pauseTick = 20 * time.Millisecond
	// maxPause is how long it may have given none and still trust what it knows. Others take its addresses over when they have not
	// heard of it for 150 ms, and it may have sent its last heartbeat 50 ms before it paused.
	maxPause = 100 * time.Millisecond
)

// PauseWatch notices that this process has not run for so long that others may have taken it for dead: the virtual machine was
// suspended or moved, the processor was busy elsewhere. When the process goes on, nothing of what it knows may be true any more,
// and it must not act upon it before it has asked.
type PauseWatch struct {
	// clock is the time since some moment, time in which the machine was suspended included.
	clock   func() time.Duration
	changed notify.Signal
	// urgent has a thread of its own give the signs of life, which goes before others: on a busy node the process is late, and the
	// kernel answers for it. That is no pause.
	urgent bool
	// last is the time of the last sign of life, 0 before the first; paused is set from the start or a pause until Resume.
	last   atomic.Int64
	paused atomic.Bool
}

// NewPauseWatch returns a PauseWatch that begins as after a pause.
func NewPauseWatch() *PauseWatch {
	w := NewPauseWatchOn(sinceBoot)
	w.urgent = true
	return w
}

// NewPauseWatchOn is NewPauseWatch with another clock.
func NewPauseWatchOn(clock func() time.Duration) *PauseWatch {
	w := &PauseWatch{clock: clock, changed: notify.New()}
	w.paused.Store(true)
	return w
}

// sinceBoot is CLOCK_BOOTTIME, which goes on while the machine is suspended: CLOCK_MONOTONIC, which Go uses, does not.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // every Linux since 2.6.39 has it
	}
	return time.Duration(t.Nano())
}

// Run watches until the context ends, and then returns nil.
func (w *PauseWatch) Run(ctx context.Context) error {
	defer w.last.Store(0)
	if w.urgent {
		ended := make(chan struct{})
		go func() { // the priority of its thread ends with it
			defer close(ended)
			w.runUrgently(ctx)
		}()
		<-ended
		return nil
	}
	ticker := time.NewTicker(pauseTick)
	defer ticker.Stop()
	for {
		w.tick()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// runUrgently waits in the kernel and not in Go's scheduler.
func (w *PauseWatch) runUrgently(ctx context.Context) {
	runtime.LockOSThread()
	unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20)
	for ctx.Err() == nil {
		w.tick()
		wait := unix.NsecToTimespec(pauseTick.Nanoseconds())
		unix.Nanosleep(&wait, nil)
	}
}

func (w *PauseWatch) tick() {
	now := w.clock() // read once: a pause after it must not be taken for none
	w.check(now)
	w.last.Store(int64(now))
}

// Fit says whether the process may act upon what it knows: it has not paused since the last Resume. Any goroutine may ask, before
// each thing that it does for others to see; the first one that runs after a pause notices it.
func (w *PauseWatch) Fit() bool {
	w.check(w.clock())
	return !w.paused.Load()
}

func (w *PauseWatch) check(now time.Duration) {
	if last := w.last.Load(); last != 0 && now-time.Duration(last) > maxPause && w.paused.CompareAndSwap(false, true) {
		w.changed.Notify()
	}
}

// Changed receives when there has been a pause.
func (w *PauseWatch) Changed() <-chan struct{} { return w.changed }

// Resume says that what happened during the pause is known now.
func (w *PauseWatch) Resume() {
	w.last.Store(int64(w.clock()))
	w.paused.Store(false)
}
