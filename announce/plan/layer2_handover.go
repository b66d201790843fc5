package plan

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/election"
)

// heardRecently is for how long it counts that a node has announced an address: longer than it
// takes this one to find out that the address is the other's.
const heardRecently = 10 * time.Second

// handoverOverlap is for how long a node goes on to answer for an address after it has heard that
// the next owner does. What was asked just before may have been passed over by that one, and not
// yet been read by this one. Who learns this node's hardware address in that time hears of the
// other when that announces the address again.
const handoverOverlap = 100 * time.Millisecond

// handoverPatience is for how long a node goes on to answer for an address that it hands over, until it hears that the next owner does:
// that one has claimed the address, and may be slow to begin.
const handoverPatience = time.Second

// lateAnswer is for how long a node may not have run and still answer what it was asked meanwhile for an address that has gone to another
// one. Whoever asked after that one had begun has its answer, and everybody else asks again after a second (RFC 4861, section 10:
// RETRANS_TIMER, which Linux has for ARP, too).
const lateAnswer = 500 * time.Millisecond

// handover is how an address goes from this node, which announces it, to the next owner.
type handover struct {
	// to is the node that is to take the address over because of a request for rebalancing; "" for
	// none.
	to string
	// heard is the other node that has announced the address last, and heardAt when.
	heard   string
	heardAt time.Time
	// planned is the node that has taken the address over and knows that this one is alive; "" for none.
	planned string
	// waiting is since when the node answers on for another one to announce. until is when it stops, once the next owner has claimed the
	// address or another node announced it, and overlaps says that one has announced it; zero before.
	waiting, until time.Time
	overlaps       bool
}

// hear takes note that another node has announced an address. It returns whether the address is
// this node's.
func (c *claims) hear(ip netip.Addr, node string, now time.Time) bool {
	o := c.owned[ip]
	if o != nil {
		o.heard, o.heardAt = node, now
	}
	return o != nil
}

// HoldBack says until when this node answers nothing, but keeps what it is asked. It gives no address up meanwhile that goes to another
// node as planned: that one may have passed over what was asked, too. away is for how long this node has not run before, if it has yet to
// find out what happened meanwhile, and 0 else.
func (p *Layer2Planner) HoldBack(until time.Time, away time.Duration) {
	p.claims.heldUntil, p.claims.away = until, away
}

// keep ends a handover of an address that stays with the node after all.
func (o *ownership) keep(s *step, ip netip.Addr) {
	if o.to != "" && s.recorded(ip, o.Epoch).HandoverTo == o.to {
		o.to = "" // it cannot take the address
		s.plan.Changed = true
	}
	if !o.until.IsZero() { // the next owner may have announced it
		s.plan.Reannounce = append(s.plan.Reannounce, ip)
	}
	o.planned, o.waiting, o.overlaps, o.until, o.left = "", time.Time{}, false, time.Time{}, nil
}

// successor is the node that has announced the address in place of this one; "" if none has. While this node answers on for the next
// owner, any will do: the next owner may not know that, and another one not see the next owner.
func (h *handover) successor(next string, now time.Time) string {
	switch {
	case h.heard == next && now.Sub(h.heardAt) < heardRecently:
	case !h.waiting.IsZero() && h.heardAt.After(h.waiting):
	default:
		return ""
	}
	return h.heard
}

// release has the node give up an address that is not its own any more, as soon as that can be.
func (c *claims) release(s *step, ip netip.Addr, o *ownership, d election.Decision) (Move, bool) {
	successor := o.successor(d.Owner, s.now)
	_, announced := c.announced[ip]
	if announced && c.answersOn(s, ip, o, d, successor) {
		return Move{}, false
	}
	if !c.leaveClaim(s, ip, o, d) {
		delete(c.owned, ip)
	} else if !announced {
		return Move{}, false
	}
	delete(c.announced, ip)
	s.plan.Changed = true
	reason := MoveSuperseded
	if d.Owner == "" {
		reason = MoveWithdrawn
	}
	return Move{Address: ip, From: s.node, To: cmp.Or(successor, d.Owner), Reason: reason, Verdict: s.verdict(s.node, ip)}, announced
}

// answersOn says whether the node still answers for an address that it announces and that is not its own any more: for what the next owner
// may have passed over, or until one is heard.
func (c *claims) answersOn(s *step, ip netip.Addr, o *ownership, d election.Decision, successor string) bool {
	if s.awaited(ip, o, d) || s.takeovers[ip].heard {
		return false
	}
	may := s.mayAnswerOn(ip, d)
	if may && successor == "" {
		if o.waiting.IsZero() {
			o.waiting = s.now
		}
		o.overlaps, o.until = false, time.Time{}
		return true
	}
	if c.away > lateAnswer {
		return false
	}
	// A drained node may see that it is, and that the next owner has claimed the address, at
	// the same time, or the claim first. Who was taken for dead stops at once.
	planned := s.view.draining(s.node) || o.planned == d.Owner
	if (may || !o.waiting.IsZero() || planned) && o.until.IsZero() && d.Owner != "" {
		o.until = s.now.Add(handoverPatience)
		s.plan.Quiesce = append(s.plan.Quiesce, ip)
	}
	if !o.until.IsZero() && successor != "" && !o.overlaps {
		o.overlaps, o.until = true, s.now.Add(handoverOverlap)
	}
	if !o.until.IsZero() && s.now.Before(c.heldUntil) { // what was asked is answered then
		o.until = c.heldUntil.Add(handoverOverlap)
	}
	return s.now.Before(o.until)
}

// leaveClaim leaves the claim of the node on an address that it stops to announce, or has stopped to: until the next owner has claimed it, if
// there is one and it does so in time. It returns whether the claim is still there.
func (c *claims) leaveClaim(s *step, ip netip.Addr, o *ownership, d election.Decision) bool {
	if d.Why != election.IncumbentIneligible || d.Incumbent != s.node {
		return false
	}
	if interfaces, announced := c.announced[ip]; announced {
		o.left, o.until = interfaces, s.now.Add(recordTimeout)
	}
	return o.left != nil && s.now.Before(o.until)
}

// mayAnswerOn says whether the node may go on announcing an address until its next owner does. It
// may not if that one has claimed it, which it does once it announces, or if the node could not
// serve the address anyway.
func (e *electorate) mayAnswerOn(ip netip.Addr, d election.Decision) bool {
	return d.Owner != "" && (d.Why != election.Incumbent || d.Tentative) && e.stillServes(ip, e.node)
}

// stillServes says whether a node that announces an address, and is none of its candidates, can still serve it. It is excluded, so that the
// candidates do not have its interfaces, or its endpoints terminate, so that it is none where others have ready ones.
func (e *electorate) stillServes(ip netip.Addr, name string) bool {
	m, found := e.member(name)
	if !found || m.barred != "" && m.barred != Excluded {
		return false
	}
	requests, _ := e.requests(ip)
	return slices.ContainsFunc(requests, func(r announceRequest) bool {
		a := e.advertisements[r.advertisement]
		return (r.on == nil || slices.Contains(r.serving, name)) && a.selectsNode(e.view.nodes[name].labels) && (name != e.node || a.covers(ip, e.interfaces))
	})
}

// mustWait says whether the node is not to begin with an address yet that is its own now: a node announces and serves it that may not know
// that it is to stop, as its API is away, and that this one cannot tell. This node begins when the API says that it has stopped, or that its
// Node is not ready: its kube-proxy may not know where to lead clients any more, then.
func (s *step) mustWait(ip netip.Addr, d election.Decision) bool {
	if d.Why != election.IncumbentIneligible && !(d.Why == election.Incumbent && d.Tentative) {
		return false
	}
	others := slices.DeleteFunc(s.view.electionClaims(ip), func(c election.Claim) bool { return c.Node == s.node || c.Tentative })
	announced, _ := election.Best(others)
	return s.live.beyondGossip(announced.Node) && s.view.NodeReady(announced.Node) && !s.view.kubeProxies.down(announced.Node) &&
		s.stillServes(ip, announced.Node)
}

// awaited says whether the next owner of an address that this node announces waits for it to stop: it has followed the claim of this node, or
// the same one without knowing of this node's, and does not announce the address.
func (s *step) awaited(ip netip.Addr, o *ownership, d election.Decision) bool {
	best, _ := election.Best(s.view.electionClaims(ip))
	follows := best.Epoch > o.Epoch || best.Epoch == o.Epoch && !s.live.sees(best.Node)
	return d.Why == election.Incumbent && best.Node == d.Owner && best.Tentative && follows
}

// rebalance has the node hand addresses to others if it was asked to and has more than its share.
func (c *claims) rebalance(s *step) {
	own := s.view.announcers[s.node]
	if own == nil || own.rebalance == c.rebalanced {
		return
	}
	c.rebalanced = own.rebalance
	s.plan.Changed = true
	if own.rebalance == "" {
		return
	}
	for ip, to := range s.round.Rebalance() {
		if _, announced := c.announced[ip]; announced && s.round.Decision(ip).Owner == s.node {
			c.owned[ip].to = to
		}
	}
}

// Rebalance is what rebalancing would have move as of the last plan: the next owner of each address that it would hand over.
func (p *Layer2Planner) Rebalance() map[netip.Addr]string { return p.round.Rebalance() }
