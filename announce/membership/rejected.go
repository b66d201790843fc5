package membership

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// rejectedFor is how long an address counts as a stranger's after the last thing that came from it.
	rejectedFor = time.Minute
	// maxRejected bounds what is remembered: anybody can send from any address.
	maxRejected = 64
)

// rejectedSenders are addresses from which gossip comes that no key opens.
type rejectedSenders struct {
	mu       sync.Mutex
	lastSeen map[netip.Addr]time.Time
}

// RejectedSenders returns the addresses from which gossip has come within the last minute that is not encrypted, or with a key that
// this member does not know. Members that have missed a change of keys are among them. Sorted.
func (c *Cluster) RejectedSenders() []netip.Addr { return c.rejected.list(time.Now()) }

func (s *rejectedSenders) list(now time.Time) []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	return slices.SortedFunc(maps.Keys(s.lastSeen), netip.Addr.Compare)
}

// add takes note of something from a stranger, and returns whether he is new.
func (s *rejectedSenders) add(address netip.Addr, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	_, known := s.lastSeen[address]
	if !known && len(s.lastSeen) == maxRejected {
		return false
	}
	if s.lastSeen == nil {
		s.lastSeen = map[netip.Addr]time.Time{}
	}
	s.lastSeen[address] = now
	return !known
}

func (s *rejectedSenders) expire(now time.Time) {
	maps.DeleteFunc(s.lastSeen, func(_ netip.Addr, last time.Time) bool { return now.Sub(last) >= rejectedFor })
}
