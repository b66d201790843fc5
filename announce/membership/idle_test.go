package membership

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkIdle measures the processor time of a member while nothing happens, and how often its threads wake. An iteration is a second.
func BenchmarkIdle(b *testing.B) {
	for _, count := range []int{3, 50} {
		b.Run(fmt.Sprintf("members=%d", count), func(b *testing.B) {
			_, processes := crowd(b, count)
			measureIdle(b, processes)
		})
	}
}

// BenchmarkIdleWithHeartbeats is BenchmarkIdle for members that also exchange heartbeats, with four neighbours each: nobody has more,
// however many members there are. What they add to the time without them is what heartbeats take.
func BenchmarkIdleWithHeartbeats(b *testing.B) {
	for _, heartbeats := range []bool{false, true} {
		b.Run(fmt.Sprintf("members=5/heartbeats=%t", heartbeats), func(b *testing.B) {
			l := newLAN(b)
			l.heartbeats = heartbeats
			_, processes := members(b, l, 5)
			measureIdle(b, processes)
		})
	}
}

func measureIdle(b *testing.B, processes []*process) {
	b.Helper()
	time.Sleep(settle)
	used, woken, begin := busy(b, processes), wakes(b, processes), time.Now()
	for b.Loop() {
		time.Sleep(time.Second)
	}
	memberSeconds := time.Since(begin).Seconds() * float64(len(processes))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(1000*(busy(b, processes)-used).Seconds()/memberSeconds, "cpu-ms/s")
	b.ReportMetric(float64(wakes(b, processes)-woken)/memberSeconds, "wakes/s")
}

// wakes returns how often the threads of the processes have waited for something (proc(5)).
func wakes(b *testing.B, processes []*process) (sum int) {
	b.Helper()
	for _, p := range processes {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.cmd.Process.Pid))
		must(b, err)
		for _, thread := range threads {
			status, err := os.ReadFile(thread)
			must(b, err)
			_, count, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:")
			count, _, _ = strings.Cut(count, "\n")
			n, err := strconv.Atoi(strings.TrimSpace(count))
			must(b, err)
			sum += n
		}
	}
	return sum
}

// busy returns the processor time that the processes have used.
func busy(b *testing.B, processes []*process) time.Duration {
	b.Helper()
	const tick = 10 * time.Millisecond // of the kernel's figures
	var sum time.Duration
	for _, p := range processes {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		must(b, err)
		// The fields after the name, which is in brackets, begin with the third.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, field := range fields[14-3 : 16-3] {
			ticks, err := strconv.Atoi(field)
			must(b, err)
			sum += time.Duration(ticks) * tick
		}
	}
	return sum
}
