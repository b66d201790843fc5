package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func TestTimersOfAllThreadsMayBeLate(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it changes other threads")
	}
	done := make(chan struct{})
	defer close(done)
	startThread := func() {
		running := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(running)
			<-done
		}()
		<-running
	}
	startThread()
	if err := relaxTimers(); err != nil {
		t.Fatal(err)
	}
	startThread()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil || len(threads) < 3 {
		t.Fatal(threads, err)
	}
	for _, thread := range threads {
		slack, err := os.ReadFile(filepath.Join("/proc", thread.Name(), "timerslack_ns"))
		if got := strings.TrimSpace(string(slack)); err != nil || got != strconv.FormatInt(timerSlack.Nanoseconds(), 10) {
			t.Errorf("thread %s: %q, %v; want %v", thread.Name(), got, err, timerSlack)
		}
	}
}
