package liveness

import (
	"context"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// isolationPause is the time between two checks whether a node is isolated that has nobody else to ask about. Nobody waits for it but
// the node itself.
const isolationPause = 4 * time.Second

// gatewayRounds are in how many rounds of questions in a row no router may answer, which takes 1.8 s.
const gatewayRounds = 20

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

func (d *Detector) checkIsolation(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(isolationPause):
		}
		if !d.investigates() {
			d.canJudge(ctx)
		}
	}
}

func (d *Detector) investigates() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.suspicions) > 0
}

// reachesNobody says whether neither the API server answers, nor a router, nor a majority of the nodes, whether the gossip sees them or
// not. A node that reaches nobody gives up what it has. So it asks thoroughly before, but once it has, it knows.
func (d *Detector) reachesNobody(ctx context.Context) bool {
	d.mu.Lock()
	isolated := d.isolated
	d.mu.Unlock()
	if isolated {
		return !d.seesAPI(ctx)
	}
	reached, err, _ := d.self.Do("", func() (any, error) { // several investigations may want to know
		return d.reaches(ctx, d.seesAPI, d.seesGatewayAtLast, d.seesNodes), ctx.Err()
	})
	return err == nil && !reached.(bool)
}

// reaches says whether something is reached in one of these ways, which are tried at a time.
func (d *Detector) reaches(ctx context.Context, ways ...Reach) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reached := make(chan bool, len(ways))
	for _, way := range ways {
		d.running.Go(func() { reached <- way(ctx) })
	}
	for range ways {
		if <-reached {
			return true
		}
	}
	return false
}

func (d *Detector) seesGatewayAtLast(ctx context.Context) bool {
	for range gatewayRounds {
		if ctx.Err() != nil || d.seesGateway(ctx) {
			return ctx.Err() == nil
		}
	}
	return false
}

// seesNodes says whether a majority of the nodes answers. This proves nothing of their announcers.
func (d *Detector) seesNodes(ctx context.Context) bool {
	d.mu.Lock()
	quorum := d.quorum
	d.mu.Unlock()
	nodes := slices.Concat(quorum.InGossip, quorum.OutOfGossip)
	nodes = slices.DeleteFunc(nodes, func(q plan.Question) bool { return !q.Address.IsValid() })
	return d.majorityAnswers(ctx, quorum, nodes, func(q plan.Question) layer2.Question { return d.thorough(d.question(q)) })
}
