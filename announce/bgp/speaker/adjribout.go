package speaker

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
)

// adjRIBOut is what a session has its connection announce (RFC 4271, section 3.2).
type adjRIBOut struct {
	// hops are the next hops, which follow from host.
	hops nextHops
	host bgp.Host
	// routes are those that the connection has been given, but for those without a next hop, and
	// source is what they were made of.
	routes, source []bgp.Route

	// leaving are routes to withdraw when the peer has heard what takes their place: when so many
	// have been announced to it as awaited. The last of the heard ones was noticed at since.
	leaving        []bgp.Route
	awaited, heard uint64
	since          time.Time
}

// usable are the families of which routes can be announced.
func (s *session) usable() bgp.Families { return s.negotiated.families & s.hops.families() }

// sync brings the connection to the routes that are wanted, once it is known what it can carry.
func (s *session) sync() bgp.Problem {
	if s.negotiated == nil {
		return bgp.Problem{}
	}
	_, wanted, _ := s.wanted()
	if same(wanted, s.source) {
		return bgp.Problem{}
	}
	s.source = wanted
	wanted = order(wanted)
	announce, withdraw := difference(s.routes, wanted)
	usable := s.usable()
	if s.established && count(announce, usable)+count(withdraw, usable) > 0 {
		s.sendHold.start(s.connection.updates())
	}
	if problem := s.announce(only(announce, usable)); problem.Kind != bgp.NoProblem {
		return problem
	}
	s.routes = wanted
	s.leaving, s.since = append(s.leaving, only(withdraw, usable)...), time.Now()
	s.reportRoutes()
	return s.leave()
}

// leave withdraws what leaves if it is time. A larger prefix in the place of some smaller ones, or
// the other way round, is not to be a gap for the traffic.
func (s *session) leave() bgp.Problem {
	if len(s.leaving) == 0 {
		return bgp.Problem{}
	}
	if announced := s.connection.announced(); announced < s.awaited {
		if announced > s.heard {
			s.heard, s.since = announced, time.Now()
		}
		if time.Since(s.since) < recheckInterval {
			return bgp.Problem{}
		}
		// What is announced twice in a moment may be sent once.
		s.awaited = announced
	}
	leaving := slices.DeleteFunc(s.leaving, func(r bgp.Route) bool {
		_, back := slices.BinarySearchFunc(s.routes, r.Prefix, func(r bgp.Route, p netip.Prefix) int { return r.Prefix.Compare(p) })
		return back
	})
	s.leaving = nil
	return s.withdraw(leaving)
}

// moveNextHops looks for the next hops again, and announces what is affected.
func (s *session) moveNextHops() bgp.Problem {
	before := s.hops
	s.refreshNextHops()
	for _, f := range []bgp.Families{bgp.IPv4, bgp.IPv6} {
		was, is := before.of(f), s.hops.of(f)
		if was == is || s.negotiated.families&f == 0 {
			continue
		}
		change := s.withdraw
		if is.IsValid() {
			change = s.announce
		}
		if problem := change(only(s.routes, f)); problem.Kind != bgp.NoProblem {
			return problem
		}
	}
	s.reportRoutes()
	return bgp.Problem{}
}

// refreshNextHops looks for the next hops.
func (s *session) refreshNextHops() {
	path, err := s.speaker.findPath(s.peer, s.address)
	if err != nil {
		s.logger.V(2).Info("The way to the router could not be found", "address", s.address, "err", err)
	}
	path.Local, path.Extended = s.negotiated.local, s.negotiated.extendedNextHop
	s.host = s.speaker.currentHost()
	s.hops = nextHops{s.host.NextHop(bgp.IPv4, path, s.hops.v4), s.host.NextHop(bgp.IPv6, path, s.hops.v6)}
}

func (s *session) announce(routes []bgp.Route) bgp.Problem {
	if len(routes) == 0 {
		return bgp.Problem{}
	}
	s.awaited = max(s.awaited, s.connection.announced()) + uint64(len(routes))
	if err := s.connection.announce(routes, s.hops); err != nil {
		return bgp.Problem{Kind: bgp.AnnounceFailed, Detail: err.Error()}
	}
	return bgp.Problem{}
}

func (s *session) withdraw(routes []bgp.Route) bgp.Problem {
	if len(routes) == 0 {
		return bgp.Problem{}
	}
	if err := s.connection.withdraw(routes); err != nil {
		return bgp.Problem{Kind: bgp.WithdrawFailed, Detail: err.Error()}
	}
	return bgp.Problem{}
}

// reportRoutes says in the status how much is announced on a session, and what cannot be.
func (s *session) reportRoutes() {
	if !s.established {
		return
	}
	usable := s.usable()
	problem := bgp.Problem{}
	for _, f := range []bgp.Families{bgp.IPv4, bgp.IPv6} {
		if s.negotiated.families&^usable&f != 0 && count(s.routes, f) > 0 {
			problem = bgp.Problem{Kind: bgp.NoNextHop, Families: problem.Families | f, Address: s.address}
		}
	}
	sent, unsent := countsOf(s.routes, usable), countsOf(s.routes, s.peer.OfferedFamilies()&^usable)
	s.updateStatus(func(status *bgp.PeerStatus) {
		status.Prefixes, status.Sent, status.Unsent = sent.IPv4+sent.IPv6, sent, unsent
		status.Announced, status.Problem = usable, problem
	})
}
