package speaker

import (
	"testing"
	"time"
)

func TestWhatTakesThePlaceOfARouteIsHeardBeforeThatLeaves(t *testing.T) {
	const aggregate, other = "198.51.100.0/24", "203.0.113.0/24"
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.set(prefixA, prefixB)
		s.establish(false)
		s.take()
		s.hold(1)
		s.set(aggregate)
		s.did("while the aggregate has not been sent", "announce "+aggregate)
		s.set(prefixB, aggregate)
		s.did("when one comes back", "announce "+prefixB)
		s.hold(0)
		s.did("when all has been sent", "withdraw "+prefixA)
		s.hold(1)
		s.set(prefixA, prefixB)
		s.did("the other way round", "announce "+prefixA)
		time.Sleep(2 * recheckInterval)
		s.did("when what was announced is never sent", "withdraw "+aggregate)
		s.hold(0)
		s.set(other)
		s.did("after that", "announce "+other, "withdraw "+prefixA+" "+prefixB)
	})
}

// A router takes its time for many routes.
func TestAsLongAsARouterHearsMoreItIsWaitedFor(t *testing.T) {
	const aggregate, other = "198.51.100.0/24", "203.0.113.0/24"
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.set(aggregate, other)
		s.establish(false)
		s.take()
		s.hold(2)
		s.set(prefixA, prefixB)
		s.did("while nothing has been sent", "announce "+prefixA+" "+prefixB)
		time.Sleep(recheckInterval - time.Second)
		s.hold(1)
		time.Sleep(recheckInterval - time.Second)
		s.did("while half has been sent")
		s.hold(0)
		s.did("when all has been sent", "withdraw "+aggregate+" "+other)
	})
}
