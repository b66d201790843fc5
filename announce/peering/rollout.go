package peering

import (
	"maps"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// rollout decides when a change that resets sessions is made, so that a router never loses all
// nodes at once, and a node never all its routers. Nodes do not talk about it: each waits until the
// Announcers of those whose names come before its own record that they have a session again which
// goes by the same. It waits for no more than turnTime for each of them, since one of them may be
// kept from it. Within a node, one session follows another.
//
// A change that resets nothing is made at once, and so is one of a session that is not established,
// or whose routes the router keeps meanwhile (RFC 4724). It has no clock and touches no socket.
type rollout struct {
	// inForce are the sessions as BGP was given them.
	inForce map[bgp.SessionKey]revisedPeer
	// since is when changes began to wait.
	since map[bgp.SessionKey]time.Time
	// resets are the sessions that were reset and are not established again, and when.
	resets map[bgp.SessionKey]time.Time
}

// revisedPeer is a Peer and the revision of its BGPPeer.
type revisedPeer struct {
	peer     bgp.Peer
	revision string
}

// rolloutState is what is wanted and what is seen.
type rolloutState struct {
	now       time.Time
	peers     map[bgp.SessionKey]bgp.Peer
	revisions map[bgp.SessionKey]string
	sessions  []bgp.PeerStatus
	// before are the Announcers of the nodes whose names come before this one's.
	before func() []*v1alpha1.Announcer
}

const (
	// turnTime is how long a session may take to be established again before others are reset all
	// the same: several attempts to connect.
	turnTime = 30 * time.Second
	// turnInterval is how often a node looks whether it is its turn.
	turnInterval = 500 * time.Millisecond
)

func newRollout() *rollout {
	return &rollout{inForce: map[bgp.SessionKey]revisedPeer{}, since: map[bgp.SessionKey]time.Time{}, resets: map[bgp.SessionKey]time.Time{}}
}

// decide returns the sessions that there are to be now, and whether they are others than before. If
// one waits for its turn, wake says when to decide again.
func (r *rollout) decide(s rolloutState) (peers map[bgp.SessionKey]bgp.Peer, changed bool, wake time.Time) {
	states := map[bgp.SessionKey]bgp.PeerStatus{}
	for _, session := range s.sessions {
		states[session.Key] = session
	}
	r.forget(s, states)
	before := r.inForce
	r.inForce = make(map[bgp.SessionKey]revisedPeer, len(s.peers))
	peers = make(map[bgp.SessionKey]bgp.Peer, len(s.peers))
	for _, key := range slices.SortedFunc(maps.Keys(s.peers), bgp.SessionKey.Compare) {
		next := revisedPeer{s.peers[key], s.revisions[key]}
		old, known := before[key]
		switch {
		case !known || !resets(old.peer, next.peer, states[key]):
			delete(r.since, key)
		case r.hasTurn(key, next.revision, s):
			delete(r.since, key)
			r.resets[key] = s.now
		default:
			next, wake = old, s.now.Add(turnInterval)
		}
		r.inForce[key], peers[key] = next, next.peer
	}
	return peers, !maps.Equal(before, r.inForce), wake
}

// forget forgets what has been done, or is not wanted any more.
func (r *rollout) forget(s rolloutState, states map[bgp.SessionKey]bgp.PeerStatus) {
	gone := func(key bgp.SessionKey, _ time.Time) bool {
		_, wanted := s.peers[key]
		return !wanted
	}
	maps.DeleteFunc(r.since, gone)
	maps.DeleteFunc(r.resets, gone)
	maps.DeleteFunc(r.resets, func(key bgp.SessionKey, at time.Time) bool {
		again := states[key].State == bgp.Established && states[key].Since.After(at)
		return again || !s.now.Before(at.Add(turnTime))
	})
}

// resets says whether a change takes routes away for a while.
func resets(from, to bgp.Peer, state bgp.PeerStatus) bool {
	kept := state.GracefulRestart && to.RestartTime != 0 && to.Continues(from)
	return state.State == bgp.Established && !kept && !to.ServedBy(from, state.PeerASN)
}

// revision is what a session goes by; empty while it is being reset, so that nobody takes the one
// that ends for the one that begins.
func (r *rollout) revision(key bgp.SessionKey) string {
	if _, reset := r.resets[key]; reset {
		return ""
	}
	return r.inForce[key].revision
}

// hasTurn says whether a session may be reset now.
func (r *rollout) hasTurn(key bgp.SessionKey, revision string, s rolloutState) bool {
	since, waits := r.since[key]
	if !waits {
		since = s.now
		r.since[key] = since
	}
	if len(r.resets) > 0 {
		return false
	}
	others, done := 0, true
	for _, announcer := range s.before() {
		concerned, hasDone := progress(announcer, key.Peer, revision, since)
		if concerned {
			others++
			done = done && hasDone
		}
	}
	return done || !s.now.Before(since.Add(time.Duration(others)*turnTime))
}

// progress says whether a node has sessions with a BGPPeer that are to be reset or have been, and
// whether it has done that for all of them. One that had lost its session before has none to lose.
func progress(announcer *v1alpha1.Announcer, peer, revision string, since time.Time) (concerned, done bool) {
	done = true
	for _, session := range announcer.Status.BGP.Peers {
		lost := session.Since != nil && session.State != v1alpha1.BGPEstablished && session.Since.Time.Before(since.Add(-turnTime))
		if session.Name != peer || session.State == v1alpha1.BGPRefused || lost {
			continue
		}
		concerned = true
		done = done && session.State == v1alpha1.BGPEstablished && session.Revision == revision
	}
	return concerned, done
}

// rollOut has the sessions be as the plan wants them, as soon as it is their turn.
func (p *Peering) rollOut(now time.Time) (changed bool, wake time.Time) {
	p.peers, changed, wake = p.rollout.decide(rolloutState{
		now: now, peers: p.plan.Peers, revisions: p.plan.Revisions, sessions: p.bgp.Peers(), before: p.nodesBefore,
	})
	return changed, wake
}

// nodesBefore are the Announcers of the nodes whose names come before that of this one.
func (p *Peering) nodesBefore() (announcers []*v1alpha1.Announcer) {
	for name := range p.view.Nodes() {
		if name >= p.config.Node || !p.view.NodeReady(name) {
			continue
		}
		if announcer := p.config.Cluster.Announcer(name); announcer != nil {
			announcers = append(announcers, announcer)
		}
	}
	return announcers
}
