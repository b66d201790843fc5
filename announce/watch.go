package announce

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/heartbeat"
	"github.com/clarionlb/clarion/announce/plan"
)

const (
	// lateFor and silentFor are how long counts what others have told of a member. By then it is heard again, or the gossip has lost it.
	lateFor   = 300 * time.Millisecond
	silentFor = 2 * time.Second
	// tellLateEvery is the shortest time between two messages that a member is late: on busy nodes many are, again and again.
	tellLateEvery = time.Second
	// tellDeadEvery is the time between two messages to a member that is taken for dead.
	tellDeadEvery = 100 * time.Millisecond
)

// watch is what heartbeats say of members in sight, as this node and others hear them. Whether a member is dead, the failure detector
// finds out.
type watch struct {
	heartbeats heartbeats
	// inGossip and membership are what the neighbours follow from.
	inGossip   []string
	membership uint64
	// neighbours are the members with which heartbeats are exchanged, and states what these say.
	neighbours map[string]netip.Addr
	states     map[string]heartbeat.State
	// told are the members that others miss, and suspected those that this node or others do.
	told, suspected map[string]suspicion
	// dead are members in the gossip's sight that have been found to be dead, until they are heard again or the gossip has noticed.
	// They are told, again at tellDead, what was taken over from them: they may have been cut off for a moment alone.
	dead     map[string]bool
	tellDead time.Time
	// toldLate is when the others were last told that a member is late.
	toldLate map[string]time.Time
	// vouching are the neighbours that others miss, and vouched those that this node misses and others hear.
	vouching map[string]vouch
	vouched  map[string]bool
}

// suspicion is what is suspected of a member: that it is late or, if silent is set, that it may be dead.
type suspicion struct {
	silent bool
	// until is when it stops to count.
	until time.Time
	// heard is when the last heartbeat came to those who say that it is silent; zero if they do not say.
	heard time.Time
}

// observeHeartbeats takes in whose heartbeats are missing, and tells those who need to know. It returns when to do so again.
func (a *Announcer) observeHeartbeats(inGossip []string, now time.Time) (wake time.Time) {
	w := &a.others.watch
	if !slices.Equal(w.inGossip, inGossip) || w.membership != a.others.membership {
		w.inGossip, w.membership = inGossip, a.others.membership
		w.setNeighbours(a.node, inGossip, a.others.expected)
	}
	states, wake := w.heartbeats.States(now)
	maps.DeleteFunc(w.vouched, func(name string, _ bool) bool { return states[name] <= heartbeat.Heard })
	a.tellMissing(states, now)
	w.states = states
	return w.suspect(now, plan.Earlier(wake, a.vouch(now)))
}

// setNeighbours has heartbeats exchanged with the neighbours among the members in sight.
func (w *watch) setNeighbours(self string, inGossip []string, addresses map[string]netip.Addr) {
	neighbours := map[string]netip.Addr{}
	for _, name := range heartbeat.Neighbours(self, inGossip) {
		if address := addresses[name]; address.IsValid() {
			neighbours[name] = address
		}
	}
	if !maps.Equal(neighbours, w.neighbours) {
		w.neighbours = neighbours
		w.heartbeats.Set(neighbours)
	}
}

// suspect brings up to date who is suspected. What this node hears itself goes before what others tell.
func (w *watch) suspect(now, wake time.Time) time.Time {
	w.suspected = map[string]suspicion{}
	for name, told := range w.told {
		if !now.Before(told.until) || w.states[name] == heartbeat.Heard {
			delete(w.told, name)
			continue
		}
		w.suspected[name] = told
		wake = plan.Earlier(wake, told.until)
	}
	for name, state := range w.states {
		if state != heartbeat.Heard && !w.vouched[name] {
			w.suspected[name] = suspicion{silent: state == heartbeat.Silent || w.suspected[name].silent}
		}
	}
	return wake
}

// leaveOutDead returns those of the members in the gossip's sight that are not known to be dead.
func (w *watch) leaveOutDead(inGossip []string, states map[string]plan.MemberState) (alive []string) {
	before := w.dead
	w.dead = nil
	for name, suspicion := range w.suspected { // a few at most, of maybe thousands
		if _, sees := slices.BinarySearch(inGossip, name); !sees || !suspicion.silent {
			continue
		}
		if state, judged := states[name]; before[name] || judged && state == plan.Dead {
			if w.dead == nil {
				w.dead = map[string]bool{}
			}
			w.dead[name] = true
		}
	}
	if len(w.dead) == 0 {
		return inGossip
	}
	return slices.DeleteFunc(slices.Clone(inGossip), func(name string) bool { return w.dead[name] })
}

// tellTheDead tells members that are dead or were cut off for a moment what was taken over from them, and returns when to do so again.
func (a *Announcer) tellTheDead(now time.Time) (wake time.Time) {
	w := &a.others.watch
	if len(w.dead) == 0 {
		return time.Time{}
	}
	if !now.Before(w.tellDead) {
		w.tellDead = now.Add(tellDeadEvery)
		for name := range w.dead {
			a.tellClaims(name)
		}
	}
	return w.tellDead
}

// tellMissing tells the others whose heartbeats this node misses: all if they may be dead, and before that those who may take over, so
// that they begin to ask, and its other neighbours, so that they say if they hear it.
func (a *Announcer) tellMissing(states map[string]heartbeat.State, now time.Time) {
	w := &a.others.watch
	late := map[string][]string{}
	var news message
	for name, state := range states {
		switch before := w.states[name]; {
		case state == before:
		case state == heartbeat.Silent && w.vouched[name]:
		case state == heartbeat.Silent:
			news.Silent = append(news.Silent, name)
			news.SilentFor = append(news.SilentFor, now.Sub(w.heartbeats.LastHeard(name)).Milliseconds())
		case state == heartbeat.Heard:
			if before == heartbeat.Silent {
				news.Heard = append(news.Heard, name)
			}
		case now.Sub(w.toldLate[name]) >= tellLateEvery:
			if w.toldLate == nil {
				w.toldLate = map[string]time.Time{}
			}
			w.toldLate[name] = now
			for _, concerned := range a.concernedBy(name) {
				late[concerned] = append(late[concerned], name)
			}
		}
	}
	maps.DeleteFunc(w.toldLate, func(_ string, at time.Time) bool { return now.Sub(at) >= tellLateEvery })
	for concerned, names := range late {
		if concerned != a.node {
			a.tell(concerned, message{Late: names})
		}
	}
	if len(news.Silent)+len(news.Heard) > 0 {
		a.broadcast(news)
	}
}

// receive takes in whose heartbeats another node misses. Of this node, and of others than announcers, nothing is remembered.
func (w *watch) receive(self, from string, m message, announcers map[string]netip.Addr, now time.Time) {
	if w.told == nil {
		w.told = map[string]suspicion{}
	}
	note := func(names []string, s suspicion, silentFor []int64) {
		for i, name := range names {
			if i < len(silentFor) {
				s.heard = now.Add(-time.Duration(silentFor[i]) * time.Millisecond)
			}
			if _, is := announcers[name]; is && name != self && (s.silent || !w.told[name].silent) {
				w.told[name] = s
				w.doubt(name, from, now)
			}
		}
	}
	note(m.Late, suspicion{until: now.Add(lateFor)}, nil)
	note(m.Silent, suspicion{silent: true, until: now.Add(silentFor)}, m.SilentFor)
	for _, name := range m.Silent {
		delete(w.vouched, name)
	}
	for _, name := range m.Heard {
		delete(w.told, name)
	}
}

// lastHeard is when the last heartbeat came of a member that is silent, to this node or to those who have told of it; zero if that is
// not known.
func (w *watch) lastHeard(name string) time.Time {
	heard, told := w.heartbeats.LastHeard(name), w.told[name].heard
	if told.After(heard) {
		return told
	}
	return heard
}

// forget has nothing that is known so far count: this process has not run for a while.
func (w *watch) forget(now time.Time) {
	w.heartbeats.Forget(now)
	w.states, w.told, w.suspected, w.vouching, w.vouched = nil, nil, nil, nil, nil
}
