package liveness

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"time"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/notify"
)

// investigation finds out what has become of one suspect. It belongs to one goroutine.
type investigation struct {
	*Detector
	suspect *suspicion
	// mayJudge says that this node was able to judge when the investigation began, or when it saw
	// the node silent.
	mayJudge bool
	// missed counts the rounds in which the announcer did not answer, and downSince is when it did
	// not for the first time.
	missed    int
	downSince time.Time
	// pause is how long to wait for the next round, and rounds counts those of the announcer.
	pause  time.Duration
	rounds int
}

// investigate starts the investigation of a suspect.
func (d *Detector) investigate(ctx context.Context, target plan.ProbeTarget) *suspicion {
	ctx, cancel := context.WithCancel(ctx)
	s := &suspicion{
		name: target.Name, node: target.Node, cancel: cancel, wake: notify.New(),
		announced: target.Announced, left: target.Left, inSight: target.InSight, silent: target.Silent, state: plan.Suspect,
	}
	d.running.Go(func() {
		guard.Retry(ctx, "liveness", target.Name, func() { (&investigation{Detector: d, suspect: s}).run(ctx) })
	})
	return s
}

// run asks until the suspect is dead or the context ends.
func (i *investigation) run(ctx context.Context) {
	if dead := i.whileInSight(ctx); dead {
		return
	}
	i.mayJudge = i.canJudge(ctx)
	for ctx.Err() == nil {
		before := i.state()
		if dead := i.round(ctx); dead {
			return
		}
		i.adaptPause(i.state() != before || i.missed == 1)
		select {
		case <-ctx.Done():
		case <-i.suspect.wake:
			i.pause = 0
		case <-time.After(i.pause + rand.N(i.timing.pause/4)):
		}
	}
}

// adaptPause says how long to wait for the next round: as long as nothing changes, longer each time.
// But the end of the grace is not to be missed, and a node whose announcer has left may be about to be switched off: that is noticed
// soon for as long as the grace lasts.
func (i *investigation) adaptPause(changed bool) {
	i.pause = min(2*i.pause, i.timing.maxPause)
	if i.pause == 0 || changed {
		i.pause = i.timing.pause
	}
	if left := i.timing.grace - time.Since(i.downSince); !i.downSince.IsZero() && left > 0 {
		i.pause = min(i.pause, left+time.Millisecond)
		if i.hasLeft() {
			i.pause = min(i.pause, i.timing.pause)
		}
	}
}

// round asks once, for the node and then for its announcer, and draws its conclusion.
func (i *investigation) round(ctx context.Context) (dead bool) {
	defer i.markProbed()
	found := i.askSuspect(ctx)
	switch {
	case ctx.Err() != nil:
		return false
	case found == silence, found == notAsked && i.hasMajority(ctx) && i.askAnnouncer(ctx, i.hasMajority) == silence:
		i.conclude(ctx, plan.Dead, "its node does not answer")
		return true
	case found != answered:
		i.missed, i.downSince = 0, time.Time{}
		i.conclude(ctx, plan.Suspect, "its node cannot be asked, or this node may be cut off itself")
		return false
	}
	i.setIsolated(ctx, false)
	return i.roundOfAnnouncer(ctx)
}

// askSuspect asks for the suspect's node. A network that was away and is back must not make everybody look dead who was asked
// meanwhile: so what is not answered proves nothing unless this node may judge before as well as after.
func (i *investigation) askSuspect(ctx context.Context) answer {
	ask := func(judge Reach) answer { return i.askNode(ctx, i.suspect.name, i.suspect.node, judge) }
	mayJudge := i.mayJudge
	i.mayJudge = false
	if !mayJudge {
		if found := ask(nil); found != unanswered || !i.canJudge(ctx) {
			return found
		}
	}
	return ask(i.canJudge)
}

// roundOfAnnouncer goes on where the node answers.
func (i *investigation) roundOfAnnouncer(ctx context.Context) (dead bool) {
	var hears Reach // whether the node itself still answers
	if i.graceEnds() {
		hears = func(ctx context.Context) bool { return i.askNode(ctx, i.suspect.name, i.suspect.node, nil) == answered }
	}
	found := i.askAnnouncer(ctx, hears)
	if found == answered {
		i.missed, i.downSince = 0, time.Time{}
		i.conclude(ctx, plan.GossipBlocked, "it answers for its addresses: is the gossip's port blocked, TCP or UDP?")
		return false
	}
	if i.missed++; i.missed < 2 && i.state() == plan.GossipBlocked {
		return false // one answer may be lost
	}
	if i.downSince.IsZero() {
		i.downSince = time.Now()
	}
	if found == silence {
		i.conclude(ctx, plan.Dead, "its node answers, but its announcer has not come back")
		return true
	}
	i.conclude(ctx, plan.AnnouncerDown, "its node answers, but its announcer does not")
	return false
}

// askAnnouncer asks for one of the suspect's addresses, as askNode does for its node, unless its announcer has said that it
// leaves: it may answer for a moment longer. A node that proxies for it sends the answer from its
// own Ethernet address. What cannot be asked for is silent.
func (i *investigation) askAnnouncer(ctx context.Context, hears Reach) (found answer) {
	i.mu.Lock()
	q, left := i.suspect.announced, i.suspect.left
	i.mu.Unlock()
	judge := func(ctx context.Context) {
		found = unanswered
		if hears != nil && hears(ctx) {
			found = silence
		}
	}
	if left || !q.Address.IsValid() {
		judge(ctx)
		return found
	}
	mac, _ := net.ParseMAC(q.MAC)
	question := layer2.Question{
		Interface: q.Interface, Address: q.Address, Tries: 2, Interval: i.timing.interval, Wait: i.timing.interval, MAC: mac,
		Accept:     func(a layer2.Answer) bool { return bytes.Equal(a.MAC, a.Source) && q.Accepts(a.MAC.String()) },
		Unanswered: judge,
	}
	if i.rounds%i.timing.broadcastEvery == 0 {
		question.Broadcast = question.Tries
	}
	i.rounds++
	if hears != nil {
		question = i.thorough(question)
	}
	switch _, answers, err := i.prober.Ask(ctx, question); {
	case err != nil:
		judge(ctx)
	case answers:
		return answered
	}
	return found
}

// graceEnds says whether the announcer has been down for so long that others take over.
func (i *investigation) graceEnds() bool {
	return !i.downSince.IsZero() && time.Since(i.downSince) > i.timing.grace
}

func (i *investigation) hasLeft() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.suspect.left
}

func (i *investigation) markProbed() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.suspect.probed {
		i.suspect.probed = true
		i.changed.Notify()
	}
}

func (i *investigation) state() plan.MemberState {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.suspect.state
}

// conclude says what has become of the suspect, unless the investigation has been ended.
func (i *investigation) conclude(ctx context.Context, state plan.MemberState, why string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if ctx.Err() != nil || i.suspect.state == state {
		return
	}
	i.suspect.state = state
	i.logger.Info("The state of a member out of sight has changed", "node", i.suspect.name, "state", state, "why", why)
	i.changed.Notify()
}
