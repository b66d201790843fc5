package plan

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/guard"
)

// BGPPlanner decides which routes one node announces to which BGP peers, from a View. A change of a
// Service or an EndpointSlice costs the planning of its addresses; one of the node or the
// configuration that of all.
//
// All but the shutdown and the leaving is derived from the view, and only kept so that a small change costs little.
// A BGPPlanner is not safe for concurrent use.
type BGPPlanner struct {
	view     *View
	node     string
	gateways []netip.Addr
	// stale says that everything is to be planned again although nothing in the view has changed,
	// planned that a plan was made.
	stale, planned bool
	shutdown       gracefulShutdown
	leaving        leavingRoutes
	// now is the time of the plan.
	now time.Time

	bgpPolicy
	sessions bgpSessions
	prefixes prefixTable
	// ribs are what the node announces, by BGPPeer.
	ribs     map[string]*adjRIBOut
	failures failures
	// retry is when to add BGPPeers again that could not be added; zero: never.
	retry time.Time
	// failed are the panics of this plan, and last is the one before.
	failed []Failure
	last   BGPPlan
	// verdicts are those of addresses that any node may announce and no aggregate covers, by their
	// family and advertisements.
	verdicts map[string][]BGPVerdict
}

// NewBGPPlanner returns a planner for a node that has no default route.
func NewBGPPlanner(view *View, node string) *BGPPlanner {
	return &BGPPlanner{view: view, node: node, stale: true, leaving: leavingRoutes{}, failures: failures{}}
}

// BGPPlan is what the planner's node is to announce. Its maps and slices must not be modified.
type BGPPlan struct {
	// Peers are the sessions, and Routes what is announced on each of them, in the order
	// of the prefixes. What has not changed since the last plan is the same slice.
	Peers  map[bgp.SessionKey]bgp.Peer
	Routes map[bgp.SessionKey][]bgp.Route
	// Revisions identify for each session what it has in common with those of other nodes with the
	// same BGPPeer, and what a session is reset for.
	Revisions map[bgp.SessionKey]string
	// BFD are for the sessions whose path is to be watched by BFD.
	BFD map[bgp.SessionKey]BFDSettings
	// Refused are the BGPPeers that are for the node but without a session, by name.
	Refused []Refusal
	// Draining says that the node shuts down gracefully: what it has no session for any more is on
	// purpose.
	Draining bool
	// Changed says whether anything of this is other than in the last plan.
	Changed bool
	// Failures are the panics of this plan. Of what they concern, everything is as it was before.
	Failures []Failure
	// Wake is when to plan again even if nothing changes; zero: never.
	Wake time.Time
}

// SetGateways takes the next hops of the node's default routes, sorted.
func (p *BGPPlanner) SetGateways(gateways []netip.Addr) {
	p.stale = p.stale || !slices.Equal(p.gateways, gateways)
	p.gateways = gateways
}

// Plan decides anew where something has changed. If it panics, what was decided before stays so, and
// is tried again: for one address, prefix or BGPPeer if it is known which, or else as a whole.
func (p *BGPPlanner) Plan(now time.Time) BGPPlan {
	p.failed = nil
	delete(p.failures, netip.Addr{})
	policy, sessions, prefixes, ribs := p.bgpPolicy, p.sessions, p.prefixes, p.ribs
	plan := BGPPlan{}
	if failed := guard.Do("routes", p.node, func() { plan = p.decide(now) }); failed != nil {
		p.bgpPolicy, p.sessions, p.prefixes, p.ribs, p.stale = policy, sessions, prefixes, ribs, true
		plan = p.last
		plan.Changed, plan.Wake = false, now.Add(failureRetry)
		p.failed = append(p.failed, p.failures.note(netip.Addr{}, failed, now))
	}
	plan.Failures = append(p.failed, p.view.takeFailed()...)
	p.last = plan
	return plan
}

// decide makes the plan.
func (p *BGPPlanner) decide(now time.Time) BGPPlan {
	own := p.view.nodes[p.node]
	changes := p.view.routeChanges()
	before := p.shutdown.stage
	wake := p.shutdown.step(own != nil && (own.draining || own.excluded), !p.planned, now)
	stage := p.shutdown.stage
	_, moved := changes.nodes[p.node]
	// A node that is drained goes by what others can do.
	all := changes.all || p.stale || moved || stage != before || stage != inService && len(changes.nodes) > 0
	retried, retry := p.failures.forgive(now, func(ip netip.Addr) bool {
		_, touched := changes.addresses[ip]
		return all || touched
	})
	wake, all = Earlier(wake, retry), all || len(retried) > 0 || !p.retry.IsZero() && !now.Before(p.retry)
	if all {
		p.retry = time.Time{}
	}
	p.stale, p.planned = false, true
	due, _ := p.leaving.due(p.now, now)
	p.now = now
	othersChanged := len(changes.nodes) > 0 || changes.sessions
	if all || othersChanged {
		p.verdicts = map[string][]BGPVerdict{}
	}
	changed := all
	if all {
		p.rebuild(own)
	} else {
		touched := prefixSet{}
		changes.touch(due)
		if othersChanged {
			changes.touch(slices.Collect(maps.Keys(p.leaving))) // they go by what others can do
		}
		for ip := range changes.addresses {
			p.updateAddress(own, ip, touched)
		}
		for _, rib := range p.ribs {
			changed = rib.update(p, touched) || changed
		}
	}
	_, end := p.leaving.due(now, now)
	wake = Earlier(Earlier(wake, end), p.retry)
	plan := BGPPlan{Draining: stage != inService, Changed: changed, Wake: wake, Routes: map[bgp.SessionKey][]bgp.Route{}}
	if stage == closed && p.prefixes.empty() {
		return plan
	}
	plan.Peers, plan.Revisions, plan.BFD, plan.Refused = p.sessions.peers, p.sessions.revisions, p.sessions.bfd, p.sessions.refused
	for _, rib := range p.ribs {
		for _, session := range rib.sessions {
			plan.Routes[session] = rib.routes
		}
	}
	return plan
}

// rebuild plans everything.
func (p *BGPPlanner) rebuild(own *node) {
	policy, sessions, prefixes, before := p.bgpPolicy, p.sessions, p.prefixes, p.ribs
	p.bgpPolicy, p.sessions, p.prefixes, p.ribs = newBGPPolicy(p.view), newBGPSessions(), newPrefixTable(), map[string]*adjRIBOut{}
	if own == nil {
		return
	}
	for age, peer := range p.bgpPeers {
		if failed := guard.Do("BGPPeer", peer.name, func() { p.addPeer(own, peer, age) }); failed != nil {
			p.failed = append(p.failed, Failure{Object: "BGPPeer " + peer.name, Panic: failed})
			p.retry = p.now.Add(failureRetry)
			p.sessions.keep(&sessions, peer.name)
			delete(p.ribs, peer.name)
			if old := before[peer.name]; old != nil {
				p.ribs[peer.name] = old.frozen()
			}
		}
	}
	maps.DeleteFunc(p.leaving, func(ip netip.Addr, _ time.Time) bool { return p.view.byAddress[ip] == nil })
	touched := prefixSet{}
	for ip := range p.view.byAddress {
		if !p.updateAddress(own, ip, touched) && p.shutdown.stage < withdrawn {
			p.prefixes.set(ip, prefixes.of(ip).by(policy.advertisements, p.advertisements), &p.bgpPolicy, touched)
		}
	}
	for name, rib := range p.ribs {
		old := before[name]
		rib.build(p, old)
		if old != nil {
			rib.reuse(old)
		}
	}
}

// addPeer adds the sessions with a BGPPeer, which have no routes yet.
func (p *BGPPlanner) addPeer(own *node, peer *bgpPeer, age int) {
	if !peer.selectsNode(own.labels) {
		return
	}
	if keys := p.sessions.add(peer, age, p.view, p.node, own, p.gateways); len(keys) > 0 {
		p.ribs[peer.name] = newAdjRIBOut(&p.bgpPolicy, peer, keys, p.shutdown.stage != inService)
	}
}

// updateAddress counts an address where it belongs now, and adds the prefixes for which that makes
// a difference. It returns false if that cannot be found out for a fault of the program: the address
// then counts as it did.
func (p *BGPPlanner) updateAddress(own *node, ip netip.Addr, touched prefixSet) bool {
	var is addressEntry
	if failed := guard.Do("address", ip, func() { is = p.entryFor(own, ip) }); failed != nil {
		p.failed = append(p.failed, p.failures.note(ip, failed, p.now))
		return false
	}
	p.prefixes.set(ip, is, &p.bgpPolicy, touched)
	return true
}

// entryFor finds out how an address is to be announced.
func (p *BGPPlanner) entryFor(own *node, ip netip.Addr) (is addressEntry) {
	is.advertisements, is.graceful = p.announcedFor(own, ip)
	if slices.ContainsFunc(is.advertisements, func(i int) bool { return p.advertisements[i].perEndpoint }) {
		for _, s := range p.view.byAddress[ip] {
			if s.local {
				is.weight += s.backends.on(p.node, ip)
			}
		}
	}
	return is
}

// announcedFor are the advertisements for which the node announces an address, sorted, and whether
// others are to be preferred.
func (p *BGPPlanner) announcedFor(own *node, ip netip.Addr) (advertisements []int, graceful bool) {
	if own == nil {
		return nil, false
	}
	if own.excluded && p.shutdown.stage >= withdrawn {
		return nil, false
	}
	requests, _ := p.requests(ip, p.view.byAddress[ip])
	requests = slices.DeleteFunc(requests, func(r announceRequest) bool { return r.unconfirmed })
	switch reason := p.reluctant(p.node, requests); {
	case len(requests) == 0 || reason == "":
		delete(p.leaving, ip)
	default:
		begin := p.now
		if reason == Draining {
			begin = p.shutdown.since
		}
		var withdrawn bool
		if graceful, withdrawn = p.leaving.at(ip, p.leaves(p.node, ip, requests) != "", begin, p.now); withdrawn {
			return nil, false
		}
	}
	advertisements, _ = p.judge(p.node, own, ip, requests)
	return advertisements, graceful
}

// elsewhere says whether another node than this one can announce an address, and has a session to do it by.
func (p *BGPPlanner) elsewhere(node string, ip netip.Addr, requests []announceRequest) bool {
	for name := range p.view.nodes {
		if name != node && p.canAnnounce(name, ip, requests) {
			return true
		}
	}
	return false
}
