package membership

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// firstSaw returns how long after begin the process first saw what is; it is called with the
// members that are alive.
func (p *process) firstSaw(begin time.Time, is func(alive []string) bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.log {
		if names, ok := strings.CutPrefix(e.line, "alive "); ok && e.at.After(begin) && is(strings.Fields(names)) {
			return e.at.Sub(begin)
		}
	}
	return 0
}

// BenchmarkDetection measures the time until all others know that a node went off the network, or
// its member died.
func BenchmarkDetection(b *testing.B) {
	for _, count := range []int{2, 3, 5, 10, 50} {
		b.Run(fmt.Sprintf("power-off/members=%d", count), func(b *testing.B) {
			detection(b, count, func(n *node, p *process) *process { n.silence(); return p },
				func(n *node, p *process) *process { n.wake(); return p })
		})
		b.Run(fmt.Sprintf("killed/members=%d", count), func(b *testing.B) {
			detection(b, count, func(_ *node, p *process) *process { p.kill(); return p },
				func(n *node, _ *process) *process { return n.start() })
		})
	}
}

// settle is how long a cluster is left alone before the next failure, so that members forget that
// they were slow.
const settle = 2 * time.Second

func detection(b *testing.B, count int, fail, heal func(*node, *process) *process) {
	nodes, processes := crowd(b, count)
	victim, others := nodes[count-1], nodes[:count-1]
	var times []time.Duration
	for b.Loop() {
		time.Sleep(settle)
		begin := time.Now()
		fail(victim, processes[count-1])
		var slowest time.Duration
		for _, p := range processes[:count-1] {
			p.awaitAlive(others...)
			slowest = max(slowest, p.firstSaw(begin, func(alive []string) bool { return !slices.Contains(alive, victim.name) }))
		}
		times = append(times, slowest)
		processes[count-1] = heal(victim, processes[count-1])
		processes[count-1].setPeers(nodes...)
		for _, p := range processes {
			p.awaitAlive(nodes...)
		}
	}
	reportTimes(b, times)
}

// reportTimes reports how times are distributed.
func reportTimes(b *testing.B, times []time.Duration) {
	b.Helper()
	slices.Sort(times)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(times[0].Milliseconds()), "ms-min")
	b.ReportMetric(float64(times[len(times)/2].Milliseconds()), "ms-median")
	b.ReportMetric(float64(times[len(times)-1].Milliseconds()), "ms-max")
}

// BenchmarkFalseAlarms counts, while every processor is busy several times over, how often a member
// wrongly took another for dead. An iteration is a second.
func BenchmarkFalseAlarms(b *testing.B) {
	for _, count := range []int{5, 50} {
		for _, load := range []int{0, 4, 30} {
			b.Run(fmt.Sprintf("members=%d/busy=%d", count, load), func(b *testing.B) {
				_, processes := crowd(b, count)
				for range load {
					burn(b)
				}
				begin := time.Now()
				for b.Loop() {
					time.Sleep(time.Second)
				}
				alarms := 0
				for _, p := range processes {
					alarms += p.alarms(begin, count)
				}
				b.ReportMetric(float64(alarms), "alarms")
			})
		}
	}
}

// alarms returns how often the process took a member for dead after begin, where count members are
// alive.
func (p *process) alarms(begin time.Time, count int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	alarms, before := 0, count
	for _, e := range p.log {
		if names, ok := strings.CutPrefix(e.line, "alive "); ok && e.at.After(begin) {
			now := len(strings.Fields(names))
			alarms += max(before-now, 0)
			before = now
		}
	}
	return alarms
}

// burn keeps a processor busy until the benchmark ends.
func burn(b *testing.B) {
	b.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envMember+"="+burner)
	stdin, err := cmd.StdinPipe()
	must(b, err)
	must(b, cmd.Start())
	b.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
}
