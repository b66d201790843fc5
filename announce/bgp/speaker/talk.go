package speaker

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
)

// talk is one session of a neighbor, from dialling to its end.
type talk struct {
	*neighbor
	connection *connection
	peer       bgp.Peer
	router     netip.Addr
	// agreed is nil until there is a session.
	agreed *session
	// silence fires when the router has taken too long to say who it is.
	silence *time.Timer
	// last is what went wrong last.
	last string
	// limit says that the router sent too much.
	limit bool

	// owed is since when something is to be sent of which nothing had been when there were so many messages. It is zero if
	// nothing is.
	owed time.Time
	sent uint64

	hops hops
	// applied are the routes that the connection has been given, but for those without a next hop, and source is what they were
	// made of.
	applied, source []bgp.Route
}

var (
	errLimit    = errors.New("the router sent more routes than it may")
	errInternal = errors.New("the router is in the autonomous system of this node and was to be in another one")
	errLost     = errors.New("the session was lost")
	errStuck    = errors.New("the router does not read what it is sent")
)

// hear takes in an event. An error ends the session, which has been closed then.
func (t *talk) hear(e event) error {
	if e.err != "" {
		t.last = e.err
	}
	t.limit = t.limit || e.limit
	switch {
	case e.state == bgp.Established:
		return t.establish(e.session)
	case t.agreed == nil:
		t.approach(e)
		return nil
	case e.state == "":
		return nil
	}
	t.connection.close()
	err := errLost
	switch {
	case t.limit:
		err = errLimit
	case t.last != "":
		err = errors.New(t.last)
	}
	t.lose(err)
	return err
}

// lose notes the end of a session that was not on purpose.
func (t *talk) lose(why error) {
	t.note(func(s *bgp.PeerStatus) { s.Flaps++ })
	t.logger.Info("A BGP session was lost", "address", t.router, "reason", why.Error())
}

// sever ends a session that cannot be used, and tells the router so, which would keep the routes otherwise.
func (t *talk) sever(why string) error {
	t.connection.cease(why)
	err := errors.New(why)
	t.lose(err)
	return err
}

// approach follows how far the router lets us come.
func (t *talk) approach(e event) {
	switch e.state {
	case bgp.OpenSent:
		t.silence.Reset(t.peer.EffectiveHoldTime())
	case bgp.OpenConfirm, bgp.Connect, bgp.Idle:
		t.silence.Stop()
	}
	t.note(func(s *bgp.PeerStatus) {
		switch {
		case e.state == bgp.Idle:
			s.State = bgp.Connect // GoBGP tries again by itself
		case e.state != "":
			s.State = e.state
		}
		if e.err != "" {
			s.Error = e.err
		}
	})
}

// establish begins a session.
func (t *talk) establish(agreed session) error {
	t.silence.Stop()
	if t.peer.PeerASN == 0 && agreed.peerASN == t.peer.LocalASN {
		t.connection.cease("autonomous system " + fmt.Sprint(agreed.peerASN) + " was not to be on both sides")
		return errInternal
	}
	t.agreed = &agreed
	if !strings.HasPrefix(t.last, bgp.ToldByRouter) { // which GoBGP may read before it says that there is a session
		t.last = ""
	}
	t.restarted = true
	t.enter(bgp.Established, "")
	t.note(func(s *bgp.PeerStatus) {
		s.Error = ""
		s.PeerASN, s.PeerID = agreed.peerASN, agreed.peerID
		s.Families, s.GracefulRestart = agreed.families, agreed.gracefulRestart
	})
	t.logger.Info("A BGP session is established", "address", t.router, "asn", agreed.peerASN, "id", agreed.peerID)
	if err := t.move(); err != nil {
		t.end("internal error", true)
		return err
	}
	if t.status.Prefixes > 0 {
		t.owe(0)
	}
	return nil
}

// end closes the connection. The router is told the reason, unless it may keep the routes and will.
func (t *talk) end(reason string, keep bool) {
	switch {
	case t.agreed == nil || keep && t.agreed.gracefulRestart:
		t.connection.close()
	default:
		t.connection.cease(reason)
	}
	if t.agreed != nil {
		t.logger.Info("A BGP session was closed", "address", t.router, "reason", reason)
	}
}

// leave ends the session because something else is wanted.
func (t *talk) leave() {
	next, _, excuse := t.wanted()
	if next == nil {
		t.end(excuse, false)
	} else {
		t.end("configuration changed", next.Continues(t.peer))
	}
}

// apply brings the connection to the routes that are wanted.
func (t *talk) apply() error {
	_, routes, _ := t.wanted()
	if same(routes, t.source) {
		return nil
	}
	t.source = routes
	routes = order(routes)
	announce, withdraw := difference(t.applied, routes)
	usable := t.hops.families()
	if t.agreed != nil && count(announce, usable&t.agreed.families)+count(withdraw, usable&t.agreed.families) > 0 {
		t.owe(t.connection.updates.Load())
	}
	if err := errors.Join(
		t.connection.withdraw(only(withdraw, usable)),
		t.connection.announce(only(announce, usable), t.hops),
	); err != nil {
		return err
	}
	t.applied = routes
	t.tally()
	return nil
}

// move looks for the next hops again, which what was agreed may have changed, and announces what is affected.
func (t *talk) move() error {
	before := t.hops
	t.findHops()
	for _, f := range []bgp.Families{bgp.IPv4, bgp.IPv6} {
		was, is := before.of(f), t.hops.of(f)
		if was == is {
			continue
		}
		affected := only(t.applied, f)
		var err error
		if is.IsValid() {
			err = t.connection.announce(affected, t.hops)
		} else {
			err = t.connection.withdraw(affected)
		}
		if err != nil {
			return err
		}
	}
	t.tally()
	return nil
}

// owe notes that there is something to send, if it is not noted yet.
func (t *talk) owe(sent uint64) {
	if t.owed.IsZero() {
		t.owed, t.sent = time.Now(), sent
	}
}

// stuck says whether the router has not taken anything of the last change for as long as it may be silent itself (RFC 9687).
// What waits for it would be more with every further change.
func (t *talk) stuck() bool {
	if t.owed.IsZero() {
		return false
	}
	if t.connection.updates.Load() != t.sent {
		t.owed = time.Time{}
		return false
	}
	return time.Since(t.owed) > t.peer.EffectiveHoldTime()
}

// findHops looks for the next hops. Before there is a session, a router is taken to be able to do what it may not be.
func (t *talk) findHops() {
	extended := t.agreed == nil || t.agreed.extendedNextHop
	hops, err := findHops(t.peer, t.router, extended)
	if err != nil {
		t.logger.V(2).Info("Next hops could not be found", "address", t.router, "err", err)
	}
	t.hops = hops
}

// tally notes how much is announced on a session, and what cannot be.
func (t *talk) tally() {
	if t.agreed == nil {
		return
	}
	usable := t.hops.families()
	problem := ""
	for _, f := range []bgp.Families{bgp.IPv4, bgp.IPv6} {
		if t.agreed.families&^usable&f != 0 && count(t.applied, f) > 0 {
			problem = fmt.Sprintf("%s routes have no next hop: the interface towards %s has no such address", f, t.router)
		}
	}
	prefixes := count(t.applied, t.agreed.families&usable)
	t.note(func(s *bgp.PeerStatus) { s.Prefixes, s.Error = prefixes, problem })
}
