package liveness

import (
	"context"
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/internal/notify"
)

const (
	// maxPause is how long a process may have given no sign of life and still trust what it knows, but for what comes in while it holds
	// back: busy processors make pauses of that length, too, in which the kernel answered for the node and nobody took anything over.
	maxPause = 250 * time.Millisecond
	// holdFor is how long a process holds back after a pause that may have cost it its addresses: until those who have taken them over
	// have heard it again and told it, which they do at once.
	holdFor = 100 * time.Millisecond
	// lookEvery is the time between two looks whether the process runs, beside the thread that calls Alive, and maxStall how long it may
	// not. Others hear the thread and take nothing over for a minute.
	lookEvery = time.Second
	maxStall  = 5 * time.Second
)

// PauseWatch notices that this process has not run for so long that others may have taken it for dead: the virtual machine was
// suspended or moved, the processor was busy elsewhere. When the process goes on, nothing of what it knows may be true any more,
// and it must not act upon it before it has asked.
type PauseWatch struct {
	// interval is that of the heartbeats, and of the signs of life.
	interval time.Duration
	// clock is the time since some moment, time in which the machine was suspended included.
	clock   func() time.Duration
	changed notify.Signal
	// last is the time of the last sign of life, 0 before the first; heldUntil is until when to hold back.
	last, heldUntil atomic.Int64
	// away is the length of the longest pause since the last Resume, 0 for none.
	away atomic.Int64
	// looked is the time of Run's last look. watched says that Alive gives the signs of life.
	looked  atomic.Int64
	watched atomic.Bool
}

// NewPauseWatch returns a PauseWatch that begins as after a pause. The interval is the time between two heartbeats of this node.
func NewPauseWatch(interval time.Duration) *PauseWatch { return NewPauseWatchOn(interval, sinceBoot) }

// NewPauseWatchOn is NewPauseWatch with another clock.
func NewPauseWatchOn(interval time.Duration, clock func() time.Duration) *PauseWatch {
	w := &PauseWatch{interval: interval, clock: clock, changed: notify.New()}
	w.away.Store(math.MaxInt64)
	return w
}

// sinceBoot is CLOCK_BOOTTIME, which goes on while the machine is suspended: CLOCK_MONOTONIC, which Go uses, does not.
func sinceBoot() time.Duration {
	var t unix.Timespec
	// Raw: it never waits, and Go's scheduler would wake its monitor thread for it.
	if _, _, err := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&t)), 0); err != 0 {
		panic(err) // every Linux since 2.6.39 has it
	}
	return time.Duration(t.Nano())
}

// Run watches until the context ends, and then returns nil. Until the first call of Alive it gives the signs of life itself.
func (w *PauseWatch) Run(ctx context.Context) error {
	defer w.last.Store(0)
	for {
		now, every := w.clock(), lookEvery // read once: a pause after it must not be taken for none
		w.check(now)
		w.looked.Store(int64(now))
		if !w.watched.Load() {
			every = w.interval
			w.last.Store(int64(now))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// Alive is a sign of life. Whoever has called it once must do so at least once in each interval, until Run ends. It is for
// whoever sends the heartbeats: what cannot be sent for a while is just what others miss.
func (w *PauseWatch) Alive() {
	now := w.clock()
	w.check(now)
	w.watched.Store(true)
	w.last.Store(int64(now))
}

// Fit says whether the process may act upon what it knows: it has not paused since the last Resume. Any goroutine may ask, before
// each thing that it does for others to see; the first one that runs after a pause notices it.
func (w *PauseWatch) Fit() bool {
	w.check(w.clock())
	return w.away.Load() == 0
}

// Away returns for how long the process has not run if it is not Fit, and 0 if it is: the longest pause since the last Resume. Before the
// first one that is longer than any pause.
func (w *PauseWatch) Away() time.Duration {
	w.check(w.clock())
	return time.Duration(w.away.Load())
}

// Hold returns for how long the process is to say nothing, and is to keep what others ask; 0 if it may speak. It has not run for so
// short a time that it may still be Fit, and yet others may have its addresses: they miss its third heartbeat soon after two intervals.
func (w *PauseWatch) Hold() time.Duration {
	now := w.clock()
	w.check(now)
	return max(time.Duration(w.heldUntil.Load())-now, 0)
}

func (w *PauseWatch) check(now time.Duration) {
	last := w.last.Load()
	if last == 0 {
		return
	}
	pause := now - time.Duration(last)
	if pause >= 2*w.interval {
		w.heldUntil.Store(int64(now + holdFor))
	}
	stall := now - time.Duration(w.looked.Load())
	var longest int64
	switch {
	case pause > maxPause:
		longest = int64(pause)
	case stall > maxStall:
		longest = int64(stall)
	}
	for away := w.away.Load(); away < longest; away = w.away.Load() {
		if w.away.CompareAndSwap(away, longest) && away == 0 {
			w.changed.Notify()
		}
	}
}

// Changed receives when there has been a pause.
func (w *PauseWatch) Changed() <-chan struct{} { return w.changed }

// Resume says that what happened during the pause is known now.
func (w *PauseWatch) Resume() {
	now := int64(w.clock())
	w.last.Store(now)
	w.looked.Store(now)
	w.heldUntil.Store(0)
	w.away.Store(0)
}
