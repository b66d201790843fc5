package plan

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/election"
)

// Layer2Planner decides what one node announces, from a View, the live members and the node's interfaces. A change of a Service
// or an EndpointSlice costs the planning of its addresses; one of members, nodes, interfaces or configuration that of all.
// A Planner is not safe for concurrent use.
type Layer2Planner struct {
	view   *View
	node   string
	live   liveSet
	states map[string]MemberState
	// proxyUntil has until when members that paused are still helped out, now that the gossip sees them again.
	proxyUntil map[string]time.Time
	warmingUp  bool
	interfaces []Interface
	stale      bool
	// revisit are addresses to look at although nothing in the view has changed; reenter those for which the election changes.
	revisit, toReenter map[netip.Addr]struct{}

	candidates
	round *election.Round

	owned     map[netip.Addr]*ownership
	announced map[netip.Addr][]string
	conflicts map[netip.Addr]*Conflict
	takeovers map[netip.Addr]takeover
	relays    map[netip.Addr]Relay
	// quiesce and kept are addresses of which this plan finds that another node has announced them: it is to have them, or was and
	// is not any more.
	quiesce, reannounce []netip.Addr
	// ownerOf has who owns the addresses that are here or were, and unnoticed until when some may not have noticed a change.
	ownerOf   map[netip.Addr]string
	unnoticed map[netip.Addr]time.Time
	// away has since when announcers are out of sight; planned is when the last plan was made.
	away    map[string]time.Time
	planned time.Time
	// rebalanced is the last request for rebalancing that was met.
	rebalanced string
	// resumed says that what the node has recorded of itself before was taken up.
	resumed bool
	changed bool
}

// NewLayer2Planner returns a Planner for a node that sees no member, not even itself, and has no interface.
func NewLayer2Planner(view *View, node string) *Layer2Planner {
	return &Layer2Planner{
		view:       view,
		node:       node,
		stale:      true,
		proxyUntil: map[string]time.Time{},
		revisit:    map[netip.Addr]struct{}{},
		toReenter:  map[netip.Addr]struct{}{},
		owned:      map[netip.Addr]*ownership{},
		announced:  map[netip.Addr][]string{},
		conflicts:  map[netip.Addr]*Conflict{},
		takeovers:  map[netip.Addr]takeover{},
		relays:     map[netip.Addr]Relay{},
		ownerOf:    map[netip.Addr]string{},
		unnoticed:  map[netip.Addr]time.Time{},
		away:       map[string]time.Time{},
	}
}

// MemberState is what is known of a member that the gossip does not see.
type MemberState int

const (
	// Dead : its node is dead, or its announcer has been away for so long that others take over.
	Dead MemberState = iota
	// Suspect : not known yet. It keeps what it has until its Node is not ready.
	Suspect
	// AnnouncerDown : its node is there, but its announcer is not. It keeps what it has; another node answers in its place.
	AnnouncerDown
	// GossipBlocked : its announcer answers for its addresses; the gossip is blocked.
	GossipBlocked
)

// String is for the log.
func (a MemberState) String() string {
	return [...]string{"Gone", "Unknown", "Paused", "Unseen"}[a]
}

// SetAlive takes the names of the members that the gossip sees, sorted, the planner's own among them.
func (p *Layer2Planner) SetAlive(names []string) {
	p.stale = p.live.update(names) || p.stale
}

// SetMemberStates takes what is known of the members that the gossip does not see. Those that are not mentioned are Gone.
func (p *Layer2Planner) SetMemberStates(absent map[string]MemberState) {
	p.stale = p.stale || !maps.Equal(p.states, absent)
	p.states = absent
}

// SetWarmingUp says whether the node has begun to take part so recently that others, which begin at the same time, may not have
// been met: it then leaves addresses alone that nobody has claimed.
func (p *Layer2Planner) SetWarmingUp(novice bool) {
	p.stale = p.stale || p.warmingUp != novice
	p.warmingUp = novice
}

// SetInterfaces takes the node's interfaces that are up, sorted by name.
func (p *Layer2Planner) SetInterfaces(interfaces []Interface) {
	p.stale = p.stale || !slices.EqualFunc(p.interfaces, interfaces, Interface.Equal)
	p.interfaces = interfaces
}

// MoveReason says why an address came to a node or left it.
type MoveReason string

const (
	// MoveNew : the address had no owner before.
	MoveNew MoveReason = "New"
	// MoveIncumbentDown : the former owner is dead.
	MoveIncumbentDown MoveReason = "IncumbentDown"
	// MoveIncumbentIneligible : the former owner may no longer announce the address, or should not, because it is drained.
	MoveIncumbentIneligible MoveReason = "IncumbentIneligible"
	// MoveHandedOver : the former owner has handed the address over.
	MoveHandedOver MoveReason = "HandedOver"
	// MoveResumed : a restarted announcer goes on with an address that it had.
	MoveResumed MoveReason = "Resumed"
	// MoveSuperseded : another node owns the address.
	MoveSuperseded MoveReason = "Superseded"
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

// Layer2Plan is what the planner's node is to do. Its maps must not be modified, and are valid until the next plan.
type Layer2Plan struct {
	// Layer2 are the addresses to answer for and on which interfaces: all of them.
	Layer2 map[netip.Addr][]string
	// Proxied are the addresses to answer for in the place of another node: all of them.
	Proxied map[netip.Addr]Proxy
	// Relays are the addresses that were on other nodes, with where to relay what belongs to connections that began there: all
	// of them.
	Relays map[netip.Addr]Relay
	// Probes are the addresses of which to find out, on which interfaces, whether a stranger has them: all of them. Report
	// tells the planner.
	Probes map[netip.Addr][]string
	// Changed says whether Layer2 or the Planner's Status may be other than after the last plan.
	Changed bool
	// Reannounce are addresses of Layer2 that another node has claimed, and so announced, while this one had them, which it
	// keeps nevertheless: the network must hear from this one again.
	Reannounce []netip.Addr
	// Quiesce are addresses of Layer2 that another node has announced since the last plan, and is to have: this one only answers
	// for them for a moment.
	Quiesce []netip.Addr
	// Moves since the last plan, by address.
	Moves []Move
	// Takeovers are those among the Moves of which to tell the other nodes.
	Takeovers []Takeover
	// GossipBlocked are the members that are alive although the gossip does not see them, sorted.
	GossipBlocked []string
	// Wake is when to plan again even if nothing changes; zero: never.
	Wake time.Time
}

// Relay is where to send on, inside the node's network, what is sent to an address and belongs to connections that began elsewhere.
type Relay struct {
	// To is an address of the other node, which is reached by way of Interface.
	To        netip.Addr
	Interface string
}

// Proxy is what is needed to answer in the place of another node.
type Proxy struct {
	Interfaces []string
	// MAC is the hardware address of the other node, as text.
	MAC string
}

// Plan decides anew where something has changed. Claims that are made with it carry the time now.
func (p *Layer2Planner) Plan(now time.Time) Layer2Plan {
	dirty, all := p.view.changes()
	touched := dirty
	contested := map[netip.Addr]bool{}
	for ip := range dirty {
		contested[ip] = p.announcedByAnother(ip)
	}
	p.resume(now)
	expiry := Earlier(Earlier(p.expireTakeovers(now), p.expireAway(now)), p.expireUnnoticed(now))
	all = all || p.stale
	p.changed = all
	if all {
		p.stale = false
		p.rebuild()
		p.updateAway(now)
		for ip := range p.owned {
			touched[ip] = struct{}{}
		}
		for ip := range p.view.byAddress {
			p.reenter(ip)
		}
	} else {
		for ip := range dirty {
			p.reenter(ip)
		}
		for ip := range p.toReenter {
			p.reenter(ip)
		}
	}
	clear(p.toReenter)
	maps.Copy(touched, p.revisit)
	for ip, o := range p.owned {
		if o.tentative != nil && !now.Before(o.tentative.until) || !o.until.IsZero() && !now.Before(o.until) {
			touched[ip] = struct{}{}
		}
	}
	clear(p.revisit)
	for _, ip := range p.round.Decide() {
		if p.round.Decision(ip).Owner == p.node || p.owned[ip] != nil || p.view.withPrevious[ip] > 0 {
			touched[ip] = struct{}{}
		}
	}
	p.rebalance()

	plan := Layer2Plan{Layer2: p.announced, GossipBlocked: p.gossipBlocked(), Wake: expiry}
	for _, ip := range slices.SortedFunc(maps.Keys(touched), netip.Addr.Compare) {
		if move, moved := p.reconcile(ip, now); moved {
			plan.Moves = append(plan.Moves, move)
			if t, is := p.takeoverOf(move, now); is {
				plan.Takeovers = append(plan.Takeovers, t)
				plan.Wake = Earlier(plan.Wake, p.takeovers[ip].until)
			}
		} else if _, kept := p.announced[ip]; kept && contested[ip] && p.round.Decision(ip).Owner == p.node {
			plan.Reannounce = append(plan.Reannounce, ip)
		}
	}
	for _, o := range p.owned {
		plan.Wake = Earlier(plan.Wake, o.until)
	}
	plan.Wake = Earlier(plan.Wake, p.proxy(&plan, now))
	plan.Wake = Earlier(plan.Wake, p.probes(&plan, now))
	plan.Changed = p.changed
	if all {
		p.rebuildRelays(now)
	} else {
		for ip := range touched {
			p.updateRelay(ip, now)
		}
	}
	plan.Relays = p.relays
	plan.Quiesce, plan.Reannounce = p.quiesce, append(plan.Reannounce, p.reannounce...)
	p.quiesce, p.reannounce = nil, nil
	return plan
}

// Earlier of two times, of which the zero one is never.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// rebuild derives everything that does not depend on a single address.
func (p *Layer2Planner) rebuild() {
	ready := func(name string) bool {
		n := p.view.nodes[name]
		return n != nil && !n.notReady
	}
	alive := slices.Clone(p.live.alive(ready))
	for name, absence := range p.states {
		if absence == GossipBlocked || absence == AnnouncerDown || absence == Suspect && ready(name) {
			alive = append(alive, name)
		}
	}
	slices.Sort(alive)
	p.candidates = newCandidates(p.view, slices.Compact(alive))
	for name, absence := range p.states {
		if i, known := slices.BinarySearch(p.alive, name); known && (absence == AnnouncerDown || absence == Suspect) {
			p.keepOnly.Add(i)
		}
	}
	p.round = election.NewRound(p.alive)
}

// gossipBlocked are the members that are alive out of the gossip's sight, sorted.
func (p *Layer2Planner) gossipBlocked() []string {
	names := p.live.gossipBlocked()
	for name, absence := range p.states {
		if absence == GossipBlocked {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// reenter puts an address into the election as it is now, or takes it out.
func (p *Layer2Planner) reenter(ip netip.Addr) {
	services := p.view.byAddress[ip]
	if len(services) == 0 {
		p.round.Remove(ip)
		return
	}
	address := election.Address{
		Created:    services[0].created,
		Group:      p.view.group(ip),
		Claims:     p.view.electionClaims(ip),
		Eligible:   election.NewSet(len(p.alive)),
		LastResort: p.lastResort,
	}
	requests, _ := p.requests(ip)
	for _, r := range requests {
		candidates := p.candidatesFor(r, ip)
		if r.on == nil {
			address.Eligible.AddAll(candidates)
			continue
		}
		for _, name := range r.on {
			if i, alive := slices.BinarySearch(p.alive, name); alive && candidates.Has(i) {
				address.Eligible.Add(i)
			}
		}
	}
	best, _ := election.Best(address.Claims)
	address.Taken = p.takenOverBy(ip, best)
	p.keepOnly.All(func(i int) {
		if name := p.alive[i]; name != best.Node && name != address.Taken {
			address.Eligible.Remove(i)
		}
	})
	address.Weights = p.weightsFor(requests)
	p.round.Set(ip, address)
}

// candidatesFor are the nodes that can announce an address for a request, wherever its endpoints are. Everybody goes by what
// nodes have recorded; only this node knows what it has lost since.
func (p *Layer2Planner) candidatesFor(r announceRequest, ip netip.Addr) election.Set {
	set := p.reaches[r.advertisement].at(ip)
	if i, alive := slices.BinarySearch(p.alive, p.node); alive && set.Has(i) && !p.advertisements[r.advertisement].covers(ip, p.interfaces) {
		set.Remove(i)
	}
	return set
}

// requests collects who wants an address announced. If nobody does, the reason says why, from the Service that came closest.
func (p *Layer2Planner) requests(ip netip.Addr) ([]announceRequest, Reason) {
	return p.candidates.requests(ip, p.view.byAddress[ip])
}

// PossibleInterfaces is on which interfaces of the node an address might be announced; none if no Service has it.
func (p *Layer2Planner) PossibleInterfaces(ip netip.Addr) (names []string) {
	requests, _ := p.requests(ip)
	for _, r := range requests {
		names = append(names, p.advertisements[r.advertisement].interfacesFor(ip, p.interfaces)...)
	}
	return names
}

// interfacesFor are the node's interfaces on which an address is to be announced: those of all requests that it meets.
func (p *Layer2Planner) interfacesFor(ip netip.Addr) []string {
	own, found := p.member(p.node)
	if !found {
		return nil
	}
	requests, _ := p.requests(ip)
	var names []string
	for _, r := range requests {
		if p.judge(own, ip, []announceRequest{r}) == "" {
			names = append(names, p.advertisements[r.advertisement].interfacesFor(ip, p.interfaces)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
