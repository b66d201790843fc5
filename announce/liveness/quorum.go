package liveness

import (
	"context"
	"net"

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
	if !quorum.InSight() {
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan bool, len(quorum.InGossip))
	for _, q := range quorum.InGossip {
		d.running.Go(func() {
			answered := true
			if q.Address.IsValid() {
				_, answered, _ = d.prober.Ask(ctx, d.question(q))
			}
			answers <- answered
		})
	}
	count := 1
	for range quorum.InGossip {
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
// API server does not say so, since the way there may be another one. But if it does not even reach
// that, it is isolated.
func (d *Detector) canJudge(ctx context.Context) bool {
	if d.isConnected(ctx) {
		d.setIsolated(ctx, false)
		return true
	}
	d.setIsolated(ctx, !d.seesAPI(ctx))
	return false
}

// question is how a node is asked for. A host that answers in its place, or for everything, proves
// nothing. The node is asked alone at first, and all hosts at last: it may have another hardware
// address than it has recorded.
func (d *Detector) question(q plan.Question) layer2.Question {
	mac, _ := net.ParseMAC(q.MAC)
	return layer2.Question{
		Interface: q.Interface, Address: q.Address, Tries: d.timing.tries, Interval: d.timing.interval,
		MAC: mac, Unicast: d.timing.tries - 1,
		Accept: func(a layer2.Answer) bool { return q.Accepts(a.MAC.String()) },
	}
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
