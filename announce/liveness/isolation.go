package liveness

import (
	"context"
	"time"
)

// isolationChecks is in how many checks in a row a node must reach nobody to count as isolated, if it has nobody else to ask about.
const isolationChecks = 2

// judgeSelf begins or ends checking, under mu, whether this node is isolated: it does as long as the gossip sees no majority.
// Investigations find that out at once, but only members that have addresses are investigated, and this node may have all of them.
func (d *Detector) judgeSelf(ctx context.Context, majority bool) {
	switch {
	case majority && d.stopJudging != nil:
		d.stopJudging()
		d.stopJudging = nil
	case !majority && d.stopJudging == nil:
		ctx, d.stopJudging = context.WithCancel(ctx)
		d.running.Go(func() { d.checkIsolation(ctx) })
	}
}

// checkIsolation checks slowly: nobody waits for it but the node itself, which is not to give up what it has for a packet that is lost.
func (d *Detector) checkIsolation(ctx context.Context) {
	for failed := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(d.timing.maxPause):
		}
		if d.investigates() {
			failed = 0
			continue
		}
		if failed++; d.hasMajority(ctx) || d.seesGateway(ctx) || d.seesAPI(ctx) {
			failed = 0
		}
		if failed == 0 || failed >= isolationChecks {
			d.setIsolated(ctx, failed > 0)
		}
	}
}

func (d *Detector) investigates() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.suspicions) > 0
}
