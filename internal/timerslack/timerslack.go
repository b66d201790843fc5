// Package timerslack lets the kernel delay the timers of a process, which takes less of the processor.
package timerslack

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// slack is by how much the kernel may delay a timer of this process to have it expire with others (PR_SET_TIMERSLACK in prctl(2)). Go's
// monitor thread looks every 20 us after a process that works (sysmon in runtime/proc.go), which with the kernel's 50 us takes as much CPU
// as a third of the work where all of that is short. timerfds have no slack, and so heartbeats and BFD have none.
const slack = 500 * time.Microsecond

// Relax lets the kernel delay the timers of all threads of this process, and is to be called before anything else: it starts the program
// anew in its process, with the same arguments and environment. A thread may set its own slack and has that of the thread which
// started it, and Go's monitor thread is there before the program begins; to set that of another thread takes CAP_SYS_NICE. If it cannot, it
// says so in the log and changes nothing.
func Relax() {
	if err := relax(); err != nil {
		klog.InfoS("Timers are more exact than they need to be, which takes CPU", "cause", err)
	}
}

func relax() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if set, err := relaxed(); set || err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack.Nanoseconds()), 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	if set, err := relaxed(); !set {
		return errors.Join(errors.New("the thread has no timer slack, as with a scheduling policy for real time"), err)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return os.NewSyscallError("execve", syscall.Exec(program, os.Args, os.Environ()))
}

// relaxed says whether the calling thread has the slack.
func relaxed() (bool, error) {
	now, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return time.Duration(now) == slack, os.NewSyscallError("prctl", err)
}
