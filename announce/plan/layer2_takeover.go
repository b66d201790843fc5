package plan

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/election"
)

// takeovers are those of all nodes, the planner's own among them, that the planner does not see
// recorded yet.
type takeovers map[netip.Addr]takeover

// takeover is a Takeover and whose it is.
type takeover struct {
	node  string
	epoch int64
	// reluctant says that the node has the address only if no other can.
	reluctant bool
	// until is when it stops to count: the node's claim should be recorded by then, and if the API
	// is away, nodes that were not told must not disagree for long.
	until time.Time
	// heard says that the node is out of the gossip's sight, so that this one goes by the network: it has heard that one announce the
	// address, or takes it for the one that will, as that one sees the same. It asks the network whether it does, and absent says that it
	// does not.
	heard, absent bool
	// seen is what this node had seen of the other one when that told it last. That one knows best what it can announce: if the API has
	// said nothing of it since, it may be away.
	seen sight
}

// note has a takeover count, unless a better one is known, and returns whether that is news.
func (t takeovers) note(ip netip.Addr, o takeover) bool {
	known, is := t[ip]
	same := is && known.node == o.node && known.epoch == o.epoch
	if is && !same && known.beats(o) {
		return false
	}
	t[ip] = o
	return !same || known.reluctant != o.reluctant || known.seen != o.seen
}

// beats says whether a takeover is a better one than another. Of two of one epoch, by nodes that did not hear of each other, that of a node
// which is no last resort is the better one, or else that of the node whose name sorts first, as with claims.
func (t takeover) beats(o takeover) bool {
	if t.epoch == o.epoch && t.reluctant != o.reluctant {
		return o.reluctant
	}
	return cmp.Or(cmp.Compare(o.epoch, t.epoch), cmp.Compare(t.node, o.node)) < 0
}

// takeOver has this node take an address over, and tell the others.
func (s *step) takeOver(ip netip.Addr, epoch int64, planned bool) {
	until := s.now.Add(recordTimeout)
	reluctant := s.reluctant(s.node)
	s.takeovers.note(ip, takeover{node: s.node, epoch: epoch, reluctant: reluctant, until: until})
	s.plan.Takeovers = append(s.plan.Takeovers, Takeover{Address: ip, Epoch: epoch, Planned: planned, Reluctant: reluctant})
	s.wake(until)
}

// takenBy is the node that has taken an address over; "" for none. A takeover that the best of the
// claims comes after, or shows to be recorded, is forgotten. A node whose announcer is down since has
// taken nothing over.
func (t takeovers) takenBy(ip netip.Addr, best election.Claim, live *liveSet) string {
	o, is := t[ip]
	unrecorded := best.Node == o.node && best.Order == election.Unrecorded
	if is && (best.Epoch > o.epoch || best.Epoch == o.epoch && !unrecorded) {
		delete(t, ip)
		return ""
	}
	if !is || o.absent || live.states[o.node] == AnnouncerDown {
		return ""
	}
	return o.node
}

// repeat returns those takeovers of a node that it is to tell again, because the API has not shown them for half of the time for
// which they count, and when there will be more. The others would forget them while the API is away.
func (t takeovers) repeat(node string, now time.Time) (due []Takeover, wake time.Time) {
	for ip, o := range t {
		if o.node != node {
			continue
		}
		if at := o.until.Add(-recordTimeout / 2); now.Before(at) {
			wake = Earlier(wake, at)
			continue
		}
		o.until = now.Add(recordTimeout)
		t[ip] = o
		due = append(due, Takeover{Address: ip, Epoch: o.epoch, Reluctant: o.reluctant})
		wake = Earlier(wake, now.Add(recordTimeout/2))
	}
	slices.SortFunc(due, func(a, b Takeover) int { return a.Address.Compare(b.Address) })
	return due, wake
}

// giveUp forgets the takeover of an address that the node does not have any more.
func (t takeovers) giveUp(ip netip.Addr, node string) {
	if t[ip].node == node {
		delete(t, ip)
	}
}

// absentNode is a node that should have taken the address over and does not announce it; "" for none.
func (t takeover) absentNode() string {
	if !t.absent {
		return ""
	}
	return t.node
}

// expire forgets takeovers whose time is over, and returns their addresses. As long as a node is out of the gossip's sight, it has the network
// asked instead, if this node could take the address.
func (t takeovers) expire(s *step) (expired []netip.Addr) {
	for ip, o := range t {
		if s.now.Before(o.until) {
			s.wake(o.until)
			continue
		}
		if o.heard && s.live.maybeBeyondGossip(o.node) {
			s.try(ip, func() { s.plan.Probes[ip] = s.interfacesFor(ip) })
			if len(s.plan.Probes[ip]) > 0 {
				continue
			}
			delete(s.plan.Probes, ip)
		}
		delete(t, ip)
		expired = append(expired, ip)
	}
	return expired
}

// report takes which node answers for an address, "" for none, with what this node has seen of that one. It returns whether that is news of a
// takeover that the network was asked for.
func (t takeovers) report(ip netip.Addr, serving string, seen sight, now time.Time) (news bool) {
	o, is := t[ip]
	if !is || !o.heard {
		return false
	}
	before := o
	o.until, o.absent = now.Add(recordTimeout), serving == ""
	if serving != "" {
		o.node, o.seen = serving, seen
	}
	t[ip] = o
	return o.node != before.node || o.absent != before.absent
}

// presumeTakeover takes note that a node which this one can tell nothing takes an address over from a dead one, since the election says so
// there, too: the next election goes by that as that one's does.
func (p *Layer2Planner) presumeTakeover(ip netip.Addr, now time.Time) {
	d := p.round.Decision(ip)
	if _, known := p.takeovers[ip]; known || d.Why != election.IncumbentDown || d.Owner == p.node || !p.live.beyondGossip(d.Owner) {
		return
	}
	best, _ := election.Best(p.view.electionClaims(ip))
	p.noteTakeover(ip, p.untold(d.Owner, election.NextEpoch(best.Epoch), now))
}

// untold is a takeover by a node that is out of the gossip's sight, and so has not told this one.
func (p *Layer2Planner) untold(node string, epoch int64, now time.Time) takeover {
	return takeover{node: node, epoch: epoch, reluctant: p.reluctant(node), until: now.Add(recordTimeout), heard: true, seen: p.view.sightOf(node)}
}

// hearTakeover takes note of a node that has announced an address which this one has taken over from a dead one or from none, if neither has
// recorded that and the gossip does not connect them: it has taken the address over as well. Both hear it, and both know which takeover is the
// better one. Of what the API shows, this is no matter: another node may have followed this one's claim.
func (p *Layer2Planner) hearTakeover(ip netip.Addr, node string, now time.Time) {
	own := p.takeovers[ip]
	_, unrecorded := p.claims.takenOver(ip, p.takeovers, p.node)
	if !unrecorded || p.claims.owned[ip].reason == MoveIncumbentIneligible || !p.live.maybeBeyondGossip(node) {
		return
	}
	theirs := p.untold(node, own.epoch, now)
	if own.beats(theirs) {
		p.pending.contest(ip) // that one hears this one, then
		return
	}
	p.noteTakeover(ip, theirs)
}

// hearAgain takes in what was heard of members before it was known that they are out of the gossip's sight and alive.
func (p *Layer2Planner) hearAgain(now time.Time) {
	for ip, t := range p.takeovers {
		if o := p.claims.owned[ip]; t.node == p.node && o != nil && o.heard != "" && now.Sub(o.heardAt) < heardRecently {
			p.hearTakeover(ip, o.heard, now)
		}
	}
}

// findTakeover takes note of a node that serves an address which this one has claimed, as nobody else had: it has taken the address over, can
// record nothing, and could not tell this one either.
func (p *Layer2Planner) findTakeover(ip netip.Addr, serving string, now time.Time) {
	o := p.claims.owned[ip]
	if o == nil || o.tentative == nil || serving == "" || !p.live.maybeBeyondGossip(serving) {
		return
	}
	p.noteTakeover(ip, p.untold(serving, o.Epoch, now))
}

// noteRecorded has the others told, once more, of an address that this node has taken over and sees recorded now. Those of which the API
// is away would forget it.
func (p *Layer2Planner) noteRecorded(ip netip.Addr, best election.Claim) {
	if t, is := p.takeovers[ip]; is && t.node == p.node && best.Node == p.node && best.Epoch == t.epoch {
		p.recordedTakeovers.add(ip)
	}
}

// tellRecorded adds those takeovers to the plan.
func (p *Layer2Planner) tellRecorded(s *step) {
	for ip := range p.recordedTakeovers {
		if own, has := p.ownClaim(ip); has {
			s.plan.Takeovers = append(s.plan.Takeovers, own)
		}
	}
	p.recordedTakeovers = nil
}
