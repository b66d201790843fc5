package plan

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/election"
	"github.com/clarionlb/clarion/internal/guard"
)

// Layer2Planner decides what one node announces on layer 2, from a View, the live members and the
// node's interfaces. A change of a Service or an EndpointSlice costs the planning of its addresses;
// one of members, nodes, interfaces or configuration that of all.
//
// The electorate is derived from these. What else a plan goes by is remembered, by the owners
// below. A Layer2Planner is not safe for concurrent use.
type Layer2Planner struct {
	electorate
	pending pending
	// resumed says that what the node has recorded of itself before was taken up.
	resumed bool

	live      liveSet
	absences  absences
	claims    claims
	takeovers takeovers
	// recordedTakeovers are those of this node that have been recorded since the last plan.
	recordedTakeovers addressSet
	told              toldClaims
	conflicts         conflicts
	wished            wishedProbes
	proxies           proxies
	relays            relays
	failures          failures
	linksDown         linksDown
	// proxied is that of the last plan.
	proxied map[netip.Addr]Proxy
}

// NewLayer2Planner returns a planner for a node that sees no member, not even itself, and has no
// interface.
func NewLayer2Planner(view *View, node string) *Layer2Planner {
	return &Layer2Planner{
		electorate: electorate{view: view, node: node, round: election.NewRound(nil)},
		failures:   failures{},
		linksDown:  linksDown{},
		pending:    pending{all: true},
		absences:   absences{since: map[string]time.Time{}},
		claims:     claims{owned: map[netip.Addr]*ownership{}, announced: map[netip.Addr][]string{}},
		takeovers:  takeovers{},
		told:       toldClaims{},
		conflicts:  conflicts{},
		wished:     wishedProbes{},
		proxies:    proxies{until: map[string]time.Time{}},
		relays: relays{
			to:        map[netip.Addr]Relay{},
			ownerOf:   map[netip.Addr]string{},
			unnoticed: map[netip.Addr]time.Time{},
		},
	}
}

// pending is what the next plan is to decide anew although nothing in the view has changed.
type pending struct {
	all bool
	// reenter are the addresses for which the election may decide otherwise now, and revisit those
	// for which only the node may.
	reenter, revisit addressSet
	// contested are the addresses of the node that another one has announced although this one's claim holds.
	contested addressSet
	// recorded says that only what the node records has changed.
	recorded bool
	// members says that something else is known of members out of sight: what they were heard to announce may count now.
	members bool
}

// contest takes note that another node has announced an address of this one, whose claim holds.
func (p *pending) contest(ip netip.Addr) {
	p.contested.add(ip)
	p.revisit.add(ip)
}

// step is one plan in the making: what those go by who have a part in it, and the plan that they
// add to.
type step struct {
	*electorate
	live      *liveSet
	absences  *absences
	takeovers takeovers
	told      toldClaims
	failures  failures
	now       time.Time
	plan      *Layer2Plan
	// proxied is that of the last plan.
	proxied map[netip.Addr]Proxy
}

// wake has the next plan made no later than at a time; zero: whenever.
func (s *step) wake(at time.Time) { s.plan.Wake = Earlier(s.plan.Wake, at) }

// Earlier of two times, of which the zero one is never.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// SetAlive takes the names of the members that the gossip sees, sorted, the planner's own among them.
func (p *Layer2Planner) SetAlive(names []string) {
	p.view.setInSight(names)
	p.pending.all = p.live.setInGossip(names) || p.pending.all
}

// SetMemberStates takes what is known of the members that the gossip does not see. Those that are
// not mentioned are Dead.
func (p *Layer2Planner) SetMemberStates(states map[string]MemberState) {
	if p.live.setStates(states) {
		p.pending.all, p.pending.members = true, true
	}
}

// SetWarmingUp says whether the node has begun to take part so recently that others, which begin at
// the same time, may not have been met: it then leaves addresses alone that nobody has claimed.
func (p *Layer2Planner) SetWarmingUp(warmingUp bool) {
	p.pending.all = p.pending.all || p.live.warmingUp != warmingUp
	p.live.warmingUp = warmingUp
}

// SetInterfaces takes the node's interfaces, sorted by name.
func (p *Layer2Planner) SetInterfaces(interfaces []Interface) {
	if slices.EqualFunc(p.all, interfaces, Interface.Equal) {
		return
	}
	p.all = interfaces
	p.pending.all = p.pending.all || !slices.EqualFunc(p.interfaces, p.view.relevant(interfaces), Interface.Equal)
}

// ObserveTakeovers takes note of what another node has taken over, perhaps from this one. It returns this node's claims that hold
// against that, which the other one should be told. Of addresses that no Service has, nothing is remembered.
func (p *Layer2Planner) ObserveTakeovers(node string, takeovers []Takeover, now time.Time) (against []Takeover) {
	for _, t := range takeovers {
		if claim := (election.Claim{Epoch: t.Epoch}); !claim.Counts() || len(p.view.byAddress[t.Address]) == 0 {
			continue
		}
		if t.Recorded {
			own, _ := p.observeClaim(node, t, now)
			against = append(against, own...)
			continue
		}
		p.noteTakeover(t.Address, takeover{
			node: node, epoch: t.Epoch, reluctant: t.Reluctant, until: now.Add(recordTimeout), seen: p.view.sightOf(node),
		})
		p.told.again(node, t, now)
		if !t.Planned {
			p.hear(t.Address, node, now) // it announces what it takes over, and this node may have been dead to it
		}
		if best, _ := election.Best(p.view.electionClaims(t.Address)); best.Node == p.node {
			own, _ := p.observeClaim(node, t, now)
			against = append(against, own...)
			if o := p.claims.owned[t.Address]; o != nil && t.Planned {
				o.planned = node
			}
		}
	}
	return against
}

func (p *Layer2Planner) noteTakeover(ip netip.Addr, t takeover) {
	if p.takeovers.note(ip, t) {
		p.pending.reenter.add(ip)
	}
}

// ObserveAnnouncement takes note that another node has announced an address: if that node is to
// have it, this one need not wait any longer. Two that have both taken it over, and could not tell each other, learn so.
func (p *Layer2Planner) ObserveAnnouncement(ip netip.Addr, node string, now time.Time) {
	p.hear(ip, node, now)
	p.hearTakeover(ip, node, now)
}

func (p *Layer2Planner) hear(ip netip.Addr, node string, now time.Time) {
	if p.claims.hear(ip, node, now) {
		p.pending.revisit.add(ip)
	}
}

// ReportProbe tells what came of a probe: the host that has the address, or the zero ConflictingHost
// if nobody answered, and the node that serves the address although this one knows of no claim of it, or
// "": another load balancer has it there, or that one could not tell. It returns the conflict, and whether that is news.
func (p *Layer2Planner) ReportProbe(ip netip.Addr, host ConflictingHost, serving string, now time.Time) (c Conflict, news bool) {
	p.pending.revisit.add(ip)
	p.findTakeover(ip, serving, now)
	if p.takeovers.report(ip, serving, p.view.sightOf(serving), now) {
		p.pending.reenter.add(ip)
	}
	if host != (ConflictingHost{}) {
		c, news = p.conflicts.note(ip, host, false, now)
		p.pending.recorded = p.wished.report(ip, false, now) || p.pending.recorded || news
		return c, news
	}
	p.pending.recorded = p.conflicts.resolve(ip) || p.pending.recorded
	p.pending.recorded = p.wished.report(ip, true, now) || p.pending.recorded
	p.claims.clear(ip, serving)
	return Conflict{}, false
}

// ObserveConflict takes note of a host that answers for an address which the node announces. It
// returns the conflict, and whether that is news.
func (p *Layer2Planner) ObserveConflict(ip netip.Addr, host ConflictingHost, now time.Time) (c Conflict, news bool) {
	if _, announced := p.claims.announced[ip]; !announced {
		return Conflict{}, false
	}
	c, news = p.conflicts.note(ip, host, true, now)
	p.pending.recorded = p.pending.recorded || news
	return c, news
}

// Plan decides anew where something has changed. Claims that are made with it carry the time now.
//
// If it panics, what was decided before stays so, and is tried again: for one address if it is known
// which, or else as a whole. See hold.
func (p *Layer2Planner) Plan(now time.Time) Layer2Plan {
	plan := &Layer2Plan{
		Layer2: p.claims.announced, Proxied: map[netip.Addr]Proxy{}, Relays: p.relays.to, Probes: map[netip.Addr][]string{},
	}
	s := &step{
		electorate: &p.electorate, live: &p.live, absences: &p.absences, takeovers: p.takeovers, told: p.told, failures: p.failures,
		now: now, plan: plan, proxied: p.proxied,
	}
	if failed := guard.Do("plan", p.node, func() { p.decide(s) }); failed != nil {
		plan.Failures = append(plan.Failures, p.failures.note(netip.Addr{}, failed, now))
		p.holdAll(s)
	}
	plan.Failures = append(plan.Failures, p.view.takeFailed()...)
	p.proxied = plan.Proxied
	return *plan
}

// decide adds to the plan what there is to do.
func (p *Layer2Planner) decide(s *step) {
	dirty, all := p.view.changes()
	contested := p.contested(dirty)
	p.resume(s.now)
	if p.pending.members {
		p.hearAgain(s.now)
	}
	p.expire(s)
	p.retry(s, dirty, all || p.pending.all)
	work := p.pending
	p.pending = pending{}
	all = all || work.all
	s.plan.Changed = s.plan.Changed || all || work.recorded

	touched := p.elect(s, dirty, work, all)
	p.claims.rebalance(s)
	for _, ip := range slices.SortedFunc(maps.Keys(touched), netip.Addr.Compare) {
		_, told := work.contested[ip]
		p.reconcile(s, ip, told || contested[ip])
	}
	p.tellRecorded(s)
	for _, o := range p.claims.owned {
		s.wake(o.until)
	}
	p.proxies.plan(s)
	p.conflicts.plan(s, &p.claims)
	p.wished.update(s, touched, all)
	p.wished.plan(s, p.conflicts)
	p.relays.plan(s, &p.claims, touched, all)
	s.plan.GossipBlocked = p.live.gossipBlocked()
}

// contested returns those addresses of the node that another node has announced, by the claims that
// are recorded. Who has recorded a better claim since the last plan had seen this node's, and so is
// alive even if the gossip does not see it. A claim that was there before is no news, and proves
// nothing.
func (p *Layer2Planner) contested(dirty addressSet) map[netip.Addr]bool {
	contested := map[netip.Addr]bool{}
	known := p.live.knownOrder
	p.live.knownOrder = p.view.claimOrder
	for ip := range dirty {
		o := p.claims.owned[ip]
		if o == nil {
			continue
		}
		for _, c := range p.view.claims[ip] {
			if c.Node == p.node || c.Epoch < o.Epoch {
				continue
			}
			contested[ip] = contested[ip] || !c.Tentative
			if c.Epoch > o.Epoch && c.seen > known && p.live.markAlive(c.Node, o.made) {
				p.pending.all = true
			}
		}
	}
	return contested
}

// resume takes up, once, what the node has recorded of itself before its announcer was started.
func (p *Layer2Planner) resume(now time.Time) {
	own := p.view.announcers[p.node]
	if p.resumed || own == nil {
		return
	}
	p.resumed = true
	p.claims.rebalanced = own.rebalanced
	p.conflicts.resume(own.conflicts, now)
}

// expire ends what has been remembered for long enough.
func (p *Layer2Planner) expire(s *step) {
	repeated, wake := p.takeovers.repeat(p.node, s.now)
	s.wake(wake)
	s.plan.Takeovers = append(s.plan.Takeovers, repeated...)
	for _, ip := range append(p.takeovers.expire(s), p.told.expire(s)...) {
		p.pending.reenter.add(ip)
	}
	noticed, wake := p.relays.expire(s.now)
	s.wake(wake)
	for _, ip := range noticed {
		p.pending.revisit.add(ip)
	}
	lost, wake := p.absences.expire(s.now)
	s.wake(wake)
	restored, wake := p.linksDown.expire(p.view, s.now)
	s.wake(wake)
	p.pending.all = p.pending.all || lost || restored
}

// elect has the election decide anew where something has changed, and returns the addresses to
// reconcile.
func (p *Layer2Planner) elect(s *step, dirty addressSet, work pending, all bool) addressSet {
	if all {
		p.rebuild(&p.live)
		p.absences.update(p.view.announcers, p.alive, s.now)
		p.live.keep(p.view.announcers)
		for ip := range p.view.byAddress {
			s.try(ip, func() { p.reenter(ip) })
		}
	} else {
		for ip := range dirty {
			s.try(ip, func() { p.reenter(ip) })
		}
		for ip := range work.reenter {
			s.try(ip, func() { p.reenter(ip) })
		}
	}
	touched := dirty
	maps.Copy(touched, work.revisit)
	for ip := range p.failures { // what is to be held is looked at every time
		if ip.IsValid() {
			touched.add(ip)
		}
	}
	for ip, o := range p.claims.owned {
		if all || o.due(s.now) {
			touched.add(ip)
		}
	}
	for _, ip := range p.round.Decide() {
		p.presumeTakeover(ip, s.now)
		if p.round.Decision(ip).Owner == p.node || p.claims.owned[ip] != nil || p.view.withPrevious[ip] > 0 {
			touched.add(ip)
		}
	}
	return touched
}

// reenter puts an address into the election as it is now, or takes it out.
func (p *Layer2Planner) reenter(ip netip.Addr) {
	services := p.view.byAddress[ip]
	if len(services) == 0 {
		delete(p.told, ip)
		p.round.Remove(ip)
		return
	}
	claims := p.told.with(p.view.electionClaims(ip), ip, p.alive)
	best, _ := election.Best(claims)
	p.noteRecorded(ip, best)
	taken := p.takeovers.takenBy(ip, best, &p.live)
	if own, unrecorded := p.claims.takenOver(ip, p.takeovers, p.node); unrecorded {
		claims = append(claims, own)
		best, _ = election.Best(claims)
	}
	p.enter(ip, services, claims, standing{
		incumbent: best.Node, taken: taken, able: taken != "" && p.takeovers[ip].seen == p.view.sightOf(taken), vouched: p.told.vouched(ip, best),
		absent: p.takeovers[ip].absentNode(),
	})
}

// reconcile has the node do about an address what the election says, and adds to the plan what
// comes of it. If that fails, all is as it was, and the address is held.
func (p *Layer2Planner) reconcile(s *step, ip netip.Addr, contested bool) {
	undo := p.remember(s, ip)
	if s.try(ip, func() { p.follow(s, ip, contested) }) {
		return
	}
	undo()
	p.hold(s, ip)
}

// follow has the node do what the election says.
func (p *Layer2Planner) follow(s *step, ip netip.Addr, contested bool) {
	move, moved := p.claims.reconcile(s, ip)
	if !moved {
		_, announced := p.claims.announced[ip]
		if contested && announced && p.round.Decision(ip).Owner == p.node {
			s.plan.Reannounce = append(s.plan.Reannounce, ip)
		}
		return
	}
	if move.Reason == MoveIncumbentIneligible {
		move.Verdict = p.verdict(move.From, ip)
	}
	s.plan.Moves = append(s.plan.Moves, move)
	if move.From == p.node {
		p.takeovers.giveUp(ip, p.node)
	}
	if o := p.claims.owned[ip]; move.takesOver() && s.recorded(ip, o.Epoch).Node == "" {
		s.takeOver(ip, o.Epoch, move.Reason == MoveIncumbentIneligible)
		p.pending.reenter.add(ip)
	}
}

// Addresses are all that Services have.
func (p *Layer2Planner) Addresses() []netip.Addr { return slices.Collect(maps.Keys(p.view.byAddress)) }

// Arrivals are the interfaces of the node on which requests for an address may arrive, whichever
// node announces it: those on which this one would, and all others in the same LAN; none if no
// L2Advertisement selects the address. Out is the interface by which the node's kernel sends to the
// address; "" if there is none.
func (p *Layer2Planner) Arrivals(ip netip.Addr) (on []string, out string) {
	requests, _ := p.requests(ip)
	if len(requests) == 0 {
		return nil, ""
	}
	names := p.interfacesOf(ip, p.interfaces, requests)
	if i, onLink, ok := lookup(ip, p.interfaces); ok {
		if out = i.Name; onLink && !slices.Contains(names, out) {
			names = append(names, out) // the node may not have the interface that is asked for
		}
	}
	var own []Interface
	for _, i := range p.interfaces {
		if slices.Contains(names, i.Name) {
			own = append(own, i)
		}
	}
	for _, i := range p.interfaces {
		if !i.Down && slices.ContainsFunc(own, func(o Interface) bool { return o.Name == i.Name || o.sameLAN(i) }) {
			on = append(on, i.Name)
		}
	}
	return on, out
}

// LANInterfaces are the interfaces of the node that can carry addresses, by name.
func (p *Layer2Planner) LANInterfaces() (names []string) {
	for _, i := range p.interfaces {
		names = append(names, i.Name)
	}
	return names
}
