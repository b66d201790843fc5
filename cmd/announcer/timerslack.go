package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// timerSlack is by how much the kernel may delay a timer of this process to have it expire with others (PR_SET_TIMERSLACK in prctl(2)).
// Go's monitor thread looks every 20 us after a process that works (sysmon in runtime/proc.go), which with the kernel's 50 us takes as
// much CPU as a third of the work: all of what an announcer does is short. Heartbeats and BFD wait for timerfds, which have no slack.
const timerSlack = 500 * time.Microsecond

// relaxTimers sets the timer slack of all threads of this process, and so of those that they will start. It needs CAP_SYS_NICE.
func relaxTimers() error {
	slack := strconv.AppendInt(nil, timerSlack.Nanoseconds(), 10)
	for relaxed := map[string]bool{}; ; { // until no thread has started another one meanwhile
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		before := len(relaxed)
		for _, t := range threads {
			if relaxed[t.Name()] {
				continue
			}
			if err := os.WriteFile(filepath.Join("/proc", t.Name(), "timerslack_ns"), slack, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			relaxed[t.Name()] = true
		}
		if len(relaxed) == before {
			return nil
		}
	}
}
