package bench

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
)

// BenchmarkRestart restarts the cloud-controller-manager of a cluster with 5,000 Services. It
// measures the time from when it leads until two new Services have their addresses: one that waited
// for it, and one that is created just then. It counts the writes to Services that needed none.
func BenchmarkRestart(b *testing.B) {
	const services = 5000
	audit, config := newAudit(b, cluster.Config{})
	c := newControl(b, config)
	old := names("app", services)
	c.create("", old...)
	c.awaitServed(old...)
	c.awaitCondition(old, func(metav1.Condition) bool { return true })
	results := figures{}
	for run := 0; b.Loop(); run++ {
		c.stop()
		mark := audit.mark(b)
		waiting, fresh := fmt.Sprintf("waiting-%d", run), fmt.Sprintf("fresh-%d", run)
		c.create("", waiting)
		won, p := c.start()
		c.create("", fresh)
		results.addDuration("ms-to-waiting", c.awaitServed(waiting).Sub(won))
		results.addDuration("ms-to-fresh", c.awaitServed(fresh).Sub(won))
		// They are the last in the queue, so that when they are gone all others have been processed.
		c.deleteServices(waiting, fresh)
		results.add("cpu-s", cpuTime(b, p).Seconds())
		results.add("MiB", residentMiB(b, p))
		calls, err := audit.since(mark)
		if err != nil {
			b.Fatal(err)
		}
		needless := 0
		for _, call := range calls {
			if call.String() == patchService && call.ObjectRef.Name != waiting && call.ObjectRef.Name != fresh {
				needless++
			}
		}
		results.add("needless-writes", float64(needless))
	}
	results.report(b, "ms-to-waiting", "ms-to-fresh", "needless-writes")
}
