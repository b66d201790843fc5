package speaker

import (
	"net/netip"
	"testing"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
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

func TestFamiliesWithoutANextHopWaitForOne(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.change(func() { s.hops.v6 = netip.Addr{} })
		s.set(prefixA, prefix6)
		s.establish(false)
		s.did("without one", "open 192.0.2.1", "dial", "announce "+prefixA, "begin")
		s.is("without one", bgp.Established, bgp.Problem{Kind: bgp.NoNextHop, Families: bgp.IPv6, Address: external.Address})
		s.read(1)
		s.change(func() { s.hops = anyNextHops })
		time.Sleep(recheckInterval)
		s.did("when there is one", "announce "+prefix6)
		s.is("when there is one", bgp.Established, bgp.Problem{})
		if got := status(s.Speaker, "tor"); got.Prefixes != 2 {
			t.Errorf("%+v", got)
		}
	})
}
