package plan

import (
	"fmt"
	"math"
	"testing"

	"github.com/clarionlb/clarion/announce/election"
)

// forge has the API show another epoch of the only claim of a node, as if somebody had written it.
func (l *lan) forge(name string, epoch int64) {
	a := l.api[name].DeepCopy()
	a.Status.Layer2.Addresses[0].Epoch = epoch
	l.api[name] = a
	for _, n := range l.nodes {
		n.view.SetAnnouncer(name, a)
	}
}

func TestNoEpochKeepsAnAddressFromFailingOver(t *testing.T) {
	for _, epoch := range []int64{math.MinInt64, -1, 0, 2, election.MaxEpoch - 1, election.MaxEpoch, election.MaxEpoch + 1, math.MaxInt64 - 1, math.MaxInt64} {
		t.Run(fmt.Sprint("a node dies with epoch ", epoch), func(t *testing.T) {
			l := web(t)
			l.settle()
			dead := l.owner(vip)
			delete(l.nodes, dead) // it does not put right what is written in its name
			l.forge(dead, epoch)
			l.planAll()
			l.kill(dead)
			l.settle()
			owner := l.owner(vip)
			for range 3 {
				l.planAll()
				l.recordAll()
				if now := l.owner(vip); now != owner {
					t.Fatalf("moved from %s to %s", owner, now)
				}
			}
		})
	}
}

func TestAnEpochThatNobodyCanHaveComeToTakesNothing(t *testing.T) {
	for _, epoch := range []int64{election.MaxEpoch + 1, math.MaxInt64} {
		t.Run(fmt.Sprint(epoch), func(t *testing.T) {
			l := web(t)
			l.settle()
			dead := l.owner(vip)
			l.kill(dead)
			l.settle()
			owner := l.owner(vip)
			l.forge(dead, epoch)
			l.planAll()
			l.settle()
			if now := l.owner(vip); now != owner {
				t.Errorf("moved from %s to %s", owner, now)
			}
		})
	}
}
