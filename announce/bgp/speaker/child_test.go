package speaker

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/clarionlb/clarion/announce/bgp"
)

const envSpeaker = "CLARION_TEST_SPEAKER"

// child is what a Speaker in a process of its own does.
type child struct {
	Restarted bool
	Peer      bgp.Peer
	Routes    []bgp.Route
}

// runChild runs one until it is killed, or has nobody any more who would.
func runChild(what string) {
	var c child
	if err := json.Unmarshal([]byte(what), &c); err != nil {
		panic(err)
	}
	s := New(Config{Restarted: c.Restarted})
	s.Set(alone(c.Peer), say(c.Routes))
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	go followHost(context.Background(), s)
	s.Run(context.Background())
}

// process starts one, on the node, which kill ends without giving it the time to do anything.
func (c child) process(t *testing.T) (kill func()) {
	t.Helper()
	what, err := json.Marshal(c)
	must(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envSpeaker+"="+string(what))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	_, err = cmd.StdinPipe()
	must(t, err)
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the death signal comes when this thread ends
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		runtime.UnlockOSThread()
		close(ended)
	}()
	must(t, <-started)
	kill = func() {
		cmd.Process.Kill()
		<-ended
	}
	t.Cleanup(kill)
	return kill
}

func TestAKilledSpeakerLeavesTheRoutersKernelUntouched(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	c := child{Peer: r.graceful(), Routes: both}
	kill := c.process(t)
	want := map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"}
	r.has(want)
	r.reestablished(1)
	losses := r.losses()
	c.Restarted = true
	for n := 2; n <= 3; n++ {
		kill()
		eventually(t, "the routes are stale", func() (bool, any) {
			p := r.path("198.51.100.1/32")
			return p.Stale, p
		})
		kill = c.process(t)
		r.reestablished(n)
	}
	r.has(want)
	losses.none(t)
}
