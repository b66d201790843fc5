package announce

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/election"
	"github.com/clarionlb/clarion/announce/layer2"
)

// Planner decides what one node announces, from a View, the live members and the node's interfaces. A change of a Service
// or an EndpointSlice costs the planning of its addresses; one of members, nodes, interfaces or configuration that of all.
// A Planner is not safe for concurrent use.
type Planner struct {
	view   *View
	node   string
	sight  sight
	absent map[string]Absence
	// back has until when members that paused are still helped out, now that the gossip sees them again.
	back       map[string]time.Time
	novice     bool
	interfaces []Interface
	stale      bool
	// again are addresses to look at although nothing in the view has changed; reenter those for which the election changes.
	again, reenter map[netip.Addr]struct{}

	field
	round *election.Round

	owned     map[netip.Addr]*ownership
	announces map[netip.Addr][]string
	conflicts map[netip.Addr]*conflict
	takeovers map[netip.Addr]takeover
	relays    map[netip.Addr]layer2.Relay
	// leaving and kept are addresses of which this plan finds that another node has announced them: it is to have them, or was and
	// is not any more.
	leaving, kept []netip.Addr
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

// NewPlanner returns a Planner for a node that sees no member, not even itself, and has no interface.
func NewPlanner(view *View, node string) *Planner {
	return &Planner{
		view:      view,
		node:      node,
		stale:     true,
		back:      map[string]time.Time{},
		again:     map[netip.Addr]struct{}{},
		reenter:   map[netip.Addr]struct{}{},
		owned:     map[netip.Addr]*ownership{},
		announces: map[netip.Addr][]string{},
		conflicts: map[netip.Addr]*conflict{},
		takeovers: map[netip.Addr]takeover{},
		relays:    map[netip.Addr]layer2.Relay{},
		ownerOf:   map[netip.Addr]string{},
		unnoticed: map[netip.Addr]time.Time{},
		away:      map[string]time.Time{},
	}
}

// Absence is what is known of a member that the gossip does not see.
type Absence int

const (
	// Gone : its node is dead, or its announcer has been away for so long that others take over.
	Gone Absence = iota
	// Unknown : not known yet. It keeps what it has until its Node is not ready.
	Unknown
	// Paused : its node is there, but its announcer is not. It keeps what it has; another node answers in its place.
	Paused
	// Unseen : its announcer answers for its addresses; the gossip is blocked.
	Unseen
)

// String is for the log.
func (a Absence) String() string {
	return [...]string{"Gone", "Unknown", "Paused", "Unseen"}[a]
}

// SetAlive takes the names of the members that the gossip sees, sorted, the planner's own among them.
func (p *Planner) SetAlive(names []string) {
	p.stale = p.sight.look(names) || p.stale
}

// SetAbsent takes what is known of the members that the gossip does not see. Those that are not mentioned are Gone.
func (p *Planner) SetAbsent(absent map[string]Absence) {
	p.stale = p.stale || !maps.Equal(p.absent, absent)
	p.absent = absent
}

// SetNovice says whether the node has begun to take part so recently that others, which begin at the same time, may not have
// been met: it then leaves addresses alone that nobody has claimed.
func (p *Planner) SetNovice(novice bool) {
	p.stale = p.stale || p.novice != novice
	p.novice = novice
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
	// MoveHolderDown : the former owner is dead.
	MoveHolderDown MoveReason = "HolderDown"
	// MoveHolderUnfit : the former owner may no longer announce the address, or should not, because it is drained.
	MoveHolderUnfit MoveReason = "HolderUnfit"
	// MoveHandedOver : the former owner has handed the address over.
	MoveHandedOver MoveReason = "HandedOver"
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

// Plan is what the planner's node is to do. Its maps must not be modified, and are valid until the next plan.
type Plan struct {
	// Layer2 are the addresses to answer for and on which interfaces: all of them.
	Layer2 map[netip.Addr][]string
	// Care are the addresses to answer for in the place of another node: all of them.
	Care map[netip.Addr]Care
	// Relays are the addresses that were on other nodes, with where to relay what belongs to connections that began there: all
	// of them.
	Relays map[netip.Addr]layer2.Relay
	// Trials are the addresses of which to find out, on which interfaces, whether a stranger has them: all of them. Report
	// tells the planner.
	Trials map[netip.Addr][]string
	// Changed says whether Layer2 or the Planner's Status may be other than after the last plan.
	Changed bool
	// Again are addresses of Layer2 that another node has claimed, and so announced, while this one had them, which it
	// keeps nevertheless: the network must hear from this one again.
	Again []netip.Addr
	// Leaving are addresses of Layer2 that another node has announced since the last plan, and is to have: this one only answers
	// for them for a moment.
	Leaving []netip.Addr
	// Moves since the last plan, by address.
	Moves []Move
	// Takeovers are those among the Moves of which to tell the other nodes.
	Takeovers []Takeover
	// Unseen are the members that are alive although the gossip does not see them, sorted.
	Unseen []string
	// Wake is when to plan again even if nothing changes; zero: never.
	Wake time.Time
}

// Care is what is needed to answer in the place of another node.
type Care struct {
	Interfaces []string
	// MAC is the hardware address of the other node, as text.
	MAC string
}

// Plan decides anew where something has changed. Claims that are made with it carry the time now.
func (p *Planner) Plan(now time.Time) Plan {
	dirty, all := p.view.changes()
	touched := dirty
	contested := map[netip.Addr]bool{}
	for ip := range dirty {
		contested[ip] = p.contested(ip)
	}
	p.resume(now)
	expiry := earlier(earlier(p.expire(now), p.lose(now)), p.notice(now))
	all = all || p.stale
	p.changed = all
	if all {
		p.stale = false
		p.survey()
		p.noteAway(now)
		for ip := range p.owned {
			touched[ip] = struct{}{}
		}
		for ip := range p.view.byAddress {
			p.enter(ip)
		}
	} else {
		for ip := range dirty {
			p.enter(ip)
		}
		for ip := range p.reenter {
			p.enter(ip)
		}
	}
	clear(p.reenter)
	maps.Copy(touched, p.again)
	for ip, o := range p.owned {
		if o.trial != nil && !now.Before(o.trial.until) || !o.until.IsZero() && !now.Before(o.until) {
			touched[ip] = struct{}{}
		}
	}
	clear(p.again)
	for _, ip := range p.round.Decide() {
		if p.round.Decision(ip).Owner == p.node || p.owned[ip] != nil || p.view.moved[ip] > 0 {
			touched[ip] = struct{}{}
		}
	}
	p.rebalance()

	plan := Plan{Layer2: p.announces, Unseen: p.unseen(), Wake: expiry}
	for _, ip := range slices.SortedFunc(maps.Keys(touched), netip.Addr.Compare) {
		if move, moved := p.follow(ip, now); moved {
			plan.Moves = append(plan.Moves, move)
			if t, is := p.tell(move, now); is {
				plan.Takeovers = append(plan.Takeovers, t)
				plan.Wake = earlier(plan.Wake, p.takeovers[ip].until)
			}
		} else if _, kept := p.announces[ip]; kept && contested[ip] && p.round.Decision(ip).Owner == p.node {
			plan.Again = append(plan.Again, ip)
		}
	}
	for _, o := range p.owned {
		plan.Wake = earlier(plan.Wake, o.until)
	}
	plan.Wake = earlier(plan.Wake, p.assist(&plan, now))
	plan.Wake = earlier(plan.Wake, p.trials(&plan, now))
	plan.Changed = p.changed
	if all {
		p.relayAll(now)
	} else {
		for ip := range touched {
			p.relay(ip, now)
		}
	}
	plan.Relays = p.relays
	plan.Leaving, plan.Again = p.leaving, append(plan.Again, p.kept...)
	p.leaving, p.kept = nil, nil
	return plan
}

// earlier of two times, of which the zero one is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// survey derives everything that does not depend on a single address.
func (p *Planner) survey() {
	ready := func(name string) bool {
		n := p.view.nodes[name]
		return n != nil && !n.notReady
	}
	alive := slices.Clone(p.sight.alive(ready))
	for name, absence := range p.absent {
		if absence == Unseen || absence == Paused || absence == Unknown && ready(name) {
			alive = append(alive, name)
		}
	}
	slices.Sort(alive)
	p.field = newField(p.view, slices.Compact(alive))
	for name, absence := range p.absent {
		if i, known := slices.BinarySearch(p.alive, name); known && (absence == Paused || absence == Unknown) {
			p.keepers.Add(i)
		}
	}
	p.round = election.NewRound(p.alive)
}

// unseen are the members that are alive out of the gossip's sight, sorted.
func (p *Planner) unseen() []string {
	names := p.sight.unseen()
	for name, absence := range p.absent {
		if absence == Unseen {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// enter puts an address into the election as it is now, or takes it out.
func (p *Planner) enter(ip netip.Addr) {
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
		candidates := p.candidates(r, ip)
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
	address.Taken = p.taken(ip, best)
	p.keepers.All(func(i int) {
		if name := p.alive[i]; name != best.Node && name != address.Taken {
			address.Eligible.Remove(i)
		}
	})
	address.Weights = p.weightsFor(requests)
	p.round.Set(ip, address)
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

// requests collects who wants an address announced. If nobody does, the reason says why, from the Service that came closest.
func (p *Planner) requests(ip netip.Addr) ([]request, Reason) {
	return p.field.requests(ip, p.view.byAddress[ip])
}

// Reach is on which interfaces of the node an address might be announced; none if no Service has it.
func (p *Planner) Reach(ip netip.Addr) (names []string) {
	requests, _ := p.requests(ip)
	for _, r := range requests {
		names = append(names, p.advertisements[r.advertisement].interfacesFor(ip, p.interfaces)...)
	}
	return names
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
