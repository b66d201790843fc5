package netnstest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/vishvananda/netns"
)

// Process is a daemon on a host. It does not outlive the test, not even one that is killed, unless
// it has changed its user.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// Kill kills it: it gets no chance to clean up.
func (p *Process) Kill() error { return p.cmd.Process.Kill() }

// Terminate asks it to end.
func (p *Process) Terminate() error { return p.cmd.Process.Signal(syscall.SIGTERM) }

// Done is closed when it has ended.
func (p *Process) Done() <-chan struct{} { return p.ended }

// Run runs a command on the host to its end and returns what it wrote to its standard output.
func (h *Host) Run(ctx context.Context, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := h.Try(cmd.Run); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, &stderr)
	}
	return stdout.String(), nil
}

// Start starts a daemon on the host, whose output is appended to the file log. If the test fails,
// what it said is in the test's output.
func (h *Host) Start(log string, command ...string) (*Process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	p := &Process{cmd: exec.Command(command[0], command[1:]...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the death signal comes when this thread ends
		err := netns.Set(h.NS)
		if err == nil {
			err = p.cmd.Start()
		}
		started <- err
		if err == nil {
			p.cmd.Wait()
		}
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s (make packages installs it): %w", command[0], err)
	}
	h.t.Cleanup(func() {
		p.Kill()
		<-p.ended
		if h.t.Failed() {
			said, _ := os.ReadFile(log)
			h.t.Logf("%s:\n%s", filepath.Base(command[0]), said)
		}
	})
	return p, nil
}
