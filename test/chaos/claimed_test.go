package chaos

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAFaultWaitsForWhatAnotherOneHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClaimed()
		began := time.Now()
		took := func(f Fault) time.Duration {
			defer c.take(f)()
			return time.Since(began)
		}
		release := c.take(Fault{Kind: PowerOff, Nodes: []int{2}})
		if got := took(Fault{Kind: LinkCut, Nodes: []int{1}}); got != 0 {
			t.Errorf("a fault of another node waited for %s", got)
		}
		time.AfterFunc(3*time.Second, release)
		if got := took(Fault{Kind: Partition, Nodes: []int{3, 2}}); got != 3*time.Second {
			t.Errorf("a fault of two nodes, of which one has no power for 3 s, waited for %s", got)
		}
		if got := took(Fault{Kind: Drain, Nodes: []int{2}}); got != 3*time.Second {
			t.Errorf("a fault after both waited until %s", got)
		}
	})
}
