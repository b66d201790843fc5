package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/install"
)

// BenchmarkBacklog starts the cloud-controller-manager with a backlog of new Services, and measures
// how many it serves per second from when it leads. For comparison it measures how many a program
// could serve that did nothing but the write that each Service takes, with as many workers on
// the same API server. The ratio of the two would be 1.0 if Clarion cost nothing.
func BenchmarkBacklog(b *testing.B) {
	c := newControl(b, cluster.Config{})
	results := figures{}
	for run := 0; b.Loop(); run++ {
		c.stop()
		plain, ours := names(fmt.Sprintf("plain-%d", run), batch), names(fmt.Sprintf("app-%d", run), batch)
		c.create("example.com/other", plain...)
		c.create("", ours...)

		began := time.Now()
		c.patch(plain...)
		possible := batch / time.Since(began).Seconds()

		won, _ := c.start()
		served := batch / c.awaitServed(ours...).Sub(won).Seconds()
		c.deleteServices(slices.Concat(plain, ours)...)

		results.add("writes/s-API", possible)
		results.add("services/s", served)
		results.add("ratio", served/possible)
	}
	results.report(b, "services/s", "ratio")
}

// BenchmarkNewServices creates Services as fast as the API server takes them while the
// cloud-controller-manager runs. It measures what that costs: the calls, by the API server's audit
// log, and the processor time, by the kernel.
func BenchmarkNewServices(b *testing.B) {
	audit, config := newAudit(b, cluster.Config{})
	c := newControl(b, config)
	p := c.process()
	results := figures{}
	for run := 0; b.Loop(); run++ {
		all := names(fmt.Sprintf("app-%d", run), batch)
		mark, busy, began := audit.mark(b), cpuTime(b, p), time.Now()
		c.create("", all...)
		created := time.Now()
		last := c.awaitServed(all...)
		var calls map[string]int
		install.Eventually(b, "the events", func(context.Context) (err error) {
			calls, err = count(audit, mark, all)
			if err == nil && calls[createEvent] < batch {
				err = fmt.Errorf("%d of %d", calls[createEvent], batch)
			}
			return err
		})
		results.add("cpu-s/1000-services", (cpuTime(b, p)-busy).Seconds()*1000/batch)
		results.add("created/s", batch/created.Sub(began).Seconds())
		results.add("served/s", batch/last.Sub(began).Seconds())

		patches, events, total := calls[patchService], calls[createEvent]+calls[patchEvent], 0
		for _, call := range slices.Sorted(maps.Keys(calls)) {
			total += calls[call]
			b.Logf("%d services: %d × %s", batch, calls[call], call)
		}
		results.add("patches/service", float64(patches)/batch)
		results.add("events/service", float64(events)/batch)
		results.add("other-calls/service", float64(total-patches-events)/batch)
		c.deleteServices(all...)
	}
	results.report(b, "served/s", "cpu-s/1000-services")
}
