package liveness

import (
	"context"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// Quorum is what a majority of the announcers is counted from.
type Quorum struct {
	// Expected is how many announcers there should be, this one included.
	Expected int
	// InGossip are the questions by which to ask for the nodes that the gossip sees, this one left
	// out. One that is not valid stands for a node that cannot be asked.
	InGossip []plan.Question
	// OutOfGossip are those by which to ask for the other announcers.
	OutOfGossip []plan.Question
}

// InSight says whether the gossip sees a majority, dead or alive.
func (q Quorum) InSight() bool { return q.isMajority(len(q.InGossip) + 1) }

func (q Quorum) isMajority(count int) bool { return 2*count > q.Expected }

// hasMajority reports whether more than half of the announcers are in the gossip's sight and answer
// right now: the gossip takes a moment to notice, and a node that has just been cut off loses the
// others one by one. Those that cannot be asked count as answering.
func (d *Detector) hasMajority(ctx context.Context) bool {
	d.mu.Lock()
	quorum := d.quorum
	d.mu.Unlock()
	return quorum.InSight() && d.majorityAnswers(ctx, quorum, quorum.InGossip, d.question)
}

// majorityAnswers asks some of the announcers.
func (d *Detector) majorityAnswers(ctx context.Context, quorum Quorum, of []plan.Question, as func(plan.Question) layer2.Question) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan bool, len(of))
	for _, q := range of {
		d.running.Go(func() {
			answered := true
			if q.Address.IsValid() {
				_, answered, _ = d.prober.Ask(ctx, as(q))
			}
			answers <- answered
		})
	}
	count := 1
	for range of {
		if quorum.isMajority(count) {
			break
		}
		if <-answers {
			count++
		}
	}
	return quorum.isMajority(count)
}

// manyMembers is from how many members on a router is asked before them. It is one question, where a majority of thousands is
// thousands, from every heir at once. A router that is silent costs 90 ms, which is why it comes last among few.
const manyMembers = 50

// isConnected says whether a majority answers, or a router does.
func (d *Detector) isConnected(ctx context.Context) bool {
	d.mu.Lock()
	many := len(d.quorum.InGossip) >= manyMembers
	d.mu.Unlock()
	if many {
		return d.seesGateway(ctx) || d.hasMajority(ctx)
	}
	return d.hasMajority(ctx) || d.seesGateway(ctx)
}

// canJudge reports whether this node may take a silent one for dead: if it sees a majority, or else
// a router on its network, it is not the one that is cut off from the others. That it reaches the
// API server does not say so, since the way there may be another one. But if it reaches nobody at all,
// it is isolated.
func (d *Detector) canJudge(ctx context.Context) bool {
	if d.isConnected(ctx) {
		d.setIsolated(ctx, false)
		return true
	}
	d.setIsolated(ctx, d.reachesNobody(ctx))
	return false
}

func (d *Detector) setIsolated(ctx context.Context, isolated bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isolated != isolated && ctx.Err() == nil {
		d.isolated = isolated
		d.changed.Notify()
		d.wakeAll()
	}
}
