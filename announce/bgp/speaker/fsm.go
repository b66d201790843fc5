package speaker

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/guard"
)

// Pauses before the next session after one that was lost (RFC 4271, section 8.1.1:
// DampPeerOscillations and IdleHoldTime).
const (
	// minIdleHold follows the first one that was lost early, and is doubled up to maxIdleHold by
	// each that was lost so too.
	minIdleHold = time.Second
	maxIdleHold = 30 * time.Second
	// prefixLimitIdleHold follows one in which the peer sent too much.
	prefixLimitIdleHold = time.Minute
	// stableAfter is when a session is not lost early any more. The next one follows it at once.
	stableAfter = 10 * time.Second
)

// runAgain is run, which begins anew where that panics.
func (n *neighbor) runAgain(ctx context.Context) {
	guard.Retry(ctx, "bgp", n.key.String(), func() {
		n.enter(bgp.Idle, bgp.Problem{})
		n.run(ctx)
	})
}

// run keeps the session up until the context ends or the session is not wanted any more.
func (n *neighbor) run(ctx context.Context) {
	for ctx.Err() == nil {
		if peer, _, _ := n.wanted(); peer != nil {
			n.maintain(ctx, *peer)
		} else if n.leaveSpeaker() {
			return
		}
	}
}

// restartState is what the next session says of graceful restart. That of a peer which this process
// has not spoken to since it began is about the earlier process, for as long as the peer may keep
// the routes of that.
func (n *neighbor) restartState(peer bgp.Peer) restartState {
	return restartState{
		restarted: n.restarted && time.Since(n.speaker.began) <= peer.RestartTime,
		preserved: n.preserved,
	}
}

// leaveSpeaker has the Speaker forget the neighbor, unless it is wanted again.
func (n *neighbor) leaveSpeaker() bool {
	n.speaker.mu.Lock()
	defer n.speaker.mu.Unlock()
	if peer, _, _ := n.wanted(); peer != nil {
		return false
	}
	delete(n.speaker.neighbors, n.key)
	n.updateStatus(func(*bgp.PeerStatus) {})
	return true
}

// maintain keeps the session up for as long as it is wanted with this Peer.
func (n *neighbor) maintain(ctx context.Context, peer bgp.Peer) {
	if err := peer.Validate(); err != nil {
		n.enter(bgp.Idle, bgp.Problem{Kind: bgp.InvalidPeer, Detail: err.Error()})
		n.await(ctx, wakeup{peer: peer})
		return
	}
	at := fixedAddress(peer.Address)
	if peer.Unnumbered() {
		ctx, stop := context.WithCancel(ctx)
		discovery := n.speaker.discover(peer.Interface, n.logger)
		var running sync.WaitGroup
		running.Go(func() {
			guard.Retry(ctx, "bgp", peer.Interface, func() { discovery.run(ctx) })
		})
		defer running.Wait()
		defer stop()
		at = peerAddress{discovery.address, discovery.pass, discovery.changed()}
	}
	idleHold := minIdleHold
	for ctx.Err() == nil && n.wants(peer) {
		address, ready := n.ready(ctx, peer, at)
		if !ready {
			continue
		}
		began := time.Now()
		problem, established := n.runSession(ctx, &peer, address, at)
		pause, state := idleHold, bgp.Idle
		switch {
		case problem.Kind == bgp.NoProblem:
			continue
		case !established && !problem.Internal():
			pause, state = peer.EffectiveConnectTime(), bgp.Connect
		case problem.Kind == bgp.PrefixLimit:
			pause = prefixLimitIdleHold
		case time.Since(began) >= stableAfter:
			idleHold, pause = minIdleHold, 0
		default:
			idleHold = min(2*idleHold, maxIdleHold)
		}
		n.enter(state, problem)
		timer := time.NewTimer(pause)
		n.await(ctx, wakeup{peer: peer, timer: timer.C})
		timer.Stop()
	}
}

// ready returns the address of the peer if it can be dialled now. Otherwise it waits until that may
// have changed.
func (n *neighbor) ready(ctx context.Context, peer bgp.Peer, at peerAddress) (netip.Addr, bool) {
	address := at.current()
	if !address.IsValid() {
		n.enter(bgp.Connect, bgp.Problem{Kind: bgp.NoRouterAdvertisement, Detail: peer.Interface})
		n.await(ctx, wakeup{peer: peer, moved: at.moved})
		return address, false
	}
	n.updateStatus(func(s *bgp.PeerStatus) { s.Address = address })
	if why := n.suspension(); why.Kind != bgp.NoProblem {
		n.enter(bgp.Connect, why)
		n.await(ctx, wakeup{peer: peer, moved: at.moved, suspension: why})
		return address, false
	}
	return address, true
}

// peerAddress says where a peer is.
type peerAddress struct {
	// current is the zero Addr as long as the peer has not been found.
	current func() netip.Addr
	// pass has another address tried than one at which there was no session. It returns false if
	// all have been tried.
	pass func(netip.Addr) (more bool)
	// moved receives after current has changed; nil if it never does.
	moved <-chan struct{}
}

func fixedAddress(address netip.Addr) peerAddress {
	return peerAddress{current: func() netip.Addr { return address }, pass: func(netip.Addr) bool { return false }}
}

// wakeup is what ends a wait, besides the end of the context.
type wakeup struct {
	// peer : something else is wanted than a session with this one.
	peer bgp.Peer
	// timer or moved : it receives.
	timer <-chan time.Time
	moved <-chan struct{}
	// suspension : it is another one, or has been lifted. The zero Problem is not to look.
	suspension bgp.Problem
}

// await waits until one of these happens.
func (n *neighbor) await(ctx context.Context, until wakeup) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-until.timer:
			return
		case <-until.moved:
			return
		case <-n.wake:
			if !n.wants(until.peer) || until.suspension.Kind != bgp.NoProblem && n.suspension() != until.suspension {
				return
			}
		}
	}
}
