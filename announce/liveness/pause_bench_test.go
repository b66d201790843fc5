package liveness

import (
	"context"
	"testing"
	"time"
)

// BenchmarkFalsePauses counts how often a process that goes on takes itself for paused, in a minute. Run it beside busy processes.
func BenchmarkFalsePauses(b *testing.B) {
	w := NewPauseWatch()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	w.Resume()
	pauses, began := 0, time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for b.Loop() {
		select {
		case <-w.Changed():
			pauses++
			w.Resume()
			<-ticker.C
		case <-ticker.C:
		}
	}
	cancel()
	<-ended
	b.ReportMetric(float64(pauses)/time.Since(began).Minutes(), "pauses/min")
}
