package bfd

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// BenchmarkDetection measures how long it takes until a dead path to FRR is noticed, with a
// multiplier of 3: from the last packet on, and from the moment on at which it died.
func BenchmarkDetection(b *testing.B) {
	for _, interval := range []time.Duration{50 * ms, 100 * ms} {
		b.Run(fmt.Sprintf("interval=%s", interval), func(b *testing.B) { detect(b, interval) })
	}
}

func detect(b *testing.B, interval time.Duration) {
	n, sw, router := node(b), newHost(b), newHost(b)
	must(b, sw.NL.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "bridge"}}))
	sw.Up("bridge")
	bridge, err := sw.NL.LinkByName("bridge")
	must(b, err)
	var port netlink.Link
	for name, h := range map[string]*host{"1": n, "2": router} {
		cable(b, h, "eth0", sw, name)
		h.Address("eth0", "192.0.2."+name+"/24")
		port, err = sw.NL.LinkByName(name)
		must(b, err)
		must(b, sw.NL.LinkSetMaster(port, bridge))
	}
	f := startFRR(router, frrConfig(every(int(interval.Milliseconds()), 3), "192.0.2.1 interface eth0")...)
	s, _ := speak(b)
	s.Set(map[string]Session{"router": {Peer: right4, Transmit: interval, Receive: interval}})
	var silences, outages []time.Duration
	for b.Loop() {
		await(b, "a session with FRR", func() bool {
			got := s.Sessions()[0]
			return got.State == Up && got.Transmit == interval && got.Detection == 3*interval
		})
		f.awaitPeers("a session in FRR", frrIsUp)
		begin := time.Now()
		must(b, sw.NL.LinkSetNoMaster(port)) // neither end loses its carrier
		down := expect(b, s, "the end of the session", isDown)[0]
		silences = append(silences, down.LastDetection)
		outages = append(outages, time.Since(begin))
		must(b, sw.NL.LinkSetMaster(port, bridge))
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

// BenchmarkSessions measures the processor time of the whole process for 100 sessions with FRR at
// 100 ms x 3, in thousandths of a processor, and how often they failed meanwhile.
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
