package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
)

// selfExe is this program, also when its file was replaced since.
const selfExe = "/proc/self/exe"

// readyFD is the descriptor by which a new process says that it is up.
const readyFD = 3

// spawner is the one thread that starts processes and makes network namespaces. It is a single
// thread, and never ends, because the kernel ties a child's parent-death signal to the thread that
// started it, and the network namespace of a new process to the one its creator is in.
type spawner struct {
	home netns.NsHandle
	work chan func()
}

func newSpawner() (*spawner, error) {
	s := &spawner{work: make(chan func())}
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		var err error
		s.home, err = netns.Get()
		failed <- err
		for f := range s.work {
			f()
		}
	}()
	return s, <-failed
}

// do runs f on the spawner's thread, which must be in its home namespace again when f returns.
func (s *spawner) do(f func() error) error {
	done := make(chan error)
	s.work <- func() { done <- f() }
	return <-done
}

// newNamespace makes a named network namespace.
func (s *spawner) newNamespace(name string) (netns.NsHandle, error) {
	ns := netns.None()
	err := s.do(func() error {
		defer s.goHome()
		var err error
		ns, err = netns.NewNamed(name)
		return err
	})
	return ns, err
}

// goHome panics where the thread cannot return: whatever it started next would live in the wrong
// network namespace.
func (s *spawner) goHome() {
	if err := netns.Set(s.home); err != nil {
		panic(fmt.Sprintf("return to the node's network namespace: %v", err))
	}
}

// command is a process to start.
type command struct {
	args []string
	env  []string
	// stdin is JSON for the process to read; nil is no input.
	stdin any
	// output takes stdout and stderr.
	output io.Writer
	// private gives the process mounts and a hostname of its own.
	private bool
	// netns is the network namespace it runs in.
	netns netns.NsHandle
}

// process is a running child. Its done is closed when it has ended, and then state says how.
type process struct {
	pid   int
	done  chan struct{}
	state *os.ProcessState
	proc  *os.Process
}

// start runs this program with c.args and waits until it says that it is up: it closes readyFD (by
// hand or by executing another program). What it writes there first is the reason why it is not.
func (s *spawner) start(c command) (*process, error) {
	cmd := exec.Command(selfExe)
	cmd.Args = append([]string{"kubelet"}, c.args...)
	cmd.Env = c.env
	cmd.Stdout, cmd.Stderr = c.output, c.output
	if c.stdin != nil {
		input, err := json.Marshal(c.stdin)
		if err != nil {
			return nil, err
		}
		cmd.Stdin = bytes.NewReader(input)
	}
	ready, readyWriter, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	cmd.ExtraFiles = []*os.File{readyWriter}
	// A session of its own, so that a signal to it reaches what it started as well.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if c.private {
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS
	}
	err = s.do(func() error {
		if err := netns.Set(c.netns); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		defer s.goHome()
		return cmd.Start()
	})
	readyWriter.Close()
	if err != nil {
		return nil, err
	}
	p := &process{pid: cmd.Process.Pid, proc: cmd.Process, done: make(chan struct{})}
	go func() {
		cmd.Wait()
		syscall.Kill(-p.pid, syscall.SIGKILL)
		p.state = cmd.ProcessState
		close(p.done)
	}()
	problem, err := io.ReadAll(ready)
	if err == nil && len(problem) > 0 {
		err = errors.New(string(problem))
	}
	if err != nil {
		p.kill()
		<-p.done
		return nil, err
	}
	return p, nil
}

// terminate asks the process to end.
func (p *process) terminate() { p.proc.Signal(syscall.SIGTERM) }

// kill ends the process and everything it started.
func (p *process) kill() {
	select {
	case <-p.done:
	default:
		syscall.Kill(-p.pid, syscall.SIGKILL)
	}
}

// exitCode is the status as a shell and Kubernetes give it: 128 and the signal for a process that
// was killed.
func (p *process) exitCode() (code, signal int32) {
	status := p.state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int32(status.Signal()), int32(status.Signal())
	}
	return int32(status.ExitStatus()), 0
}

// outcome runs c to its end, or kills it when ctx ends, and gives an error unless it exited with 0.
func (s *spawner) outcome(ctx context.Context, c command) error {
	p, err := s.start(c)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.kill()
		<-p.done
		return ctx.Err()
	}
	if code, _ := p.exitCode(); code != 0 {
		return fmt.Errorf("command exited with %d", code)
	}
	return nil
}

// now is the time as the API keeps it.
func now() time.Time { return time.Now().Truncate(time.Second) }
