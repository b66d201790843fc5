package announce

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/election"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Planner decides what one node announces, from a View, the live members and the node's interfaces. A change of a Service
// or an EndpointSlice costs the planning of its addresses; one of members, nodes, interfaces or configuration that of all.
// A Planner is not safe for concurrent use.
type Planner struct {
	view       *View
	node       string
	sight      sight
	alive      []string
	interfaces []Interface
	stale      bool

	// What follows is derived anew when members, nodes, interfaces or configuration change.
	pools          []*pool
	advertisements []*advertisement
	footprints     []*footprint
	byPool         map[*pool][]int
	members        []*member
	round          *election.Round

	// announces has what the last plan said.
	announces map[netip.Addr][]string
	claims    map[netip.Addr]held
	changed   bool
}

// held is a claim of the planner's own node.
type held struct {
	claim
	// made tells when, in the sight's count.
	made int
}

// member is a node as a plan sees it.
type member struct {
	name string
	// barred is why the node announces nothing at all; "" if it may.
	barred Reason
	// index of the node in the round, if it is not barred.
	index int
}

// NewPlanner returns a Planner for a node that sees no member, not even itself, and has no interface.
func NewPlanner(view *View, node string) *Planner {
	return &Planner{
		view:      view,
		node:      node,
		stale:     true,
		announces: map[netip.Addr][]string{},
		claims:    map[netip.Addr]held{},
	}
}

// SetAlive takes the names of the members in sight, sorted, the planner's own among them.
func (p *Planner) SetAlive(names []string) {
	p.stale = p.sight.look(names) || p.stale
}

// SetInterfaces takes the node's interfaces that are up, sorted by name.
func (p *Planner) SetInterfaces(interfaces []Interface) {
	p.stale = p.stale || !slices.EqualFunc(p.interfaces, interfaces, Interface.equal)
	p.interfaces = interfaces
}

// MoveReason says why an address came to a node or left it.
type MoveReason string

const (
	// MoveNew : the address had no owner before.
	MoveNew MoveReason = "New"
	// MoveHolderDown : the former owner is not in sight.
	MoveHolderDown MoveReason = "HolderDown"
	// MoveHolderUnfit : the former owner may no longer announce the address.
	MoveHolderUnfit MoveReason = "HolderUnfit"
	// MoveKept : a restarted announcer goes on with an address that it had.
	MoveKept MoveReason = "Kept"
	// MoveYielded : another node owns the address.
	MoveYielded MoveReason = "Yielded"
	// MoveWithdrawn : no node may announce the address now.
	MoveWithdrawn MoveReason = "Withdrawn"
)

// Move is an address that comes to the planner's node or leaves it.
type Move struct {
	Address  netip.Addr
	From, To string
	Reason   MoveReason
	// Interfaces on which a gained address is announced.
	Interfaces []string
	// Verdict is why this node does not announce an address that left it.
	Verdict Reason
}

// Plan is what the planner's node is to do.
type Plan struct {
	// Layer2 are the addresses to answer for and on which interfaces: all of them. It must not be modified, and is valid
	// until the next plan.
	Layer2 map[netip.Addr][]string
	// Changed says whether Layer2 or the Planner's Status may be other than after the last plan.
	Changed bool
	// Again are addresses of Layer2 that another node has claimed, and so announced, while this one had them, which it
	// keeps nevertheless: the network must hear from this one again.
	Again []netip.Addr
	// Moves since the last plan, by address.
	Moves []Move
	// Unseen are the members that are alive although the gossip does not see them, sorted.
	Unseen []string
}

// Plan decides anew where something has changed. Claims that are made with it carry the time now.
func (p *Planner) Plan(now time.Time) Plan {
	dirty, all := p.view.changes()
	touched := dirty
	contested := map[netip.Addr]bool{}
	for ip := range dirty {
		contested[ip] = p.contested(ip)
	}
	p.changed = all || p.stale
	if p.changed {
		p.stale = false
		p.restart()
		for ip := range p.announces {
			touched[ip] = struct{}{}
		}
		for ip := range p.view.byAddress {
			p.enter(ip)
		}
	} else {
		for ip := range dirty {
			p.enter(ip)
		}
	}
	for _, ip := range p.round.Decide() {
		if p.round.Decision(ip).Owner == p.node {
			touched[ip] = struct{}{}
		} else if _, announced := p.announces[ip]; announced {
			touched[ip] = struct{}{}
		}
	}

	plan := Plan{Layer2: p.announces, Unseen: p.sight.unseen()}
	for _, ip := range slices.SortedFunc(maps.Keys(touched), netip.Addr.Compare) {
		if move, moved := p.follow(ip, now); moved {
			plan.Moves = append(plan.Moves, move)
		} else if _, kept := p.announces[ip]; kept && contested[ip] {
			plan.Again = append(plan.Again, ip)
		}
	}
	plan.Changed = p.changed
	return plan
}

// restart derives everything that does not depend on a single address.
func (p *Planner) restart() {
	p.pools = slices.SortedFunc(maps.Values(p.view.pools), byAge)
	p.advertisements = p.advertisements[:0]
	for _, name := range slices.Sorted(maps.Keys(p.view.advertisements)) {
		p.advertisements = append(p.advertisements, p.view.advertisements[name])
	}
	p.byPool = map[*pool][]int{}
	for _, pool := range p.pools {
		for i, a := range p.advertisements {
			if a.selectsPool(pool) {
				p.byPool[pool] = append(p.byPool[pool], i)
			}
		}
	}
	p.alive = p.sight.alive(func(name string) bool {
		n := p.view.nodes[name]
		return n != nil && !n.notReady
	})
	p.footprints = p.footprints[:0]
	for range p.advertisements {
		p.footprints = append(p.footprints, newFootprint(len(p.alive)))
	}
	p.round = election.NewRound(p.alive)
	p.members = p.members[:0]
	for _, name := range slices.Sorted(maps.Keys(p.view.nodes)) {
		m := p.newMember(name)
		p.members = append(p.members, m)
		for i, a := range p.advertisements {
			if m.barred == "" && a.selectsNode(p.view.nodes[name].labels) {
				p.footprints[i].add(m.index, a, p.view.announcers[name].interfaces)
			}
		}
	}
}

func (p *Planner) newMember(name string) *member {
	n := p.view.nodes[name]
	index, alive := slices.BinarySearch(p.alive, name)
	m := &member{name: name, index: index}
	switch {
	case p.view.announcers[name] == nil:
		m.barred = NoAnnouncer
	case !alive:
		m.barred = NotAlive
	case n.excluded:
		m.barred = Excluded
	case n.networkUnavailable:
		m.barred = NetworkUnavailable
	}
	return m
}

// enter puts an address into the election as it is now, or takes it out.
func (p *Planner) enter(ip netip.Addr) {
	services := p.view.byAddress[ip]
	if len(services) == 0 {
		p.round.Remove(ip)
		return
	}
	eligible := election.NewSet(len(p.alive))
	requests, _ := p.requests(ip)
	for _, r := range requests {
		candidates := p.candidates(r, ip)
		if r.on == nil {
			eligible.AddAll(candidates)
			continue
		}
		for _, name := range r.on {
			if i, alive := slices.BinarySearch(p.alive, name); alive && candidates.Has(i) {
				eligible.Add(i)
			}
		}
	}
	p.round.Set(ip, election.Address{
		Created:  services[0].created,
		Claims:   p.view.electionClaims(ip),
		Eligible: eligible,
	})
}

// candidates are the nodes that can announce an address for a request, wherever its endpoints are. Everybody goes by what
// nodes have recorded; only this node knows what it has lost since.
func (p *Planner) candidates(r request, ip netip.Addr) election.Set {
	set := p.footprints[r.advertisement].at(ip)
	if i, alive := slices.BinarySearch(p.alive, p.node); alive && set.Has(i) && !p.advertisements[r.advertisement].covers(ip, p.interfaces) {
		set.Remove(i)
	}
	return set
}

// request is that an advertisement wants an address announced for a Service.
type request struct {
	advertisement int
	// on are the nodes to which traffic must stay local, sorted; nil for any node.
	on []string
}

// requests collects who wants an address announced. If nobody does, the reason says why, from the Service that came closest.
func (p *Planner) requests(ip netip.Addr) ([]request, Reason) {
	services := p.view.byAddress[ip]
	if len(services) == 0 {
		return nil, NotAssigned
	}
	pool := poolOf(p.pools, ip)
	if pool == nil {
		return nil, NoPool
	}
	var requests []request
	refused := NoAdvertisement
	for _, s := range services {
		serving := s.backends.serving(ip)
		for _, i := range p.byPool[pool] {
			if !p.advertisements[i].selectsService(s.labels) {
				continue
			}
			if len(serving) == 0 {
				refused = NoEndpoint
				break
			}
			if s.local {
				requests = append(requests, request{i, serving})
			} else {
				requests = append(requests, request{i, nil})
			}
		}
	}
	if len(requests) > 0 {
		refused = ""
	}
	return requests, refused
}

// judge says why a node may not announce an address; "" if it may. One request that it can meet is enough; of those that it
// cannot, the reason comes from the one that came closest.
func (p *Planner) judge(m *member, ip netip.Addr, requests []request) Reason {
	if m.barred != "" {
		return m.barred
	}
	closest := NotSelected
	for _, r := range requests {
		if !p.footprints[r.advertisement].selected.Has(m.index) {
			continue
		}
		if r.on != nil {
			if _, local := slices.BinarySearch(r.on, m.name); !local {
				if closest == NotSelected {
					closest = NoLocalEndpoint
				}
				continue
			}
		}
		if p.candidates(r, ip).Has(m.index) {
			return ""
		}
		closest = NoInterface
	}
	return closest
}

// follow has the node do about an address what the election says, and reports if it comes or goes.
func (p *Planner) follow(ip netip.Addr, now time.Time) (Move, bool) {
	_, announced := p.announces[ip]
	decision := p.round.Decision(ip)
	if decision.Owner == p.node {
		interfaces := p.interfacesFor(ip)
		before := p.claims[ip]
		p.claim(ip, now)
		if !announced || !slices.Equal(p.announces[ip], interfaces) || before != p.claims[ip] {
			p.announces[ip] = interfaces
			p.changed = true
		}
		return Move{ip, decision.Holder, p.node, gains[decision.Why], interfaces, ""}, !announced
	}
	delete(p.announces, ip)
	delete(p.claims, ip)
	if !announced {
		return Move{}, false
	}
	p.changed = true
	reason := MoveYielded
	if decision.Owner == "" {
		reason = MoveWithdrawn
	}
	return Move{ip, p.node, decision.Owner, reason, nil, p.verdict(ip)}, true
}

var gains = map[election.Why]MoveReason{
	election.Holds:       MoveKept,
	election.Unclaimed:   MoveNew,
	election.HolderDown:  MoveHolderDown,
	election.HolderUnfit: MoveHolderUnfit,
}

// claim makes sure that the node's claim on an address is the best one: the one it has, or one that follows all others.
func (p *Planner) claim(ip netip.Addr, now time.Time) {
	mine, claimed := p.claims[ip]
	if !claimed {
		mine.claim = claim{election.Claim{Node: p.node}, now}
	}
	best := mine.claim
	for _, c := range p.view.claims[ip] {
		if c.Beats(best.Claim) {
			best = c
		}
	}
	if best.Node != p.node || best.Epoch == 0 {
		best = claim{election.Claim{Node: p.node, Epoch: best.Epoch + 1}, mine.since}
	}
	if !claimed || best != mine.claim {
		p.claims[ip] = held{best, p.sight.count}
	}
}

// contested says whether another node has claimed an address that this one has. A better claim can only have been made by
// somebody who had seen this node's: it proves its maker alive, even if the gossip does not see it.
func (p *Planner) contested(ip netip.Addr) bool {
	mine, claimed := p.claims[ip]
	contested := false
	for _, c := range p.view.claims[ip] {
		if !claimed || c.Node == p.node || c.Epoch < mine.Epoch {
			continue
		}
		contested = true
		if c.Epoch > mine.Epoch && p.sight.prove(c.Node, mine.made) {
			p.stale = true
		}
	}
	return contested
}

// interfacesFor are the node's interfaces on which an address is to be announced: those of all requests that it meets.
func (p *Planner) interfacesFor(ip netip.Addr) []string {
	own, found := p.member(p.node)
	if !found {
		return nil
	}
	requests, _ := p.requests(ip)
	var names []string
	for _, r := range requests {
		if p.judge(own, ip, []request{r}) == "" {
			names = append(names, p.advertisements[r.advertisement].interfacesFor(ip, p.interfaces)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (p *Planner) member(name string) (*member, bool) {
	i, found := slices.BinarySearchFunc(p.members, name, func(m *member, name string) int {
		if m.name < name {
			return -1
		} else if m.name > name {
			return 1
		}
		return 0
	})
	if !found {
		return nil, false
	}
	return p.members[i], true
}

// verdict is why the node itself does not announce an address.
func (p *Planner) verdict(ip netip.Addr) Reason {
	requests, refused := p.requests(ip)
	if refused != "" {
		return refused
	}
	if own, found := p.member(p.node); found {
		return cmp.Or(p.judge(own, ip, requests), StandsBy)
	}
	return NoAnnouncer
}

// Explain says who announces an address as of the last plan, and of every node why it does or does not.
func (p *Planner) Explain(ip netip.Addr) Explanation {
	e := Explanation{Address: ip}
	for _, s := range p.view.byAddress[ip] {
		e.Services = append(e.Services, s.name)
	}
	requests, refused := p.requests(ip)
	if refused != "" {
		e.Refused = refused
		return e
	}
	e.Decision = p.round.Decision(ip)
	for _, m := range p.members {
		v := Verdict{m.name, p.judge(m, ip, requests)}
		if v.Reason == "" {
			v.Reason = StandsBy
		}
		if m.name == e.Decision.Owner {
			v.Reason = Announces
		}
		e.Verdicts = append(e.Verdicts, v)
	}
	return e
}

// Status is what the node records of itself on layer 2: the claims of the last plan, and the interfaces that can carry
// addresses, which others go by.
func (p *Planner) Status() v1alpha1.Layer2Status {
	var status v1alpha1.Layer2Status
	for _, i := range p.interfaces {
		named := slices.ContainsFunc(p.advertisements, func(a *advertisement) bool { return a.names(i.Name) })
		if named || len(i.Prefixes) > 0 || i.DefaultRoute4 || i.DefaultRoute6 {
			status.Interfaces = append(status.Interfaces, writeInterface(i))
		}
	}
	for _, ip := range slices.SortedFunc(maps.Keys(p.claims), netip.Addr.Compare) {
		status.Addresses = append(status.Addresses, v1alpha1.Layer2Address{
			IP:         ip.String(),
			Interfaces: p.announces[ip],
			Epoch:      p.claims[ip].Epoch,
			Since:      metav1.NewTime(p.claims[ip].since.Truncate(time.Second)),
		})
	}
	return status
}
