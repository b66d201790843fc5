package liveness

import (
	"context"
	"time"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// finding is what a round of questions about a suspect in sight has found.
type finding int

const (
	// nothing : its node answers, or this node cannot say anything.
	nothing finding = iota
	// nodeSilent : the suspect is dead.
	nodeSilent
	// tooSlow : this process ran so slowly that it may have missed an answer.
	tooSlow
)

// whileInSight asks for the suspect's node as long as the gossip sees the suspect and its
// heartbeats do not arrive. It returns true if the suspect is dead, and false when the gossip has
// lost it, or the context ends.
func (i *investigation) whileInSight(ctx context.Context) (dead bool) {
	for ctx.Err() == nil {
		if inSight, _ := i.sight(); !inSight {
			return false
		}
		switch i.roundInSight(ctx) {
		case nodeSilent:
			i.conclude(ctx, plan.Dead, "its heartbeats have stopped, and its node does not answer")
			return true
		case tooSlow:
			continue // clients wait, and that round took longer than the pause
		}
		select {
		case <-ctx.Done():
		case <-i.suspect.wake:
		case <-time.After(i.timing.pause):
		}
	}
	return false
}

// roundInSight asks thoroughly once. Most suspects are alive and late, and answer the first questions, which concern nobody
// else. Only if they do not, this node finds out whether it may judge, and then goes on asking: whoever is cut off and is connected
// again meanwhile must not take the suspect for dead by questions that did not arrive.
func (i *investigation) roundInSight(ctx context.Context) finding {
	node := i.suspect.node
	if !node.Address.IsValid() {
		return nothing
	}
	defer i.markProbed()
	began, q := time.Now(), i.thorough(i.question(node))
	first, rest := q, q
	first.Tries, first.Wait, first.Broadcast = q.Tries/3, q.Interval, 0
	rest.Tries, rest.Broadcast = q.Tries-first.Tries, q.Broadcast-first.Tries
	if answers, asked := i.ask(ctx, first); answers || !asked {
		return nothing
	}
	checked := time.Now()
	if !i.seesOthers(ctx) {
		return nothing
	}
	waited := time.Since(checked)
	found := nothing
	rest.Unanswered = func(ctx context.Context) {
		switch {
		case time.Since(began)-waited > 2*takes(q):
			found = tooSlow
		case i.awaitSilence(ctx) && i.seesOthers(ctx):
			found = nodeSilent
		}
	}
	if answers, asked := i.ask(ctx, rest); answers || !asked {
		return nothing
	}
	return found
}

func (i *investigation) ask(ctx context.Context, q layer2.Question) (answers, asked bool) {
	_, answers, err := i.prober.Ask(ctx, q)
	return answers, err == nil
}

// seesOthers says whether this node is not the one that is cut off. If it is, that was too short to
// take itself for isolated. The majority and the gateway are asked at a time: the suspect itself is
// among the members in sight.
func (i *investigation) seesOthers(ctx context.Context) bool {
	return i.reaches(ctx, i.hasMajority, i.seesGateway)
}

// awaitSilence waits until so many heartbeats are missing that the suspect may be dead. It returns
// false if that takes so long that it is to be asked again.
func (i *investigation) awaitSilence(ctx context.Context) bool {
	timeout := time.After(2 * i.timing.interval)
	for {
		inSight, silent := i.sight()
		if !inSight || silent {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-timeout:
			return false
		case <-i.suspect.wake:
		}
	}
}

// sight says whether the gossip sees the suspect, and whether its heartbeats have stopped.
func (i *investigation) sight() (inSight, silent bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.suspect.inSight, i.suspect.silent
}
