package membership

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkJoin measures the time from the start of a member that had left, which includes the
// start of its process, until all others see it and it sees all others.
func BenchmarkJoin(b *testing.B) {
	for _, count := range []int{3, 50} {
		b.Run(fmt.Sprintf("members=%d", count), func(b *testing.B) {
			nodes, processes := crowd(b, count)
			last := nodes[count-1]
			var times []time.Duration
			for b.Loop() {
				processes[count-1].terminate()
				for _, p := range processes[:count-1] {
					p.awaitAlive(nodes[:count-1]...)
				}
				begin := time.Now()
				processes[count-1] = last.start()
				processes[count-1].setPeers(nodes...)
				var slowest time.Duration
				for _, p := range processes {
					p.awaitAlive(nodes...)
					slowest = max(slowest, p.firstSaw(begin, func(alive []string) bool {
						return len(alive) == count && slices.Contains(alive, last.name)
					}))
				}
				times = append(times, slowest)
			}
			reportTimes(b, times)
		})
	}
}
