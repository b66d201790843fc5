package membership

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// strangeFor is how long an address counts as a stranger's after the last thing that came from it.
	strangeFor = time.Minute
	// mostStrangers bounds what is remembered: anybody can send from any address.
	mostStrangers = 64
)

// strangers are addresses from which gossip comes that no key opens.
type strangers struct {
	mu   sync.Mutex
	last map[netip.Addr]time.Time
}

// Strangers returns the addresses from which gossip has come within the last minute that is not encrypted, or with a key that
// this member does not know. Members that have missed a change of keys are among them. Sorted.
func (c *Cluster) Strangers() []netip.Addr { return c.strangers.at(time.Now()) }

func (s *strangers) at(now time.Time) []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	return slices.SortedFunc(maps.Keys(s.last), netip.Addr.Compare)
}

// note takes note of something from a stranger, and returns whether he is new.
func (s *strangers) note(address netip.Addr, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	_, known := s.last[address]
	if !known && len(s.last) == mostStrangers {
		return false
	}
	if s.last == nil {
		s.last = map[netip.Addr]time.Time{}
	}
	s.last[address] = now
	return !known
}

func (s *strangers) forget(now time.Time) {
	maps.DeleteFunc(s.last, func(_ netip.Addr, last time.Time) bool { return now.Sub(last) >= strangeFor })
}
