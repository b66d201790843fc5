package network

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestProcessHandles(t *testing.T) {
	l := newLAN(t)
	ctx := testContext(t)
	log := filepath.Join(t.TempDir(), "logs", "sh.log")
	before := time.Now().Add(-10 * time.Second) // the kernel counts in ticks
	started, err := l.b.Start(log, "sh", "-c", "trap 'echo asked to end; exit' TERM; echo started; while :; do sleep 0.01; done")
	if err != nil {
		t.Fatal(err)
	}
	for logged(t, log) != "started\n" {
		runtime.Gosched()
	}
	found, err := l.b.Processes(started.Name)
	// The shell is more than one for the moment before it runs sleep. It is the oldest.
	if err != nil || len(found) == 0 || found[0].PID != started.PID {
		t.Fatalf("found %v, %v; want process %d", found, err, started.PID)
	}
	p := found[0]
	if p.Started.Before(before) || p.Started.After(time.Now()) || p.Command[1] != "-c" {
		t.Errorf("%q started at %s", p.Command, p.Started)
	}
	if elsewhere, err := l.a.Processes(started.Name); err != nil || len(elsewhere) != 0 {
		t.Errorf("found %v, %v on the other host", elsewhere, err)
	}
	if err := errors.Join(p.Stop(), p.Terminate()); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(processStatus(t, p.PID), "State:\tT") {
		runtime.Gosched()
	}
	select {
	case <-p.Done():
		t.Error("a stopped process ended")
	default:
	}
	if err := p.Continue(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Wait(ctx), started.Wait(ctx)); err != nil {
		t.Fatal(err)
	}
	if got := logged(t, log); got != "started\nasked to end\n" {
		t.Errorf("the log is %q", got)
	}
	if err := p.Kill(); err == nil {
		t.Error("a process that has ended was killed")
	}
}

func processStatus(t *testing.T, pid int) string {
	return logged(t, fmt.Sprintf("/proc/%d/status", pid))
}
