package announce

import (
	"net/netip"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
)

func TestTheKernelIsLookedAtSoonAfterAChangeAndSometimesWithoutOne(t *testing.T) {
	links, now := layer2.NewLinks(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	reach := func(netip.Addr) []string { return nil }
	var c kernelCheck
	look := func(after time.Duration, looks bool) {
		t.Helper()
		now = now.Add(after)
		before := c.looked
		c.look(links, reach, klog.Background(), now)
		if got := c.looked != before; got != looks {
			t.Errorf("after another %s it looks: %v, want %v", after, got, looks)
		}
	}
	look(0, true)
	look(kernelPatience-time.Nanosecond, false)
	c.stale = true
	look(0, true)
	c.stale = true
	look(kernelPause-time.Nanosecond, false)
	look(time.Nanosecond, true)
	look(kernelPause, false)
	if want := now.Add(kernelPatience - kernelPause); !c.due().Equal(want) {
		t.Errorf("looks again at %s, want %s", c.due(), want)
	}
}
