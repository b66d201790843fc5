package speaker

import (
	"context"
	"net/netip"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/guard"
)

// session is one session of a neighbor, from dialling to its end.
type session struct {
	*neighbor
	connection connection
	peer       bgp.Peer
	address    netip.Addr
	at         peerAddress
	// negotiated is nil until both OPENs have been compared: nothing is announced before.
	negotiated *negotiated
	// established says that the session has been.
	established bool
	// openTimer fires when the peer has taken too long to send its OPEN, or to accept that of this
	// side (RFC 4271, section 8.2.2: the hold timer in OpenSent and OpenConfirm).
	openTimer *time.Timer
	// problem is what went wrong last.
	problem bgp.Problem

	adjRIBOut
	sendHold sendHold
}

// recheckInterval is how often it is looked whether a peer still reads.
const recheckInterval = 5 * time.Second

// What a peer is told that is closed on purpose.
const (
	reasonInternalError = "internal error"
	reasonConfiguration = "configuration changed"
)

// runSession is one session. It returns what ended it, or no problem if that was on purpose, and
// whether it was established.
// The peer is then the one that it was with in the end.
func (n *neighbor) runSession(ctx context.Context, peer *bgp.Peer, address netip.Addr, at peerAddress) (bgp.Problem, bool) {
	c, err := n.speaker.open(*peer, address, n.logger)
	if err != nil {
		return bgp.Problem{Kind: bgp.StartFailed, Detail: err.Error()}, false
	}
	n.countUpdates(c)
	defer n.countUpdates(nil)
	s := &session{neighbor: n, connection: c, peer: *peer, address: address, at: at, openTimer: time.NewTimer(0)}
	s.openTimer.Stop()
	defer s.openTimer.Stop()
	defer func() { *peer = s.peer }()
	if err := c.dial(n.restartState(*peer)); err != nil {
		c.close()
		return bgp.Problem{Kind: bgp.DialFailed, Address: address, Detail: err.Error()}, false
	}
	n.enter(bgp.Connect, bgp.Problem{})
	var problem bgp.Problem
	if failed := guard.Run("bgp", n.key.String(), func() { problem = s.run(ctx) }); failed != nil {
		c.close()
		problem = bgp.Problem{Kind: bgp.StartFailed, Detail: failed.Error()}
	}
	return problem, s.established
}

// run follows what is wanted and what happens until the session has ended.
func (s *session) run(ctx context.Context) bgp.Problem {
	recheck := time.NewTicker(recheckInterval)
	defer recheck.Stop()
	for {
		ended, problem := false, bgp.Problem{}
		select {
		case <-ctx.Done():
			s.end(s.speaker.finalNotification())
			return bgp.Problem{}
		case <-s.wake:
			ended, problem = s.followWanted()
		case <-recheck.C:
			ended, problem = s.recheck()
		case <-s.connection.changed():
			ended, problem = s.handleEvents()
		case <-s.openTimer.C:
			s.connection.close()
			return s.openTimeout()
		case <-s.at.moved:
			if !s.established && s.at.current() != s.address {
				s.connection.close()
				return bgp.Problem{}
			}
		}
		switch {
		case ended:
			return problem
		case problem.Kind != bgp.NoProblem: // of this program
			s.end(reasonInternalError, true)
			return problem
		}
	}
}

// followWanted does what has become wanted.
func (s *session) followWanted() (ended bool, problem bgp.Problem) {
	if next, _, _ := s.wanted(); next != nil && s.established && next.ServedBy(s.peer, s.negotiated.peerASN) {
		s.peer = *next
	} else if next == nil || *next != s.peer {
		s.endOnPurpose()
		return true, bgp.Problem{}
	}
	if why := s.mustEnd(); why.Kind != bgp.NoProblem {
		if why.Kind == bgp.LocalAddressGone { // nobody can be told
			s.connection.close()
		} else { // the peer would keep the routes otherwise
			s.connection.cease(why.String())
		}
		s.lost(why)
		return true, why
	}
	if !s.established && s.suspension().Kind != bgp.NoProblem {
		s.connection.close()
		return true, bgp.Problem{}
	}
	if s.negotiated != nil && !s.host.Equal(s.speaker.currentHost()) {
		if problem := s.moveNextHops(); problem.Kind != bgp.NoProblem {
			return false, problem
		}
	}
	return false, s.sync()
}

// recheck looks for what nobody tells of.
func (s *session) recheck() (ended bool, problem bgp.Problem) {
	if s.sendHold.expired(s.connection.updates(), s.peer.EffectiveHoldTime()) {
		s.connection.close()
		problem = bgp.Problem{Kind: bgp.SendHoldTimerExpired}
		s.lost(problem)
		return true, problem
	}
	return false, s.leave()
}

func (s *session) handleEvents() (ended bool, problem bgp.Problem) {
	for _, e := range s.connection.events() {
		if ended, problem = s.handle(e); ended || problem.Kind != bgp.NoProblem {
			return ended, problem
		}
	}
	return false, s.leave()
}

// handle takes in an event.
func (s *session) handle(e event) (ended bool, problem bgp.Problem) {
	if e.problem.Kind != bgp.NoProblem && !s.explained() {
		s.problem = e.problem
	}
	switch e.state {
	case bgp.OpenConfirm:
		s.approach(e)
		return false, s.prepare(e.negotiated)
	case bgp.Established:
		s.establish()
		return false, bgp.Problem{}
	case bgp.Idle:
		return true, s.close()
	}
	if s.established {
		return false, bgp.Problem{}
	}
	s.approach(e)
	if e.problem.Kind == bgp.NoProblem {
		return false, bgp.Problem{}
	}
	problem = s.failed(e.problem)
	if s.at.current() == s.address {
		return false, bgp.Problem{} // the connection tries again by itself
	}
	s.connection.close()
	return true, problem
}

// openTimeout is why the peer has not accepted the session in time.
func (s *session) openTimeout() bgp.Problem {
	if s.negotiated != nil {
		return s.failed(bgp.Problem{Kind: bgp.HoldTimerExpired})
	}
	return s.failed(bgp.Problem{Kind: bgp.NoOpen})
}

// failed notes that there is no session at this address, and returns why the next attempt has to
// wait: no problem if there is another address to try.
func (s *session) failed(why bgp.Problem) bgp.Problem {
	if why.Kind == bgp.NoProblem || why.Internal() || !s.at.pass(s.address) {
		return why
	}
	s.enter(bgp.Connect, why)
	return bgp.Problem{}
}

// explained says that what went wrong explains whatever follows it, such as the end of the connection.
func (s *session) explained() bool {
	return s.problem.Kind == bgp.NotificationReceived || s.problem.Kind == bgp.PrefixLimit || s.problem.Detail == unreadable
}

// approach follows the states before Established.
func (s *session) approach(e event) {
	if e.state == bgp.OpenSent || e.state == bgp.OpenConfirm {
		s.openTimer.Reset(s.peer.EffectiveHoldTime())
	}
	s.updateStatus(func(status *bgp.PeerStatus) {
		if e.state != "" {
			status.State = e.state
		}
		if e.problem.Kind != bgp.NoProblem {
			status.Problem = e.problem
		}
	})
}

// prepare has the routes ready that fit what both sides have agreed to, and then the session begin,
// so that the peer hears them before it hears that these are all.
func (s *session) prepare(with negotiated) bgp.Problem {
	s.negotiated = &with
	s.refreshNextHops()
	if problem := s.sync(); problem.Kind != bgp.NoProblem {
		return problem
	}
	s.connection.begin()
	return bgp.Problem{}
}

// establish follows the session, which is there now.
func (s *session) establish() {
	s.openTimer.Stop()
	s.established, s.restarted, s.preserved = true, false, true
	// GoBGP may tell of what ends the session before it does of the session.
	if !s.explained() {
		s.problem = bgp.Problem{}
	}
	with := s.negotiated
	s.enter(bgp.Established, bgp.Problem{})
	s.updateStatus(func(status *bgp.PeerStatus) {
		status.Problem = bgp.Problem{}
		status.Local, status.PeerASN, status.PeerID = with.local, with.peerASN, with.peerID
		status.Families, status.ExtendedNextHop, status.GracefulRestart = with.families, with.extendedNextHop, with.gracefulRestart
	})
	s.logger.Info("A BGP session is established", "address", s.address, "asn", with.peerASN, "id", with.peerID)
	s.reportRoutes()
	if s.status.Prefixes > 0 {
		s.sendHold.start(0)
	}
}

// close gives up a connection that has ended, and says why it has.
func (s *session) close() bgp.Problem {
	s.connection.close()
	if s.established {
		problem := s.problem
		if problem.Kind == bgp.NoProblem {
			problem = bgp.Problem{Kind: bgp.SessionLost}
		}
		s.lost(problem)
		return problem
	}
	return s.failed(s.problem)
}

// lost notes the end of an established session that was not on purpose.
func (s *session) lost(why bgp.Problem) {
	s.updateStatus(func(status *bgp.PeerStatus) { status.Flaps++ })
	s.logger.Info("A BGP session was lost", "address", s.address, "reason", why)
}

// end closes the connection. The peer is told the reason, unless it is to keep the routes and will.
func (s *session) end(reason string, keep bool) {
	switch {
	case !s.established || keep && s.negotiated.gracefulRestart:
		s.connection.close()
	default:
		s.connection.cease(reason)
	}
	if s.established {
		s.logger.Info("A BGP session was closed", "address", s.address, "reason", reason)
	}
}

// endOnPurpose ends the session because something else is wanted.
func (s *session) endOnPurpose() {
	next, _, closeReason := s.wanted()
	if next == nil {
		s.end(closeReason, false)
	} else {
		s.end(reasonConfiguration, next.Continues(s.peer))
	}
}

// sendHold finds out whether a peer has not taken anything of the last change for as long as it may
// be silent itself (RFC 9687). What waits for it would be more with every further change. The zero
// sendHold has nothing to send.
type sendHold struct {
	since   time.Time
	updates uint64
}

// start notes that something is to be sent after so many UPDATE messages, if that is not noted yet.
func (h *sendHold) start(updates uint64) {
	if h.since.IsZero() {
		h.since, h.updates = time.Now(), updates
	}
}

// expired says whether nothing has been sent for so long. With the first message it stops.
func (h *sendHold) expired(updates uint64, after time.Duration) bool {
	if h.since.IsZero() {
		return false
	}
	if updates != h.updates {
		h.since = time.Time{}
		return false
	}
	return time.Since(h.since) > after
}
