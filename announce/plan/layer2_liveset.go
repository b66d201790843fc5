package plan

import (
	"maps"
	"slices"
)

// liveSet is who is taken to be alive: the members that the gossip sees, those of which the failure
// detector knows that they are, and those that have shown it through the API. Without the last,
// nodes whose gossip is blocked but whose API is not would take every address from each other again
// and again. Of such a member's death only its Node tells, which is slow but safe.
//
// The zero value sees nobody.
type liveSet struct {
	inGossip []string
	// generation counts the changes of inGossip; lost is what it was when a member went out of sight.
	generation int
	lost       map[string]int
	// states are of the members that the gossip does not see.
	states map[string]MemberState
	// markedAlive are members out of sight that have shown through the API that they are alive.
	markedAlive map[string]struct{}
	// knownOrder is the Order of the newest claim that the last plan knew.
	knownOrder uint64
	// warmingUp says that others which begin at the same time as this node may not have been met yet.
	warmingUp bool
}

// MemberState is what is known of a member that the gossip does not see.
type MemberState int

const (
	// Dead : its node is dead, or its announcer has been away for so long that others take over.
	Dead MemberState = iota
	// Suspect : not known yet. It keeps what it has until its Node is not ready.
	Suspect
	// AnnouncerDown : its node is there, but its announcer is not. It keeps what it has; another
	// node answers in its place.
	AnnouncerDown
	// GossipBlocked : its announcer answers for its addresses; the gossip is blocked.
	GossipBlocked
)

// String is for the log.
func (s MemberState) String() string {
	return [...]string{"Dead", "Suspect", "AnnouncerDown", "GossipBlocked"}[s]
}

// setInGossip takes the sorted names of the members in sight, and returns whether they are others
// than before.
func (l *liveSet) setInGossip(names []string) bool {
	if slices.Equal(l.inGossip, names) {
		return false
	}
	l.generation++
	for _, name := range l.inGossip {
		if _, stays := slices.BinarySearch(names, name); !stays {
			if l.lost == nil {
				l.lost = map[string]int{}
			}
			l.lost[name] = l.generation
		}
	}
	for _, name := range names {
		delete(l.lost, name)
		delete(l.markedAlive, name)
	}
	l.inGossip = names
	return true
}

// sees says whether the gossip sees a member.
func (l *liveSet) sees(name string) bool {
	_, sees := slices.BinarySearch(l.inGossip, name)
	return sees
}

// keep forgets when members went out of sight that have no Announcer any more.
func (l *liveSet) keep(announcers map[string]*announcer) {
	maps.DeleteFunc(l.lost, func(name string, _ int) bool { return announcers[name] == nil })
}

// setStates takes what is known of the members out of sight, and returns whether that is news.
func (l *liveSet) setStates(states map[string]MemberState) bool {
	news := !maps.Equal(l.states, states)
	l.states = states
	return news
}

// markAlive takes note that a member has done something after this node did something in the given
// generation. It returns whether that shows it alive and is news.
func (l *liveSet) markAlive(name string, after int) bool {
	_, known := l.markedAlive[name]
	if l.sees(name) || known || after < l.lost[name] {
		return false
	}
	if l.markedAlive == nil {
		l.markedAlive = map[string]struct{}{}
	}
	l.markedAlive[name] = struct{}{}
	return true
}

// alive returns the sorted names of all that are alive. Members that were marked so are forgotten
// when their Node is not ready.
func (l *liveSet) alive(ready func(name string) bool) []string {
	maps.DeleteFunc(l.markedAlive, func(name string, _ struct{}) bool { return !ready(name) })
	alive := slices.AppendSeq(slices.Clone(l.inGossip), maps.Keys(l.markedAlive))
	for name, state := range l.states {
		if state == GossipBlocked || state == AnnouncerDown || state == Suspect && ready(name) {
			alive = append(alive, name)
		}
	}
	slices.Sort(alive)
	return slices.Compact(alive)
}

// keepsOnly says whether a member keeps what it has and gains nothing.
func (l *liveSet) keepsOnly(name string) bool {
	state := l.states[name]
	return state == AnnouncerDown || state == Suspect
}

// beyondGossip says whether a member is alive out of the gossip's sight, so that this node can tell it nothing.
func (l *liveSet) beyondGossip(name string) bool {
	if l.sees(name) {
		return false
	}
	_, marked := l.markedAlive[name]
	return marked || l.states[name] == GossipBlocked
}

// maybeBeyondGossip says whether beyondGossip may hold for a member: it does, or that is not known yet.
func (l *liveSet) maybeBeyondGossip(name string) bool {
	return !l.sees(name) && l.states[name] == Suspect || l.beyondGossip(name)
}

// gossipBlocked are the members that are alive out of the gossip's sight, sorted.
func (l *liveSet) gossipBlocked() []string {
	names := slices.Collect(maps.Keys(l.markedAlive))
	for name, state := range l.states {
		if state == GossipBlocked {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
