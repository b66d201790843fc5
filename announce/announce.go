package announce

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/guard"
)

// Run announces until the context ends. It then tells the other announcers that it leaves, which
// takes up to a second; this one still answers meanwhile. What it has stays with its node for a
// while, and others answer in its place, so that it can be started anew, for an upgrade say,
// without a move. An error means that it cannot go on, but could if started again.
func (a *Announcer) Run(ctx context.Context) error {
	defer a.ready.Store(false)
	ctx = klog.NewContext(ctx, a.logger)
	// What runs beside the loop outlives the context, to serve until the others have taken over. If
	// it fails, the loop ends too.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, background := errgroup.WithContext(background)
	until, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(background, cancel)

	for _, r := range []runner{a.api.watcher, a.api.keys, a.lan.links, a.lan.responder, a.lan.prober, a.others.pauses, a.health} {
		group.Go(func() error { return r.Run(background) })
	}
	group.Go(func() error { return a.peering.Run(until) })
	a.api.events.Start()
	defer a.api.events.Stop()
	written := make(chan struct{})
	if a.api.deadNodes != nil {
		group.Go(func() error { return a.api.deadNodes.Run(until) })
	}
	go func() {
		defer close(written)
		a.api.status.Run(until)
	}()

	err := a.announce(until, background, group)
	if until.Err() != nil {
		err = nil // it was told to end, or the group knows why
	}
	cancel()
	a.wait()
	<-written
	if a.Ready() && ctx.Err() != nil {
		a.writeStopped(background)
	}
	stop()
	return errors.Join(err, group.Wait())
}

// farewell is for how long an announcer answers that has told the others that it leaves: who answers in its place may be slow to begin.
const farewell = 300 * time.Millisecond

// announce starts, announces until the context ends, and leaves. What it starts in the group goes on in the background.
func (a *Announcer) announce(ctx, background context.Context, group *errgroup.Group) error {
	key, err := a.start(ctx)
	if err != nil {
		return err
	}
	left := make(chan struct{})
	a.others.members = a.others.newMembers(a.others.address, key)
	a.others.watch.heartbeats = a.others.newHeartbeats(a.others.address, a.others.members.Keys)
	heartbeats := a.others.watch.heartbeats
	group.Go(func() error { return heartbeats.Run(background) }) // they show that the process runs
	context.AfterFunc(ctx, heartbeats.Leave)
	group.Go(func() error {
		defer close(left)
		return a.others.members.Run(ctx)
	})
	group.Go(func() error {
		a.api.unanswered.Run(ctx, a.speaksForAll)
		return nil
	})
	if err = a.join(ctx); err == nil {
		err = a.loop(ctx)
	}
	if ctx.Err() != nil {
		a.logger.Info("Leaving the other announcers", "node", a.node)
		<-left
		time.Sleep(farewell)
	}
	return err
}

// speaksForAll says whether this node is to say what one of all announcers has to: the first of those in sight.
func (a *Announcer) speaksForAll() bool {
	alive := a.others.members.Alive()
	return len(alive) > 0 && alive[0] == a.node
}

// wait returns when nothing is asked any more that the loop has begun to ask, after its context has
// ended.
func (a *Announcer) wait() {
	a.lan.dad.wait()
	a.others.detector.Wait()
	a.others.silence.Wait()
	a.api.cacheSync.Wait()
	a.checks.Wait()
}

// loop takes in what changes, and does what that asks for, until the context ends.
func (a *Announcer) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer a.turns.Rest()
	defer a.lan.rejects.Leave()
	defer a.lan.relays.leave()
	for {
		a.turns.Work()
		if wake := a.turn(ctx); !wake.IsZero() {
			timer.Reset(max(time.Until(wake), 0))
		}
		a.ready.Store(true)
		a.turns.Rest()
		var err error
		if guard.Run("loop", "", func() { err = a.awaitChange(ctx, timer.C) }) != nil {
			a.redo = true
		}
		if err != nil {
			return err
		}
	}
}

// turnRetry is when a turn is tried again that has failed.
const turnRetry = time.Second

// turn does what there is to do, and returns when to do so again. If it panics, everything stays as it
// is on the network, and the next turn does anew what this one may not have done.
func (a *Announcer) turn(ctx context.Context) (wake time.Time) {
	if guard.Run("loop", "", func() {
		wake = plan.Earlier(a.observe(ctx), a.step(ctx))
		wake = plan.Earlier(wake, a.inquire(time.Now()))
		if a.inherits() {
			wake = time.Now()
		}
	}) != nil {
		a.redo = true
		return time.Now().Add(turnRetry)
	}
	return wake
}

// awaitChange blocks until there is something to do, and takes in what that is.
func (a *Announcer) awaitChange(ctx context.Context, timer <-chan time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer:
	case <-a.lan.links.Changed():
		a.lan.kernel.stale = true
	case <-a.lan.links.KernelChanged():
		a.lan.kernel.stale = true
	case <-a.others.members.Changed():
		a.receive()
	case <-a.others.watch.heartbeats.Changed():
	case <-a.others.pauses.Changed():
		a.notePause()
	case <-a.others.detector.Changed():
	case <-a.others.silence.Changed():
	case <-a.api.cacheSync.Changed():
	case <-a.api.keys.Changed():
		a.changeKey()
	case <-a.health.Changed():
		a.status.changed = true
	case <-a.checks.Changed():
		for _, service := range a.checks.Served() {
			a.view.Confirm(service)
		}
	case r := <-a.lan.dad.results:
		a.finishProbe(r)
	case <-a.lan.responder.Sighted():
		a.observeSightings()
	case <-a.api.layer2.Changed():
		a.lan.kernel.stale = true
		return a.applyChanges()
	}
	return nil
}

// applyChanges takes in what the API says now. The gossip is bound to the node's address, so that
// another one is an error.
func (a *Announcer) applyChanges() error {
	a.api.layer2.Apply(a.view)
	if address := a.view.NodeAddress(a.node); address.IsValid() && address != a.others.address {
		return fmt.Errorf("the address of node %s has changed from %s to %s: start again", a.node, a.others.address, address)
	}
	a.updatePeers()
	return nil
}

// step plans, and does and records what has changed: first on the network, then in the API. It
// returns when to plan again.
func (a *Announcer) step(ctx context.Context) time.Time {
	now := time.Now()
	a.checks.Set(ctx, a.view.Unconfirmed())
	a.planner.HoldBack(now.Add(a.others.pauses.Hold()), a.others.pauses.Away())
	todo := a.planner.Plan(now)
	todo.Changed = todo.Changed || a.redo
	a.reportFailures(todo.Failures)
	a.metrics.planDuration.Observe(time.Since(now).Seconds())
	wake := plan.Earlier(todo.Wake, a.act(ctx, todo, now))
	for _, m := range todo.Moves {
		a.reportMove(m)
	}
	wake = plan.Earlier(wake, a.reportGossipBlocked(todo.GossipBlocked, now))
	a.reportCounts(todo)
	kernelChanged := a.lan.kernel.check(a.lan.links, a.planner, now)
	a.reportStatus(todo.Changed || kernelChanged)
	a.redo = false
	return plan.Earlier(wake, a.lan.kernel.due())
}

// act does what a plan says. It returns when to plan again for the sake of the kernel.
func (a *Announcer) act(ctx context.Context, todo plan.Layer2Plan, now time.Time) (wake time.Time) {
	// First: who finds another node dead too may be about to take the same addresses.
	a.sendTakeovers(todo.Takeovers)
	if todo.Changed && len(todo.Takeovers) > 0 { // clients wait, and netfilter may take its time
		a.lan.responder.Set(a.lan.withoutRelaysToCome(todo))
	}
	a.lan.relays.prepare(todo.Relays) // what belongs to connections from elsewhere needs its way before it comes
	if todo.Changed {
		a.lan.announced = prefixesOf(todo.Layer2)
		a.lan.rejects.Set(a.lan.announced, now)
		a.lan.responder.Set(todo.Layer2)
	}
	wake = plan.Earlier(a.lan.relays.finish(todo.Relays, now), a.lan.rejects.Step(now))
	a.status.setKernelProblems(a.lan.relays.sentence() + a.lan.rejects.Sentence())
	if len(todo.Quiesce) > 0 {
		a.lan.responder.Quiesce(todo.Quiesce...)
	}
	if len(todo.Reannounce) > 0 {
		a.lan.responder.Reannounce(todo.Reannounce...)
	}
	a.lan.responder.SetProxied(proxied(todo.Proxied))
	a.lan.dad.probe(ctx, todo.Probes, nodes{a.others.macs, a.others.silent})
	return wake
}
