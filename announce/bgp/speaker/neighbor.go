package speaker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/notify"
)

// neighbor keeps up the session with one router.
type neighbor struct {
	speaker *Speaker
	key     bgp.SessionKey
	logger  klog.Logger
	wake    notify.Signal
	// running is guarded by the Speaker.
	running bool

	mu     sync.Mutex
	peer   *bgp.Peer // nil is one to forget
	routes []bgp.Route
	// excuse is why the session is ended, if the peer is nil.
	excuse string
	// held is why the session is kept closed, and severed why it is to be lost; empty if it is not.
	held, severed string
	status        bgp.PeerStatus
	// counted are the messages of earlier connections, updates those of the present one.
	counted uint64
	updates func() uint64

	// restarted is for run alone: a router may have kept routes of this node.
	restarted bool
}

func newNeighbor(s *Speaker, key bgp.SessionKey) *neighbor {
	return &neighbor{
		speaker:   s,
		key:       key,
		logger:    klog.LoggerWithValues(s.config.Logger, "peer", key),
		wake:      notify.New(),
		held:      s.held[key],
		status:    bgp.PeerStatus{Key: key, State: bgp.Idle, Since: time.Now()},
		restarted: s.config.Restarted,
	}
}

// set says what is wanted.
func (n *neighbor) set(peer bgp.Peer, routes []bgp.Route) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.peer != nil && *n.peer == peer && same(n.routes, routes) {
		return
	}
	n.peer, n.routes = &peer, routes
	n.wake.Notify()
}

// leave ends the session, and says why.
func (n *neighbor) leave(excuse string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.peer == nil {
		return
	}
	n.peer, n.routes, n.excuse = nil, nil, excuse
	n.wake.Notify()
}

func (n *neighbor) hold(why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held != why {
		n.held = why
		n.wake.Notify()
	}
}

// holding is why the session is kept closed, if it is.
func (n *neighbor) holding() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.held
}

func (n *neighbor) sever(why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.status.State == bgp.Established {
		n.severed = why
		n.wake.Notify()
	}
}

// severs is why the session is to be lost, if it is established and to be.
func (n *neighbor) severs() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.status.State != bgp.Established {
		return ""
	}
	return cmp.Or(n.severed, n.held)
}

// seen returns the status, unless there is none any more.
func (n *neighbor) seen() (bgp.PeerStatus, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	status := n.status
	status.Updates = n.counted
	if n.updates != nil {
		status.Updates += n.updates()
	}
	return status, n.peer != nil
}

// wanted returns what is wanted now. Without a peer, the session is to end with the excuse.
func (n *neighbor) wanted() (peer *bgp.Peer, routes []bgp.Route, excuse string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.peer, n.routes, n.excuse
}

// run keeps the session up until the context ends or the router is to be forgotten.
func (n *neighbor) run(ctx context.Context) {
	for ctx.Err() == nil {
		if peer, _, _ := n.wanted(); peer != nil {
			n.serve(ctx, *peer)
		} else if n.forget() {
			return
		}
	}
}

// forget leaves the Speaker, unless the router is wanted again.
func (n *neighbor) forget() bool {
	n.speaker.mu.Lock()
	defer n.speaker.mu.Unlock()
	if peer, _, _ := n.wanted(); peer != nil {
		return false
	}
	delete(n.speaker.neighbors, n.key)
	n.note(func(*bgp.PeerStatus) {})
	return true
}

// until is what ends a wait early.
type until struct {
	peer bgp.Peer
	stop <-chan time.Time
	// moved receives after the router has been found at another address.
	moved <-chan struct{}
	// held is why the session is kept closed; the wait is over when that changes.
	held string
}

// await waits until the context ends, something else is wanted of the router than this Peer, or the wait is over; it returns
// whether nothing else is wanted.
func (n *neighbor) await(ctx context.Context, until until) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-until.stop:
			return true
		case <-until.moved:
			return true
		case <-n.wake:
			if !n.wants(until.peer) {
				return false
			}
			if until.held != "" && n.holding() != until.held {
				return true
			}
		}
	}
}

// wants says whether the session is still to be one of this Peer.
func (n *neighbor) wants(peer bgp.Peer) bool {
	now, _, _ := n.wanted()
	return now != nil && *now == peer
}

// Pauses after a session that was lost before it had lasted.
const (
	minPause = time.Second
	maxPause = 30 * time.Second
	// limitPause follows one in which the router sent too much.
	limitPause = time.Minute
	// settled is when a session has lasted.
	settled = 10 * time.Second
)

// serve keeps the session up for as long as it is wanted with these parameters.
func (n *neighbor) serve(ctx context.Context, peer bgp.Peer) {
	if err := peer.Validate(); err != nil {
		n.enter(bgp.Idle, err.Error())
		n.await(ctx, until{peer: peer})
		return
	}
	where := fixed(peer.Address)
	if peer.Unnumbered() {
		ctx, stop := context.WithCancel(ctx)
		beacon := newBeacon(peer.Interface, n.logger)
		var shining sync.WaitGroup
		shining.Go(func() { beacon.run(ctx) })
		defer shining.Wait()
		defer stop()
		where = whereabouts{beacon.router, beacon.moved}
	}
	pause := minPause
	for ctx.Err() == nil && n.wants(peer) {
		router := where.router()
		if !router.IsValid() {
			n.enter(bgp.Connect, fmt.Sprintf("no router has advertised itself on %s", peer.Interface))
			n.await(ctx, until{peer: peer, moved: where.moved})
			continue
		}
		n.note(func(s *bgp.PeerStatus) { s.Address = router })
		if why := n.holding(); why != "" {
			n.enter(bgp.Connect, why)
			n.await(ctx, until{peer: peer, moved: where.moved, held: why})
			continue
		}
		began := time.Now()
		err := n.speak(ctx, peer, router, where)
		wait := pause
		switch {
		case err == nil:
			continue
		case errors.Is(err, errLimit):
			wait = limitPause
		case time.Since(began) >= settled:
			pause, wait = minPause, 0
		default:
			pause = min(2*pause, maxPause)
		}
		n.enter(bgp.Idle, err.Error())
		timer := time.NewTimer(wait)
		n.await(ctx, until{peer: peer, stop: timer.C})
		timer.Stop()
	}
}

// whereabouts say where a router is.
type whereabouts struct {
	router func() netip.Addr
	moved  <-chan struct{}
}

func fixed(address netip.Addr) whereabouts {
	return whereabouts{router: func() netip.Addr { return address }}
}

// speak is one session. It returns what ended it, or nil if that was on purpose.
func (n *neighbor) speak(ctx context.Context, peer bgp.Peer, router netip.Addr, where whereabouts) error {
	c, err := open(peer, router, n.logger)
	if err != nil {
		return err
	}
	n.count(c)
	defer n.count(nil)
	t := &talk{neighbor: n, connection: c, peer: peer, router: router, silence: time.NewTimer(0)}
	t.silence.Stop()
	defer t.silence.Stop()
	t.findHops()
	// All routes are there before the session is, so that the router hears them before it is told that these are all.
	if err := errors.Join(t.apply(), c.dial(n.restarted)); err != nil {
		c.close()
		return err
	}
	n.enter(bgp.Connect, "")
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			t.end(n.speaker.lastWord())
			return nil
		case <-n.wake:
			if !n.wants(peer) {
				t.leave()
				return nil
			}
			if why := n.severs(); why != "" {
				return t.sever(why)
			}
			if t.agreed == nil && n.holding() != "" {
				c.close()
				return nil
			}
			err = t.apply()
		case <-look.C:
			if t.stuck() {
				c.close()
				t.lose(errStuck)
				return errStuck
			}
			if peer.OfferedFamilies()&^t.hops.families() != 0 {
				err = t.move()
			}
		case <-c.news:
			for _, e := range c.take() {
				if err := t.hear(e); err != nil {
					return err
				}
			}
		case <-t.silence.C:
			c.close()
			n.enter(bgp.Connect, silentRouter)
			return nil
		case <-where.moved:
			if t.agreed == nil && where.router() != router {
				c.close()
				return nil
			}
		}
		if err != nil {
			t.end("internal error", true)
			return err
		}
	}
}

// lookAgain is how often a next hop is looked for that was missing, and whether a router still reads.
const lookAgain = 5 * time.Second

// enter notes a state and what went wrong, if anything did.
func (n *neighbor) enter(state bgp.State, err string) {
	n.note(func(s *bgp.PeerStatus) {
		if (s.State == bgp.Established) != (state == bgp.Established) {
			s.Since = time.Now()
		}
		if state != bgp.Established {
			n.severed = "" // it is over
			s.Prefixes, s.PeerASN, s.PeerID, s.Families, s.GracefulRestart = 0, 0, netip.Addr{}, 0, false
		}
		s.State = state
		if err != "" {
			s.Error = err
		}
	})
}

// note changes the status.
func (n *neighbor) note(change func(*bgp.PeerStatus)) {
	n.mu.Lock()
	before := n.status
	change(&n.status)
	after := n.status
	gone := n.peer == nil
	n.mu.Unlock()
	if after.Error != before.Error && after.Error != "" {
		n.logger.Info("A BGP session has a problem", "address", after.Address, "state", after.State, "problem", after.Error)
	}
	if after != before || gone {
		n.speaker.changed.Notify()
	}
}

// count has the messages of a connection counted, instead of those of the one before.
func (n *neighbor) count(c *connection) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.updates != nil {
		n.counted += n.updates()
		n.updates = nil
	}
	if c != nil {
		n.updates = c.updates.Load
	}
}
