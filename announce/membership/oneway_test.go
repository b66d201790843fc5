package membership

import (
	"fmt"
	"testing"
	"time"
)

func TestNobodyIsTakenForDeadWhereOneDirectionBetweenTwoIsBlocked(t *testing.T) {
	for _, count := range []int{3, 5} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			l := newLAN(t)
			l.calm = true
			nodes, processes := members(t, l, count)
			nodes[0].deafTo(nodes[1])
			// Each has missed several probes and answers of the other: a probe that fails costs up
			// to three packets.
			poll(t, "packets that do not arrive", func() bool { return nodes[0].missed() > 20 })
			for _, p := range processes {
				p.neverLost(nodes...)
			}
		})
	}
}

// poll waits for a condition that nothing notifies of.
func poll(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(3 * patience)
	for !is() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("no %s", what)
		}
	}
}
