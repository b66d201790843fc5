package announce

import (
	"maps"
	"slices"
)

// sight is who is taken to be alive: the members that the gossip sees, and those that it does not see but that have proven
// through the API that they are there. Without the latter, nodes whose gossip is blocked but whose API is not would take every
// address from each other again and again. Of a proven one's death only its Node tells, which is slow but safe.
//
// The zero value sees nobody.
type sight struct {
	seen []string
	// count goes up when seen changes; lost is what it was when a member went out of sight.
	count int
	lost  map[string]int
	// proven are members out of sight that are alive nevertheless.
	proven map[string]struct{}
}

// look takes the sorted names of the members in sight, and returns whether they are others than before.
func (s *sight) look(names []string) bool {
	if slices.Equal(s.seen, names) {
		return false
	}
	s.count++
	for _, name := range s.seen {
		if _, stays := slices.BinarySearch(names, name); !stays {
			if s.lost == nil {
				s.lost = map[string]int{}
			}
			s.lost[name] = s.count
		}
	}
	for _, name := range names {
		delete(s.lost, name)
		delete(s.proven, name)
	}
	s.seen = names
	return true
}

// prove takes note that a member has done something after this node did something at the given count. It returns whether that
// proves it alive and is news.
func (s *sight) prove(name string, after int) bool {
	_, known := s.proven[name]
	if _, seen := slices.BinarySearch(s.seen, name); seen || known || after < s.lost[name] {
		return false
	}
	if s.proven == nil {
		s.proven = map[string]struct{}{}
	}
	s.proven[name] = struct{}{}
	return true
}

// alive returns the sorted names of all that are alive. Proven members that are not fit any more are forgotten.
func (s *sight) alive(fit func(name string) bool) []string {
	maps.DeleteFunc(s.proven, func(name string, _ struct{}) bool { return !fit(name) })
	if len(s.proven) == 0 {
		return s.seen
	}
	return slices.Sorted(slices.Values(slices.AppendSeq(slices.Clone(s.seen), maps.Keys(s.proven))))
}

// unseen returns the sorted names of the proven members.
func (s *sight) unseen() []string { return slices.Sorted(maps.Keys(s.proven)) }
