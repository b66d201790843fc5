package dashboard

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/clarionlb/clarion/internal/plugin/dashboard/fixture"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// BenchmarkOverview has what a change costs: the State, the overview, and its JSON.
func BenchmarkOverview(b *testing.B) {
	for _, services := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(services), func(b *testing.B) {
			taken, size := snapshot.Of(fixture.Large(time.Now(), services)...), 0
			taken.Time = time.Now()
			for b.Loop() {
				text, err := json.Marshal(overviewOf("c", taken.State()))
				if err != nil {
					b.Fatal(err)
				}
				size = len(text)
			}
			b.ReportMetric(float64(size), "B/page")
		})
	}
}
