package plan

import (
	"maps"
	"slices"
)

// liveSet is who is taken to be alive: the members that the gossip sees, and those that it does not see but that have proven
// through the API that they are there. Without the latter, nodes whose gossip is blocked but whose API is not would take every
// address from each other again and again. Of a proven one's death only its Node tells, which is slow but safe.
//
// The zero value sees nobody.
type liveSet struct {
	inGossip []string
	// count goes up when seen changes; lost is what it was when a member went out of sight.
	count int
	lost  map[string]int
	// markedAlive are members out of sight that are alive nevertheless.
	markedAlive map[string]struct{}
}

// update takes the sorted names of the members in sight, and returns whether they are others than before.
func (s *liveSet) update(names []string) bool {
	if slices.Equal(s.inGossip, names) {
		return false
	}
	s.count++
	for _, name := range s.inGossip {
		if _, stays := slices.BinarySearch(names, name); !stays {
			if s.lost == nil {
				s.lost = map[string]int{}
			}
			s.lost[name] = s.count
		}
	}
	for _, name := range names {
		delete(s.lost, name)
		delete(s.markedAlive, name)
	}
	s.inGossip = names
	return true
}

// markAlive takes note that a member has done something after this node did something at the given count. It returns whether that
// proves it alive and is news.
func (s *liveSet) markAlive(name string, after int) bool {
	_, known := s.markedAlive[name]
	if _, seen := slices.BinarySearch(s.inGossip, name); seen || known || after < s.lost[name] {
		return false
	}
	if s.markedAlive == nil {
		s.markedAlive = map[string]struct{}{}
	}
	s.markedAlive[name] = struct{}{}
	return true
}

// alive returns the sorted names of all that are alive. Proven members that are not fit any more are forgotten.
func (s *liveSet) alive(fit func(name string) bool) []string {
	maps.DeleteFunc(s.markedAlive, func(name string, _ struct{}) bool { return !fit(name) })
	if len(s.markedAlive) == 0 {
		return s.inGossip
	}
	return slices.Sorted(slices.Values(slices.AppendSeq(slices.Clone(s.inGossip), maps.Keys(s.markedAlive))))
}

// gossipBlocked returns the sorted names of the proven members.
func (s *liveSet) gossipBlocked() []string { return slices.Sorted(maps.Keys(s.markedAlive)) }
