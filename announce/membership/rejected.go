package membership

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// rejectedFor is how long an address counts as a rejected sender after the last gossip that
	// came from it.
	rejectedFor = time.Minute
	// maxRejected bounds how many addresses are remembered: anybody can send from any address.
	maxRejected = 64
)

// rejectedSenders are addresses from which gossip comes that cannot be decrypted.
type rejectedSenders struct {
	mu       sync.Mutex
	lastSeen map[netip.Addr]time.Time
}

// RejectedSenders returns the sorted addresses whose gossip was rejected within the last minute,
// because it was not encrypted or with a key that this member does not know. Members that have
// missed a rotation of the key are among them.
func (c *Cluster) RejectedSenders() []netip.Addr { return c.rejected.list(time.Now()) }

func (s *rejectedSenders) list(now time.Time) []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	return slices.SortedFunc(maps.Keys(s.lastSeen), netip.Addr.Compare)
}

// add notes that gossip from an address was rejected. It returns whether the address is a new one.
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

// noteRejected notes that gossip from a node was rejected, and logs it the first time.
func (c *Cluster) noteRejected(address netip.Addr) {
	if c.rejected.add(address, time.Now()) {
		c.config.Logger.Info("Gossip arrives that is encrypted with another key or not at all; it is ignored", "from", address)
		c.changed.Notify()
	}
}

// noteStranger notes that something came from an address which is no node's, and logs it the first time.
func (c *Cluster) noteStranger(address netip.Addr) {
	if c.strangers.add(address, time.Now()) {
		c.config.Logger.Info("Gossip arrives from an address that is no node's; it is ignored", "from", address)
	}
}
