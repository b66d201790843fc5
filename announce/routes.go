package announce

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
)

// RoutePlanner decides what one node says to which routers, from a View. A change of a Service or an EndpointSlice costs the
// planning of its addresses; one of the node or the configuration that of all. A RoutePlanner is not safe for concurrent use.
type RoutePlanner struct {
	view     *View
	node     string
	gateways []netip.Addr
	stale    bool

	routeField
	leave    leave
	planned  bool
	sessions map[string]bgp.Peer
	// detections are for the sessions whose path is to be watched.
	detections map[string]Detection
	refusals   []Refusal
	// speeches are what the node says, by BGPPeer.
	speeches map[string]*speech

	// entries are the advertisements for which the node announces an address, sorted, and members has for each prefix the
	// advertisements and for how many addresses.
	entries map[netip.Addr][]int
	members map[netip.Prefix][]tally
	// weights are how many endpoints on the node serve an address, where an advertisement has routers told.
	weights map[netip.Addr]int
	// verdicts are those of addresses that any node may announce and no aggregate covers, by their advertisements.
	verdicts map[string][]RouteVerdict
}

// tally is for how many addresses an advertisement wants a prefix announced.
type tally struct{ advertisement, addresses int }

// NewRoutePlanner returns a RoutePlanner for a node that has no default route.
func NewRoutePlanner(view *View, node string) *RoutePlanner {
	return &RoutePlanner{view: view, node: node, stale: true}
}

// RoutePlan is what the planner's node is to say. Its maps and slices must not be modified.
type RoutePlan struct {
	// Peers are the sessions, by name, and Routes what is announced on each of them, in the order of the prefixes. What has
	// not changed since the last plan is the same slice.
	Peers  map[string]bgp.Peer
	Routes map[string][]bgp.Route
	// Detections are for the sessions whose path is to be watched by BFD, by name.
	Detections map[string]Detection
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
func (p *RoutePlanner) SetGateways(gateways []netip.Addr) {
	p.stale = p.stale || !slices.Equal(p.gateways, gateways)
	p.gateways = gateways
}

// Plan decides anew where something has changed.
func (p *RoutePlanner) Plan(now time.Time) RoutePlan {
	own := p.view.nodes[p.node]
	changes := p.view.routeChanges()
	stage, wake := p.leave.step(own != nil && (own.draining || own.excluded), !p.planned, now)
	_, moved := changes.nodes[p.node]
	// A node that is drained goes by what others can do.
	survey := changes.all || p.stale || moved || stage != p.leave.stage || stage != staying && len(changes.nodes) > 0
	p.leave.stage, p.stale, p.planned = stage, false, true
	if survey || len(changes.nodes) > 0 {
		p.verdicts = map[string][]RouteVerdict{}
	}
	changed := survey
	if survey {
		p.survey(own)
	} else {
		touched := map[netip.Prefix]struct{}{}
		for ip := range changes.addresses {
			p.enter(own, ip, touched)
		}
		for _, s := range p.speeches {
			changed = s.revise(p, touched) || changed
		}
	}
	plan := RoutePlan{
		Peers:      p.sessions,
		Detections: p.detections,
		Routes:     make(map[string][]bgp.Route, len(p.sessions)),
		Refused:    p.refusals,
		Draining:   stage != staying,
		Changed:    changed,
		Wake:       wake,
	}
	if stage == left && len(p.members) == 0 {
		plan.Peers, plan.Detections, plan.Refused = nil, nil, nil
		return plan
	}
	for _, s := range p.speeches {
		for _, session := range s.sessions {
			plan.Routes[session] = s.routes
		}
	}
	return plan
}

// survey plans everything.
func (p *RoutePlanner) survey(own *node) {
	p.routeField = newRouteField(p.view)
	before := p.speeches
	p.sessions, p.detections, p.refusals, p.speeches = map[string]bgp.Peer{}, map[string]Detection{}, nil, map[string]*speech{}
	p.entries, p.members, p.weights = map[netip.Addr][]int{}, map[netip.Prefix][]tally{}, map[netip.Addr]int{}
	if own == nil {
		return
	}
	p.meet(own)
	touched := map[netip.Prefix]struct{}{}
	for ip := range p.view.byAddress {
		p.enter(own, ip, touched)
	}
	for name, s := range p.speeches {
		s.begin(p)
		if old := before[name]; old != nil {
			s.adopt(old)
		}
	}
}

// meet finds out which routers the node speaks with.
func (p *RoutePlanner) meet(own *node) {
	taken := map[bgp.Peer]string{}
	for age, r := range p.routers {
		if !r.selectsNode(own.labels) {
			continue
		}
		sessions, refusal := r.sessions(p.node, own, p.gateways, p.view.passwords)
		s := newSpeech(p, r)
		for _, name := range slices.Sorted(maps.Keys(sessions)) {
			session := sessions[name]
			// A router tells its neighbors apart by their addresses.
			ends := bgp.Peer{Address: session.Address, Interface: session.Interface, Port: session.Port, Source: session.Source}
			if older, known := taken[ends]; known {
				refusal = fmt.Sprintf("BGPPeer %s, which is older, is for the same router", older)
				continue
			}
			taken[ends] = r.name
			p.sessions[name] = session
			if r.profile != "" {
				detection := p.view.detection(r.profile)
				detection.Age = age
				p.detections[name] = detection
			}
			s.sessions = append(s.sessions, name)
		}
		if refusal != "" {
			p.refusals = append(p.refusals, Refusal{r.name, refusal})
		}
		if len(s.sessions) > 0 {
			p.speeches[r.name] = s
		}
	}
	slices.SortFunc(p.refusals, func(a, b Refusal) int { return cmp.Compare(a.Peer, b.Peer) })
}

// enter counts an address where it belongs now, and adds the prefixes for which that makes a difference.
func (p *RoutePlanner) enter(own *node, ip netip.Addr, touched map[netip.Prefix]struct{}) {
	before, after := p.entries[ip], p.announcedFor(own, ip)
	p.weigh(ip, after, touched)
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
func (p *RoutePlanner) count(prefix netip.Prefix, advertisement, addresses int, touched map[netip.Prefix]struct{}) {
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

// weigh finds the weight of an address that the node announces for these advertisements.
func (p *RoutePlanner) weigh(ip netip.Addr, advertisements []int, touched map[netip.Prefix]struct{}) {
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
func (p *RoutePlanner) announcedFor(own *node, ip netip.Addr) []int {
	if own == nil {
		return nil
	}
	requests, _ := p.requests(ip, p.view.byAddress[ip])
	if p.leave.stage >= withdrawn && (own.excluded || p.elsewhere(ip, requests)) {
		return nil
	}
	advertisements, _ := p.judge(p.node, own, ip, requests)
	return advertisements
}

// elsewhere says whether another node can announce an address.
func (p *RoutePlanner) elsewhere(ip netip.Addr, requests []request) bool {
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

// RouteVerdict is what one node does about an address by BGP, to whom and why.
type RouteVerdict struct {
	Node   string
	Reason Reason
	// Peers are the BGPPeers to which the node announces the address, if the Reason is Announces or Draining, sorted.
	Peers []string
}

// RouteExplanation is which nodes announce an address by BGP and why not others.
type RouteExplanation struct {
	Address netip.Addr
	// Refused is why no node does, if that is the address's.
	Refused Reason
	// Verdicts for every node, sorted by name; none if Refused.
	Verdicts []RouteVerdict
}

// Explain says which nodes announce an address as of the last plan, and of every node why it does or does not. A node that is
// being drained does if no other can. The verdicts must not be modified.
func (p *RoutePlanner) Explain(ip netip.Addr) RouteExplanation {
	e := RouteExplanation{Address: ip}
	requests, refused := p.requests(ip, p.view.byAddress[ip])
	if refused != "" {
		e.Refused = refused
		return e
	}
	var key []byte
	for _, r := range requests {
		if r.on != nil || !p.advertisements[r.advertisement].prefix(ip).IsSingleIP() {
			key = nil
			break
		}
		key = binary.AppendUvarint(key, uint64(r.advertisement))
	}
	if key == nil {
		e.Verdicts = p.judgeAll(ip, requests)
		return e
	}
	if _, known := p.verdicts[string(key)]; !known {
		p.verdicts[string(key)] = p.judgeAll(ip, requests)
	}
	e.Verdicts = p.verdicts[string(key)]
	return e
}

// judgeAll says of every node what it does about an address, sorted by name.
func (p *RoutePlanner) judgeAll(ip netip.Addr, requests []request) (verdicts []RouteVerdict) {
	for _, name := range slices.Sorted(maps.Keys(p.view.nodes)) {
		n, v := p.view.nodes[name], RouteVerdict{Node: name, Reason: Excluded}
		if !n.excluded {
			var advertisements []int
			advertisements, v.Reason = p.judge(name, n, ip, requests)
			v.Peers = p.peers(n, advertisements)
			switch {
			case v.Reason != "":
			case len(v.Peers) == 0:
				v.Reason = NoPeer
			case n.draining:
				v.Reason = Draining
			default:
				v.Reason = Announces
			}
		}
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// RefusedAdvertisements are the BGPAdvertisements that are not honoured as of the last plan, and why, by name.
func (p *RoutePlanner) RefusedAdvertisements() map[string]string { return p.routeField.refused }

// Contradictions are the BGPAdvertisements of which something does not hold because an older one says otherwise, and what.
func (p *RoutePlanner) Contradictions() map[string]string { return p.contradictions(p.view) }

// speech is what a node says to the routers of one BGPPeer.
type speech struct {
	router *router
	// sessions that say it, by name.
	sessions []string
	// selects has for each advertisement whether it is for the router.
	selects []bool
	leaving bool
	// attributes by the advertisements that they are merged from, as the bytes of their indices and of the weight, if any of
	// them has that told.
	attributes map[string]*bgp.Attributes
	routes     []bgp.Route
}

func newSpeech(p *RoutePlanner, r *router) *speech {
	s := &speech{router: r, leaving: p.leave.stage != staying, attributes: map[string]*bgp.Attributes{}}
	for _, a := range p.advertisements {
		s.selects = append(s.selects, a.selectsPeer(r.name))
	}
	return s
}

// begin makes all routes.
func (s *speech) begin(p *RoutePlanner) {
	s.routes = make([]bgp.Route, 0, len(p.members))
	for prefix, members := range p.members {
		if attributes := s.attributesFor(p, prefix, members); attributes != nil {
			s.routes = append(s.routes, bgp.Route{Prefix: prefix, Attributes: attributes})
		}
	}
	slices.SortFunc(s.routes, func(a, b bgp.Route) int { return a.Prefix.Compare(b.Prefix) })
}

// adopt takes the old routes over if they say the same, so that everybody sees at once that nothing has changed.
func (s *speech) adopt(old *speech) {
	same := map[[2]*bgp.Attributes]bool{}
	if !slices.EqualFunc(s.routes, old.routes, func(a, b bgp.Route) bool {
		pair := [2]*bgp.Attributes{a.Attributes, b.Attributes}
		equal, known := same[pair]
		if !known {
			equal = reflect.DeepEqual(a.Attributes, b.Attributes)
			same[pair] = equal
		}
		return equal && a.Prefix == b.Prefix
	}) {
		return
	}
	s.routes = old.routes
}

// revise makes the routes of some prefixes anew, and reports whether that made a difference.
func (s *speech) revise(p *RoutePlanner, prefixes map[netip.Prefix]struct{}) bool {
	var revised []bgp.Route // without attributes: to be withdrawn
	for prefix := range prefixes {
		attributes := s.attributesFor(p, prefix, p.members[prefix])
		i, found := s.find(prefix)
		if found && s.routes[i].Attributes != attributes || !found && attributes != nil {
			revised = append(revised, bgp.Route{Prefix: prefix, Attributes: attributes})
		}
	}
	if len(revised) == 0 {
		return false
	}
	slices.SortFunc(revised, func(a, b bgp.Route) int { return a.Prefix.Compare(b.Prefix) })
	routes, rest := make([]bgp.Route, 0, len(s.routes)+len(revised)), s.routes
	for _, r := range revised {
		i, found := slices.BinarySearchFunc(rest, r.Prefix, comparePrefix)
		routes = append(routes, rest[:i]...)
		if rest = rest[i:]; found {
			rest = rest[1:]
		}
		if r.Attributes != nil {
			routes = append(routes, r)
		}
	}
	s.routes = append(routes, rest...)
	return true
}

func (s *speech) find(prefix netip.Prefix) (int, bool) {
	return slices.BinarySearchFunc(s.routes, prefix, comparePrefix)
}

func comparePrefix(r bgp.Route, prefix netip.Prefix) int { return r.Prefix.Compare(prefix) }

// attributesFor are those of a prefix with these members; nil if it is not for the router.
func (s *speech) attributesFor(p *RoutePlanner, prefix netip.Prefix, members []tally) *bgp.Attributes {
	var key []byte
	weighed := false
	for _, m := range members {
		if s.selects[m.advertisement] {
			key = binary.AppendUvarint(key, uint64(m.advertisement))
			weighed = weighed || p.advertisements[m.advertisement].perEndpoint
		}
	}
	if key == nil {
		return nil
	}
	weight := 0
	if weighed {
		weight = p.weights[prefix.Addr()]
		key = binary.AppendUvarint(key, uint64(weight))
	}
	if attributes := s.attributes[string(key)]; attributes != nil {
		return attributes
	}
	var advertisements []int
	for _, m := range members {
		if s.selects[m.advertisement] {
			advertisements = append(advertisements, m.advertisement)
		}
	}
	attributes := p.routeField.attributes(advertisements, s.router.external())
	attributes.LinkBandwidth = float32(weight) * bandwidthOfEndpoint
	attributes.Leaving = s.leaving
	s.attributes[string(key)] = &attributes
	return &attributes
}
