package speaker

import (
	"net/netip"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/notify"
)

// neighbor is what is wanted of the session with one peer, and what is seen on it. Its run, in
// fsm.go, brings the one to the other.
type neighbor struct {
	speaker *Speaker
	key     bgp.SessionKey
	logger  klog.Logger
	wake    notify.Signal
	// running is guarded by the Speaker.
	running bool

	mu sync.Mutex
	// wantedPeer is nil if the session is not wanted any more, because of closeReason.
	wantedPeer   *bgp.Peer
	wantedRoutes []bgp.Route
	closeReason  string
	// suspendedBy is why the session is kept closed, and resetBy why it is to be lost; zero if it is not.
	suspendedBy, resetBy bgp.Problem
	status               bgp.PeerStatus
	// earlierUpdates are the UPDATE messages of earlier connections, and updates returns those of
	// the present one.
	earlierUpdates uint64
	updates        func() uint64

	// lastWord is what the peer said last since there was a session; zero is nothing.
	lastWord bgp.Notification

	// These are for run alone. restarted says that the peer has not heard from this process yet,
	// but may have from an earlier one; preserved that what it may have heard can still be reached.
	restarted, preserved bool
}

func newNeighbor(s *Speaker, key bgp.SessionKey) *neighbor {
	return &neighbor{
		speaker:     s,
		key:         key,
		logger:      klog.LoggerWithValues(s.config.Logger, "peer", key),
		wake:        notify.New(),
		suspendedBy: s.suspended[key],
		status:      bgp.PeerStatus{Key: key, State: bgp.Idle, Since: time.Now()},
		restarted:   s.config.Restarted,
		preserved:   s.config.Restarted,
	}
}

// set says what is wanted.
func (n *neighbor) set(peer bgp.Peer, routes []bgp.Route) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wantedPeer != nil && *n.wantedPeer == peer && same(n.wantedRoutes, routes) {
		return
	}
	n.wantedPeer, n.wantedRoutes = &peer, routes
	n.wake.Notify()
}

// remove ends the session, and says why.
func (n *neighbor) remove(closeReason string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wantedPeer == nil {
		return
	}
	n.wantedPeer, n.wantedRoutes, n.closeReason = nil, nil, closeReason
	n.wake.Notify()
}

// suspend keeps the session closed, or does not any more if the problem is zero.
func (n *neighbor) suspend(why bgp.Problem) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.suspendedBy != why {
		n.suspendedBy = why
		n.wake.Notify()
	}
}

// reset has the session lost if it is established.
func (n *neighbor) reset(why bgp.Problem) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.status.State == bgp.Established {
		n.resetBy = why
		n.wake.Notify()
	}
}

// wanted returns what is wanted now. Without a peer, the session is to end for the reason.
func (n *neighbor) wanted() (peer *bgp.Peer, routes []bgp.Route, closeReason string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.wantedPeer, n.wantedRoutes, n.closeReason
}

// wants says whether the session is still to be one with this Peer.
func (n *neighbor) wants(peer bgp.Peer) bool {
	now, _, _ := n.wanted()
	return now != nil && *now == peer
}

// suspension is why the session is kept closed, if it is.
func (n *neighbor) suspension() bgp.Problem {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.suspendedBy
}

// mustEnd is why the session is to be lost, if it is established and to be.
func (n *neighbor) mustEnd() bgp.Problem {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.status.State != bgp.Established:
		return bgp.Problem{}
	case n.resetBy.Kind != bgp.NoProblem:
		return n.resetBy
	}
	return n.suspendedBy
}

// currentStatus returns the status, unless the session is not wanted any more.
func (n *neighbor) currentStatus() (bgp.PeerStatus, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	status := n.status
	status.Updates = n.earlierUpdates
	if n.updates != nil {
		status.Updates += n.updates()
	}
	return status, n.wantedPeer != nil
}

// enter takes a state (RFC 4271, section 8.2.2), and what went wrong if anything did.
func (n *neighbor) enter(state bgp.State, problem bgp.Problem) {
	n.updateStatus(func(s *bgp.PeerStatus) {
		if (s.State == bgp.Established) != (state == bgp.Established) {
			s.Since = time.Now()
		}
		if state != bgp.Established {
			n.resetBy = bgp.Problem{} // it has been lost
			s.Prefixes, s.Sent, s.Unsent = 0, bgp.PrefixCounts{}, bgp.PrefixCounts{}
			s.Local, s.PeerASN, s.PeerID = netip.Addr{}, 0, netip.Addr{}
			s.Families, s.Announced, s.ExtendedNextHop, s.GracefulRestart = 0, 0, false, false
		}
		s.State = state
		if problem.Kind != bgp.NoProblem {
			s.Problem = problem
		}
	})
}

// updateStatus changes the status, and tells if that made a difference.
func (n *neighbor) updateStatus(change func(*bgp.PeerStatus)) {
	before, after, removed := n.changeStatus(change)
	if after.Problem != before.Problem && after.Problem.Kind != bgp.NoProblem {
		n.logger.Info("A BGP session has a problem", "address", after.Address, "state", after.State, "problem", after.Problem)
	}
	if after != before || removed {
		n.speaker.changed.Notify()
	}
}

func (n *neighbor) changeStatus(change func(*bgp.PeerStatus)) (before, after bgp.PeerStatus, removed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before = n.status
	change(&n.status)
	n.recallLastWord(before.Problem)
	return before, n.status, n.wantedPeer == nil
}

// recallLastWord keeps what the peer has said beside what went wrong later, until there is a
// session again.
func (n *neighbor) recallLastWord(before bgp.Problem) {
	now := &n.status.Problem
	switch said := now.Notification; {
	case n.status.State == bgp.Established:
		n.lastWord = bgp.Notification{}
	case *now == before:
	default:
		*now = now.After(n.lastWord)
		if now.Kind == bgp.Refused || now.Kind == bgp.NotificationReceived {
			if said.Reason != "" || n.lastWord.Reason == "" {
				n.lastWord = said
			}
		}
	}
}

// countUpdates has the messages of a connection counted, instead of those of the one before; nil is none.
func (n *neighbor) countUpdates(c connection) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.updates != nil {
		n.earlierUpdates += n.updates()
		n.updates = nil
	}
	if c != nil {
		n.updates = c.updates
	}
}
