package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
)

// BGPPlanner decides what one node says to which routers, from a View. A change of a Service or an EndpointSlice costs the
// planning of its addresses; one of the node or the configuration that of all. A RoutePlanner is not safe for concurrent use.
type BGPPlanner struct {
	view     *View
	node     string
	gateways []netip.Addr
	stale    bool

	bgpPolicy
	shutdown gracefulShutdown
	planned  bool
	sessions map[bgp.SessionKey]bgp.Peer
	// bfd are for the sessions whose path is to be watched.
	bfd      map[bgp.SessionKey]BFDSettings
	refusals []Refusal
	// ribs are what the node says, by BGPPeer.
	ribs map[string]*adjRIBOut

	// entries are the advertisements for which the node announces an address, sorted, and members has for each prefix the
	// advertisements and for how many addresses.
	entries map[netip.Addr][]int
	members map[netip.Prefix][]tally
	// weights are how many endpoints on the node serve an address, where an advertisement has routers told.
	weights map[netip.Addr]int
	// verdicts are those of addresses that any node may announce and no aggregate covers, by their advertisements.
	verdicts map[string][]BGPVerdict
}

// tally is for how many addresses an advertisement wants a prefix announced.
type tally struct{ advertisement, addresses int }

// NewBGPPlanner returns a RoutePlanner for a node that has no default route.
func NewBGPPlanner(view *View, node string) *BGPPlanner {
	return &BGPPlanner{view: view, node: node, stale: true}
}

// BGPPlan is what the planner's node is to say. Its maps and slices must not be modified.
type BGPPlan struct {
	// Peers are the sessions, and Routes what is announced on each of them, in the order of the prefixes. What has
	// not changed since the last plan is the same slice.
	Peers  map[bgp.SessionKey]bgp.Peer
	Routes map[bgp.SessionKey][]bgp.Route
	// BFD are for the sessions whose path is to be watched by BFD.
	BFD map[bgp.SessionKey]BFDSettings
	// Refused are the BGPPeers that are for the node but without a session, by name.
	Refused []Refusal
	// Draining says that the node takes leave: what it has no session for any more is on purpose.
	Draining bool
	// Changed says whether anything of this is other than in the last plan.
	Changed bool
	// Wake is when to plan again even if nothing changes; zero: never.
	Wake time.Time
}

// Refusal is why a node does not speak with a router that it should speak with.
type Refusal struct{ Peer, Sentence string }

// SetGateways takes the routers of the node's default routes, sorted.
func (p *BGPPlanner) SetGateways(gateways []netip.Addr) {
	p.stale = p.stale || !slices.Equal(p.gateways, gateways)
	p.gateways = gateways
}

// Plan decides anew where something has changed.
func (p *BGPPlanner) Plan(now time.Time) BGPPlan {
	own := p.view.nodes[p.node]
	changes := p.view.routeChanges()
	stage, wake := p.shutdown.step(own != nil && (own.draining || own.excluded), !p.planned, now)
	_, moved := changes.nodes[p.node]
	// A node that is drained goes by what others can do.
	survey := changes.all || p.stale || moved || stage != p.shutdown.stage || stage != inService && len(changes.nodes) > 0
	p.shutdown.stage, p.stale, p.planned = stage, false, true
	if survey || len(changes.nodes) > 0 {
		p.verdicts = map[string][]BGPVerdict{}
	}
	changed := survey
	if survey {
		p.rebuild(own)
	} else {
		touched := map[netip.Prefix]struct{}{}
		for ip := range changes.addresses {
			p.updateAddress(own, ip, touched)
		}
		for _, s := range p.ribs {
			changed = s.update(p, touched) || changed
		}
	}
	plan := BGPPlan{
		Peers:    p.sessions,
		BFD:      p.bfd,
		Routes:   make(map[bgp.SessionKey][]bgp.Route, len(p.sessions)),
		Refused:  p.refusals,
		Draining: stage != inService,
		Changed:  changed,
		Wake:     wake,
	}
	if stage == closed && len(p.members) == 0 {
		plan.Peers, plan.BFD, plan.Refused = nil, nil, nil
		return plan
	}
	for _, s := range p.ribs {
		for _, session := range s.sessions {
			plan.Routes[session] = s.routes
		}
	}
	return plan
}

// rebuild plans everything.
func (p *BGPPlanner) rebuild(own *node) {
	p.bgpPolicy = newBGPPolicy(p.view)
	before := p.ribs
	p.sessions, p.bfd, p.refusals, p.ribs = map[bgp.SessionKey]bgp.Peer{}, map[bgp.SessionKey]BFDSettings{}, nil, map[string]*adjRIBOut{}
	p.entries, p.members, p.weights = map[netip.Addr][]int{}, map[netip.Prefix][]tally{}, map[netip.Addr]int{}
	if own == nil {
		return
	}
	p.rebuildSessions(own)
	touched := map[netip.Prefix]struct{}{}
	for ip := range p.view.byAddress {
		p.updateAddress(own, ip, touched)
	}
	for name, s := range p.ribs {
		s.build(p)
		if old := before[name]; old != nil {
			s.reuse(old)
		}
	}
}

// rebuildSessions finds out which routers the node speaks with.
func (p *BGPPlanner) rebuildSessions(own *node) {
	taken := map[bgp.Peer]string{}
	for age, r := range p.bgpPeers {
		if !r.selectsNode(own.labels) {
			continue
		}
		sessions, refusal := r.sessions(p.node, own, p.gateways, p.view.passwords)
		s := newAdjRIBOut(p, r)
		for _, key := range slices.SortedFunc(maps.Keys(sessions), bgp.SessionKey.Compare) {
			session := sessions[key]
			// A router tells its neighbors apart by their addresses.
			ends := bgp.Peer{Address: session.Address, Interface: session.Interface, Port: session.Port, Source: session.Source}
			if older, known := taken[ends]; known {
				refusal = fmt.Sprintf("BGPPeer %s, which is older, is for the same router", older)
				continue
			}
			taken[ends] = r.name
			p.sessions[key] = session
			if r.profile != "" {
				detection := p.view.bfdSettings(r.profile)
				detection.Age = age
				p.bfd[key] = detection
			}
			s.sessions = append(s.sessions, key)
		}
		if refusal != "" {
			p.refusals = append(p.refusals, Refusal{r.name, refusal})
		}
		if len(s.sessions) > 0 {
			p.ribs[r.name] = s
		}
	}
	slices.SortFunc(p.refusals, func(a, b Refusal) int { return cmp.Compare(a.Peer, b.Peer) })
}

// updateAddress counts an address where it belongs now, and adds the prefixes for which that makes a difference.
func (p *BGPPlanner) updateAddress(own *node, ip netip.Addr, touched map[netip.Prefix]struct{}) {
	before, after := p.entries[ip], p.announcedFor(own, ip)
	p.updateWeight(ip, after, touched)
	if slices.Equal(before, after) {
		return
	}
	for _, i := range before {
		p.count(p.advertisements[i].prefix(ip), i, -1, touched)
	}
	for _, i := range after {
		p.count(p.advertisements[i].prefix(ip), i, 1, touched)
	}
	if len(after) == 0 {
		delete(p.entries, ip)
	} else {
		p.entries[ip] = after
	}
}

// count adds to the addresses for which an advertisement wants a prefix announced.
func (p *BGPPlanner) count(prefix netip.Prefix, advertisement, addresses int, touched map[netip.Prefix]struct{}) {
	members := p.members[prefix]
	i, found := slices.BinarySearchFunc(members, advertisement, func(m tally, a int) int { return cmp.Compare(m.advertisement, a) })
	if !found {
		members = slices.Insert(members, i, tally{advertisement: advertisement})
		touched[prefix] = struct{}{}
	}
	if members[i].addresses += addresses; members[i].addresses == 0 {
		members = slices.Delete(members, i, i+1)
		touched[prefix] = struct{}{}
	}
	if len(members) == 0 {
		delete(p.members, prefix)
	} else {
		p.members[prefix] = members
	}
}

// updateWeight finds the weight of an address that the node announces for these advertisements.
func (p *BGPPlanner) updateWeight(ip netip.Addr, advertisements []int, touched map[netip.Prefix]struct{}) {
	weight := 0
	if slices.ContainsFunc(advertisements, func(i int) bool { return p.advertisements[i].perEndpoint }) {
		for _, s := range p.view.byAddress[ip] {
			if s.local {
				weight += s.backends.on(p.node, ip)
			}
		}
	}
	if weight == p.weights[ip] {
		return
	}
	touched[netip.PrefixFrom(ip, ip.BitLen())] = struct{}{}
	if weight == 0 {
		delete(p.weights, ip)
	} else {
		p.weights[ip] = weight
	}
}

// announcedFor are the advertisements for which the node announces an address, sorted.
func (p *BGPPlanner) announcedFor(own *node, ip netip.Addr) []int {
	if own == nil {
		return nil
	}
	requests, _ := p.requests(ip, p.view.byAddress[ip])
	if p.shutdown.stage >= withdrawn && (own.excluded || p.elsewhere(ip, requests)) {
		return nil
	}
	advertisements, _ := p.judge(p.node, own, ip, requests)
	return advertisements
}

// elsewhere says whether another node can announce an address.
func (p *BGPPlanner) elsewhere(ip netip.Addr, requests []announceRequest) bool {
	for name, n := range p.view.nodes {
		if name == p.node || n.draining || n.excluded || n.notReady {
			continue
		}
		if advertisements, _ := p.judge(name, n, ip, requests); len(p.peers(n, advertisements)) > 0 {
			return true
		}
	}
	return false
}
