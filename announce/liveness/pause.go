package liveness

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/internal/notify"
)

const (
	// pauseTick is the time between two signs of life that a process gives to itself.
	pauseTick = 50 * time.Millisecond
	// maxPause is how long it may have given none and still trust what it knows. Others may have its addresses 150 ms after a machine
	// stopped. After so short a pause it learns that from what they have told it meanwhile, which waits for it and is repeated: busy
	// processors make pauses of that length, too, in which the kernel answered for the node and nobody took anything over.
	maxPause = 250 * time.Millisecond
)

// PauseWatch notices that this process has not run for so long that others may have taken it for dead: the virtual machine was
// suspended or moved, the processor was busy elsewhere. When the process goes on, nothing of what it knows may be true any more,
// and it must not act upon it before it has asked.
type PauseWatch struct {
	// clock is the time since some moment, time in which the machine was suspended included.
	clock   func() time.Duration
	changed notify.Signal
	// last is the time of the last sign of life, 0 before the first; paused is set from the start or a pause until Resume.
	last   atomic.Int64
	paused atomic.Bool
}

// NewPauseWatch returns a PauseWatch that begins as after a pause.
func NewPauseWatch() *PauseWatch { return NewPauseWatchOn(sinceBoot) }

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
	ticker := time.NewTicker(pauseTick)
	defer ticker.Stop()
	defer w.last.Store(0)
	for {
		now := w.clock() // read once: a pause after it must not be taken for none
		w.check(now)
		w.last.Store(int64(now))
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
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
