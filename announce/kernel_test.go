package announce

import (
	"testing"
	"time"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

func TestTheKernelIsCheckedSoonAfterAChangeAndSometimesWithoutOne(t *testing.T) {
	links, now := layer2.NewLinks(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	planner := plan.NewLayer2Planner(plan.NewView(), "n1")
	var c kernelCheck
	check := func(after time.Duration, checks bool) {
		t.Helper()
		now = now.Add(after)
		before := c.checked
		c.check(links, planner, now)
		if got := c.checked != before; got != checks {
			t.Errorf("after another %s it checks: %v, want %v", after, got, checks)
		}
	}
	check(0, true)
	check(kernelCheckMax-time.Nanosecond, false)
	c.stale = true
	check(0, true)
	c.stale = true
	check(kernelCheckMin-time.Nanosecond, false)
	check(time.Nanosecond, true)
	check(kernelCheckMin, false)
	if want := now.Add(kernelCheckMax - kernelCheckMin); !c.due().Equal(want) {
		t.Errorf("checks again at %s, want %s", c.due(), want)
	}
}
