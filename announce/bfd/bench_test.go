package bfd

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkDetection measures how long it takes until a dead path to FRR is noticed, at 100 ms x 3: from the last packet on, and from the
// moment on at which nothing gets through any more, or a little earlier.
func BenchmarkDetection(b *testing.B) {
	_, router := neighbours(b)
	f := startFRR(router, frrConfig(every(100, 3), "192.0.2.1 interface eth0")...)
	n := node(b)
	s, _ := speak(b)
	s.Set(map[string]Session{"router": {Peer: right4, Transmit: 100 * ms, Receive: 100 * ms}})
	var silences, outages []time.Duration
	for b.Loop() {
		expect(b, s, "a session with FRR", func(s Status) bool { return s.State == Up && s.Transmit == 100*ms && s.Detection == 300*ms })
		f.awaitPeers("a session in FRR", frrIsUp)
		begin := time.Now()
		n.deaf()
		down := expect(b, s, "the end of the session", isDown)[0]
		silences = append(silences, down.LastDetection)
		outages = append(outages, time.Since(begin))
		n.hear()
	}
	report(b, "silence", silences)
	report(b, "outage", outages)
}

func report(b *testing.B, what string, durations []time.Duration) {
	slices.Sort(durations)
	for _, percent := range []int{50, 99} {
		at := (len(durations)*percent + 99) / 100
		b.ReportMetric(float64(durations[at-1].Microseconds())/1000, fmt.Sprintf("ms-%s-p%d", what, percent))
	}
}

// BenchmarkSessions measures the processor time of the whole process for 100 sessions with FRR at 100 ms x 3, in thousandths of a
// processor, and how often they failed meanwhile.
func BenchmarkSessions(b *testing.B) {
	n, router := neighbours(b)
	sessions, config := hundredSessions(n, every(100, 3), Session{Transmit: 100 * ms, Receive: 100 * ms})
	startFRR(router, config...)
	s, _ := speak(b)
	s.Set(sessions)
	expect(b, s, "all sessions", isUp)
	total := func() (packets, failures uint64) {
		for _, s := range s.Sessions() {
			packets += s.Sent + s.Received
			failures += s.Failures
		}
		return packets, failures
	}
	begin, used := time.Now(), processorTime(b)
	packets, failures := total()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for b.Loop() {
		<-ticker.C
	}
	b.ReportMetric(float64(processorTime(b)-used)/float64(time.Since(begin))*1000, "mcpu/100sessions")
	more, failed := total()
	b.ReportMetric(float64(processorTime(b)-used)/float64(more-packets), "cpu-ns/packet")
	b.ReportMetric(float64(failed-failures), "failures")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
