package speaker

import (
	"github.com/clarionlb/clarion/announce/bgp"
)

// adjRIBOut is what a session has its connection announce (RFC 4271, section 3.2).
type adjRIBOut struct {
	hops nextHops
	// routes are those that the connection has been given, but for those without a next hop, and
	// source is what they were made of.
	routes, source []bgp.Route
}

// sync brings the connection to the routes that are wanted.
func (s *session) sync() bgp.Problem {
	_, wanted, _ := s.wanted()
	if same(wanted, s.source) {
		return bgp.Problem{}
	}
	s.source = wanted
	wanted = order(wanted)
	announce, withdraw := difference(s.routes, wanted)
	usable := s.hops.families()
	if s.negotiated != nil && count(announce, usable&s.negotiated.families)+count(withdraw, usable&s.negotiated.families) > 0 {
		s.sendHold.start(s.connection.updates())
	}
	if problem := s.withdraw(only(withdraw, usable)); problem.Kind != bgp.NoProblem {
		return problem
	}
	if problem := s.announce(only(announce, usable)); problem.Kind != bgp.NoProblem {
		return problem
	}
	s.routes = wanted
	s.reportRoutes()
	return bgp.Problem{}
}

// moveNextHops looks for the next hops again, which what was negotiated may have changed, and
// announces what is affected.
func (s *session) moveNextHops() bgp.Problem {
	before := s.hops
	s.refreshNextHops()
	for _, f := range []bgp.Families{bgp.IPv4, bgp.IPv6} {
		was, is := before.of(f), s.hops.of(f)
		if was == is {
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

// refreshNextHops looks for the next hops. Before there is a session, a peer is taken to be able to
// do what it may not be.
func (s *session) refreshNextHops() {
	extended := s.negotiated == nil || s.negotiated.extendedNextHop
	hops, err := s.speaker.findNextHops(s.peer, s.address, extended)
	if err != nil {
		s.logger.V(2).Info("Next hops could not be found", "address", s.address, "err", err)
	}
	s.hops = hops
}

func (s *session) announce(routes []bgp.Route) bgp.Problem {
	if len(routes) == 0 {
		return bgp.Problem{}
	}
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
	if s.negotiated == nil {
		return
	}
	usable := s.hops.families()
	problem := bgp.Problem{}
	for _, f := range []bgp.Families{bgp.IPv4, bgp.IPv6} {
		if s.negotiated.families&^usable&f != 0 && count(s.routes, f) > 0 {
			problem = bgp.Problem{Kind: bgp.NoNextHop, Families: f, Address: s.address}
		}
	}
	prefixes := count(s.routes, s.negotiated.families&usable)
	s.updateStatus(func(status *bgp.PeerStatus) {
		status.Prefixes, status.Announced, status.Problem = prefixes, s.negotiated.families&usable, problem
	})
}
