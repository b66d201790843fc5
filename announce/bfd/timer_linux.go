package bfd

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// newTimer returns a timerfd. It is readable from the time on that setTimer has set.
func newTimer() (fd int, err error) {
	if fd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return 0, fmt.Errorf("prepare to wait for the times of BFD: %w", err)
	}
	return fd, nil
}

// setTimer sets when a timerfd is readable, and not before; zero is never.
func setTimer(fd int, at time.Time) {
	var setting unix.ItimerSpec
	if !at.IsZero() {
		setting.Value = unix.NsecToTimespec(max(1, time.Until(at).Nanoseconds())) // 0 would be never
	}
	armNow(fd, setting)
}

// polledTimer is a timerfd for which Go's poller waits. That is to the microsecond, and wakes one thread; a timer of Go is to the
// millisecond, and wakes several.
type polledTimer struct {
	file *os.File
	fd   int
	done chan struct{}
}

func (u *pollSockets) timer(f func()) (timer, error) {
	fd, err := newTimer()
	if err != nil {
		return nil, err
	}
	t := &polledTimer{file: os.NewFile(uintptr(fd), "timer"), fd: fd, done: make(chan struct{})}
	connection, err := t.file.SyscallConn()
	if err != nil {
		t.file.Close()
		return nil, fmt.Errorf("prepare to wait for the times of BFD: %w", err)
	}
	go func() {
		defer close(t.done)
		// Nothing is read: the next set has it not readable any more.
		connection.Read(func(uintptr) (done bool) {
			f()
			return false
		})
	}()
	return t, nil
}

func (t *polledTimer) set(at time.Time) { setTimer(t.fd, at) }

func (t *polledTimer) close() {
	t.file.Close()
	<-t.done
}
