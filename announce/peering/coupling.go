package peering

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/bfd"
	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/plan"
)

// coupling decides what sessions of BFD there are for those of BGP, and what becomes of these when
// a path is dead (RFC 5882, section 4.4). It has no clock and touches no socket.
//
// A session of BFD begins when that of BGP is established, and ends with it. A peer that sets up
// its side by the one would take what comes before or after for a failure. There are two
// exceptions. A strict session waits for BFD. And the first session after a graceful restart waits
// too: the peer may still have the BFD session of the announcer before. When BGP is established
// again, it would take the new BFD session for the end of the old one.
type coupling struct {
	// restarted says that there was an announcer before, whose routes peers may have kept.
	restarted bool
	// begun says that the first plan has come. gates has the sessions of that plan which have not
	// been established since, and until when they wait for BFD. The zero time is not known yet: the
	// peer has not been found.
	begun bool
	gates map[bgp.SessionKey]time.Time
	// watched are the sessions of BGP whose path is to be watched. The map is not modified any more.
	watched map[bgp.SessionKey]bfdPath
	// failures counts those of a path that have been acted upon.
	failures map[pathKey]uint64
}

// observation is what is wanted and what is seen.
type observation struct {
	now   time.Time
	peers map[bgp.SessionKey]bgp.Peer
	bfd   map[bgp.SessionKey]plan.BFDSettings
	// sessions are those of BGP, and paths those of BFD.
	sessions []bgp.PeerStatus
	paths    []bfd.Status
	// networks are those that the node has an interface in.
	networks []netip.Prefix
}

// actions is what is to be done.
type actions struct {
	// sessions of BFD that there are to be, by path.
	sessions map[pathKey]bfd.Session
	// suspended and reset are the sessions of BGP that are to wait, and that are to be lost, each
	// with the reason.
	suspended, reset map[bgp.SessionKey]bgp.Problem
	// up are the sessions of BGP whose path has been found alive.
	up []bgp.SessionKey
	// wake is when to decide again although nothing may have happened; zero: not before something does.
	wake time.Time
}

// gatePatience is how long a session waits for BFD after a restart, from when the peer must have
// noticed that the BFD session of the announcer before is dead. A peer that does BFD takes much
// less.
const gatePatience = 3 * time.Second

func newCoupling(restarted bool) *coupling {
	return &coupling{
		restarted: restarted,
		gates:     map[bgp.SessionKey]time.Time{},
		watched:   map[bgp.SessionKey]bfdPath{},
		failures:  map[pathKey]uint64{},
	}
}

// decide says what is to be done now.
func (c *coupling) decide(s observation) actions {
	if !c.begun {
		c.begun = true
		for key := range s.bfd {
			if c.restarted && s.peers[key].RestartTime != 0 {
				c.gates[key] = time.Time{}
			}
		}
	}
	r := round{
		coupling:    c,
		observation: s,
		actions: actions{
			sessions:  map[pathKey]bfd.Session{},
			suspended: map[bgp.SessionKey]bgp.Problem{},
			reset:     map[bgp.SessionKey]bgp.Problem{},
		},
		before:   c.watched,
		states:   map[bgp.SessionKey]bgp.PeerStatus{},
		statuses: map[string]bfd.Status{},
		ages:     map[pathKey]int{},
	}
	for _, session := range s.sessions {
		r.states[session.Key] = session
	}
	for _, path := range s.paths {
		r.statuses[path.Name] = path
	}
	c.watched = make(map[bgp.SessionKey]bfdPath, len(s.bfd))
	for _, key := range slices.SortedFunc(maps.Keys(s.bfd), bgp.SessionKey.Compare) {
		c.watched[key] = r.consider(key)
	}
	for path := range r.actions.sessions {
		if status, there := r.statuses[path.String()]; there {
			c.failures[path] = status.Failures
		}
	}
	maps.DeleteFunc(c.failures, func(path pathKey, _ uint64) bool {
		_, wanted := r.actions.sessions[path]
		return !wanted
	})
	maps.DeleteFunc(c.gates, func(key bgp.SessionKey, _ time.Time) bool {
		_, wanted := s.bfd[key]
		return !wanted
	})
	return r.actions
}

// round is one decision, with what it has found so far.
type round struct {
	*coupling
	observation
	actions
	before map[bgp.SessionKey]bfdPath
	// states are those of the sessions of BGP, and statuses those of the paths, by the names that
	// BFD knows them by.
	states   map[bgp.SessionKey]bgp.PeerStatus
	statuses map[string]bfd.Status
	// ages are those of the Detections that decide about a path so far.
	ages map[pathKey]int
}

// consider decides about one session of BGP.
func (r *round) consider(key bgp.SessionKey) bfdPath {
	settings, peer, state, before := r.bfd[key], r.peers[key], r.states[key], r.before[key]
	w := bfdPath{address: state.Address, refused: settings.Refused, failures: before.failures}
	if !w.address.IsValid() {
		w.address = peer.Address
	}
	established := state.State == bgp.Established
	if established {
		delete(r.gates, key)
	}
	_, gated := r.gates[key]
	first := settings.Strict || gated // before BGP
	session := sessionOf(settings)
	switch {
	case w.refused != "" && (!established || before.path == noPath):
		return w
	case w.refused != "":
		// A peer that takes the end of BFD for a failure, as FRR does, would end the session
		// because a BFDProfile was deleted in error.
		session = before.session
	case !w.address.IsValid() && first:
		r.suspended[key] = bgp.Problem{Kind: bgp.BFDAwaited}
		return w
	case !established && !first:
		return w
	}
	r.watch(&w, session, settings.Age, peer)
	if w.since = r.now; before.path == w.path && before.up == w.up {
		w.since = before.since
	}
	if w.up && !before.up {
		r.actions.up = append(r.actions.up, key)
	}
	if established && w.status.Failures > r.failures[w.path] {
		w.failures++
		r.reset[key] = w.failure()
	}
	fine := w.up || w.status.RemoteState == bfd.AdminDown // which says nothing about the path
	if gated && !fine && w.status.Err == nil && r.waits(key, w.session.RemoteDetectionTime()) {
		r.suspended[key] = bgp.Problem{Kind: bgp.BFDAwaitedAfterRestart}
	}
	if settings.Strict && !fine {
		r.suspended[key] = bgp.Problem{Kind: bgp.BFDNotUp, Detail: w.problem(r.now)}
	}
	if complaint := w.since.Add(silencePatience); !w.up && r.now.Before(complaint) {
		r.wake = plan.Earlier(r.wake, complaint)
	}
	return w
}

// watch has the path watched, and notes how it is.
func (r *round) watch(w *bfdPath, session bfd.Session, age int, peer bgp.Peer) {
	w.session = session
	w.session.Peer, w.session.Local, w.session.MultiHop = w.address, peer.Source, farAway(peer, w.address, r.networks)
	w.path = pathOf(w.session)
	if decides, known := r.ages[w.path]; !known || age < decides {
		r.ages[w.path], r.actions.sessions[w.path] = age, w.session
	}
	w.status = bfd.Status{State: bfd.Down, RemoteState: bfd.Down} // of one that is new
	if status, there := r.statuses[w.path.String()]; there {
		w.status = status
	}
	w.up = w.status.State == bfd.Up
}

// sessionOf is all of a session of BFD that does not depend on the peer.
func sessionOf(s plan.BFDSettings) bfd.Session {
	return bfd.Session{Transmit: s.Transmit, Receive: s.Receive, Multiplier: s.Multiplier, MinimumTTL: s.MinimumTTL, Passive: s.Passive}
}

// waits says whether a session still waits for BFD after a restart. The peer notices the restart
// after patience.
func (r *round) waits(key bgp.SessionKey, patience time.Duration) bool {
	if r.gates[key].IsZero() {
		r.gates[key] = r.now.Add(min(patience+gatePatience, r.peers[key].RestartTime/2))
	}
	if !r.now.Before(r.gates[key]) {
		return false
	}
	r.wake = plan.Earlier(r.wake, r.gates[key])
	return true
}

// farAway says whether a peer counts as several hops away (RFC 5883), by the rule of FRR: an
// external one if it may be, and an internal one if it is on no network of the node.
func farAway(p bgp.Peer, address netip.Addr, networks []netip.Prefix) bool {
	if address.Is6() && address.IsLinkLocalUnicast() {
		return false
	}
	internal := p.PeerASN == p.LocalASN
	return p.MultihopTTL > 1 || p.SecurityHops > 1 || internal && !slices.ContainsFunc(networks, func(n netip.Prefix) bool {
		return n.Contains(address)
	})
}
