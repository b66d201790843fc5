package network

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a process in a host.
type Process struct {
	// Name is the name of its executable.
	Name string
	// Command is its command line.
	Command []string
	// PID is its process ID, on this machine: hosts have no process IDs of their own.
	PID int
	// Started is when it was started, to a hundredth of a second.
	Started time.Time
	// Log is the file that its output goes to, empty if it was not started by [Host.Start].
	Log string

	fd    int   // a pidfd: a signal never reaches another process that got the same ID later
	ticks int64 // when it was started, as the kernel counts
	gone  chan struct{}
	wait  func()
	once  *sync.Once
}

// Kill kills the process: it gets no chance to clean up.
func (p *Process) Kill() error { return p.Signal(unix.SIGKILL) }

// Terminate asks the process to end (SIGTERM).
func (p *Process) Terminate() error { return p.Signal(unix.SIGTERM) }

// Stop freezes the process (SIGSTOP): it keeps its sockets and answers nothing.
func (p *Process) Stop() error { return p.Signal(unix.SIGSTOP) }

// Continue lets a stopped process go on.
func (p *Process) Continue() error { return p.Signal(unix.SIGCONT) }

// Signal sends a signal. It fails if the process has ended.
func (p *Process) Signal(signal unix.Signal) error {
	if err := unix.PidfdSendSignal(p.fd, signal, nil, 0); err != nil {
		return fmt.Errorf("%s to %s (%d): %w", unix.SignalName(signal), p.Name, p.PID, err)
	}
	return nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} {
	p.once.Do(func() {
		go func() {
			p.wait()
			close(p.gone)
		}()
	})
	return p.gone
}

// Wait waits until the process has ended.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.Done():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %s (%d) to end: %w", p.Name, p.PID, ctx.Err())
	}
}

// Start starts a command in the host and appends its output to a log file. The process gets a
// session of its own, so that the keyboard does not reach it, and the kernel kills it when the
// process that started it dies, however that happens; unless the network is detached.
func (h *Host) Start(log string, command ...string) (*Process, error) {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return nil, err
	}
	output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if !h.network.Detached {
		cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	}
	if err := h.StartCommand(cmd); err != nil {
		return nil, err
	}
	p, err := openProcess(cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	p.Log = log
	p.wait = func() { cmd.Wait() }
	p.Done() // reaps it
	return p, nil
}

// StartCommand starts a prepared command in the host, with the host's name as its hostname.
func (h *Host) StartCommand(cmd *exec.Cmd) error {
	var err error
	onSpawner(func() {
		err = h.Do(func() error { return h.withHostname(cmd.Start) })
	})
	if err != nil {
		return fmt.Errorf("start %s on %s: %w", cmd.Args[0], h.Name, err)
	}
	return nil
}

// spawner is the one thread that starts processes. The kernel sends a process its Pdeathsig when
// the thread that started it ends, and of any other thread nobody knows when that is.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

func onSpawner(f func()) {
	done := make(chan struct{})
	spawner() <- func() {
		defer close(done)
		f()
	}
	<-done
}

// withHostname calls f on a thread that sees the host's name as its hostname.
func (h *Host) withHostname(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	outside, err := os.Open("/proc/thread-self/ns/uts")
	if err != nil {
		return err
	}
	defer outside.Close()
	if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
		return err
	}
	defer func() {
		if err := unix.Setns(int(outside.Fd()), unix.CLONE_NEWUTS); err != nil {
			panic(fmt.Sprintf("leave %s: %v", h.Name, err))
		}
	}()
	if err := unix.Sethostname([]byte(h.Name)); err != nil {
		return err
	}
	return f()
}

// Processes returns the running processes of an executable in the host, those in namespaces that
// belong to it (<namespace>-...) too, oldest first.
func (h *Host) Processes(name string) ([]*Process, error) {
	pids, err := processesIn(h.Namespace()+"-", h.Namespace())
	if err != nil {
		return nil, err
	}
	var found []*Process
	for _, pid := range pids {
		if executable(pid) != name {
			continue
		}
		if p, err := openProcess(pid); err == nil {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b *Process) int {
		return cmp.Or(cmp.Compare(a.ticks, b.ticks), cmp.Compare(a.PID, b.PID))
	})
	return found, nil
}

// openProcess returns a handle on a process that we may not be the parent of.
func openProcess(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	p := &Process{Name: executable(pid), Command: commandLine(pid), PID: pid, fd: fd, gone: make(chan struct{}), once: new(sync.Once)}
	runtime.AddCleanup(p, func(fd int) { unix.Close(fd) }, fd)
	if p.ticks, err = startTicks(pid); err != nil {
		return nil, err
	}
	if p.Started, err = tickTime(p.ticks); err != nil {
		return nil, err
	}
	p.wait = func() {
		for {
			// A timeout only so that this thread is not lost for ever to a process that never ends.
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Second.Milliseconds()))
			if n > 0 || (err != nil && err != unix.EINTR) {
				return
			}
		}
	}
	return p, nil
}

// executable returns the name of the file that a process runs.
func executable(pid int) string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return ""
	}
	return filepath.Base(strings.TrimSuffix(path, " (deleted)"))
}

func commandLine(pid int) []string {
	for {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			return nil
		}
		if len(content) > 0 {
			return strings.Split(strings.TrimSuffix(string(content), "\x00"), "\x00")
		}
		// A process that has just been started has an executable for a moment before it has a
		// command line. One that has ended has neither.
		if executable(pid) == "" {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// startTicks returns when a process was started, in clock ticks since the machine was (proc(5)).
func startTicks(pid int) (int64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name, in parentheses, and may contain anything. The third is the
	// first after it.
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	const third, startTime = 3, 22
	if len(fields) <= startTime-third {
		return 0, fmt.Errorf("process %d: short stat", pid)
	}
	return strconv.ParseInt(fields[startTime-third], 10, 64)
}

// tickTime converts clock ticks to a time, never a later one.
func tickTime(ticks int64) (time.Time, error) {
	const ticksPerSecond = 100 // for every architecture that Go knows (USER_HZ)
	now := time.Now()
	var uptime unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &uptime); err != nil {
		return time.Time{}, err
	}
	return now.Add(time.Duration(ticks)*time.Second/ticksPerSecond - time.Duration(uptime.Nano())), nil
}
