package plan

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/clarionlb/clarion/announce/election"
	"github.com/clarionlb/clarion/internal/guard"
)

// try does something about an address. It returns false if that panics, now or earlier in this plan,
// or at all since the address has changed: nothing is then decided about it.
func (s *step) try(ip netip.Addr, do func()) bool {
	if _, failing := s.failures[ip]; failing {
		return false
	}
	failed := guard.Do("address", ip, do)
	if failed != nil {
		s.plan.Failures = append(s.plan.Failures, s.failures.note(ip, failed, s.now))
	}
	return failed == nil
}

// retry has those addresses decided about again that were not because of a fault.
func (p *Layer2Planner) retry(s *step, dirty addressSet, all bool) {
	due, wake := p.failures.forgive(s.now, func(ip netip.Addr) bool {
		_, changed := dirty[ip]
		return changed || all || !ip.IsValid()
	})
	s.wake(wake)
	for _, ip := range due {
		p.pending.reenter.add(ip)
		p.pending.revisit.add(ip)
	}
}

// remember returns what puts back all that following the election may change for an address.
func (p *Layer2Planner) remember(s *step, ip netip.Addr) (undo func()) {
	plan := *s.plan
	takeover, taken := p.takeovers[ip]
	interfaces, announced := p.claims.announced[ip]
	o := p.claims.owned[ip]
	var before ownership
	if o != nil {
		before = *o
	}
	return func() {
		failures := s.plan.Failures
		*s.plan = plan
		s.plan.Failures = failures
		putBack(p.takeovers, ip, takeover, taken)
		putBack(p.claims.announced, ip, interfaces, announced)
		putBack(p.claims.owned, ip, o, o != nil)
		if o != nil {
			*o = before
		}
	}
}

func putBack[V any](m map[netip.Addr]V, ip netip.Addr, value V, there bool) {
	if there {
		m[ip] = value
	} else {
		delete(m, ip)
	}
}

// holdAll is hold for everything that the node has, when nothing can be decided at all. Everything
// will be decided anew.
func (p *Layer2Planner) holdAll(s *step) {
	p.pending.all = true
	s.plan.Changed = true
	s.plan.Proxied = p.proxied
	s.wake(s.now.Add(failureRetry))
	addresses := addressSet{}
	for ip := range p.claims.owned {
		addresses.add(ip)
	}
	if own := p.view.announcers[p.node]; own != nil {
		for ip := range own.claims {
			addresses.add(ip)
		}
	}
	for _, ip := range slices.SortedFunc(maps.Keys(addresses), netip.Addr.Compare) {
		p.hold(s, ip)
	}
}

// hold has the node go on with an address about which nothing can be decided: it has what it had, or
// what it has recorded if it has been started since. It goes by the few things that must hold
// whatever the fault is. The node can be reached on the interfaces, a Service has the address, and
// nobody else has claimed it since.
func (p *Layer2Planner) hold(s *step, ip netip.Addr) {
	best, _ := election.Best(p.view.electionClaims(ip))
	o := p.claims.owned[ip]
	if o == nil {
		p.takeUp(s, ip, best)
		return
	}
	interfaces, announced := p.claims.announced[ip]
	beaten := best.Node != "" && best.Node != p.node && best.Beats(o.Claim)
	if !beaten && len(p.view.byAddress[ip]) > 0 && p.has(interfaces) {
		return
	}
	delete(p.claims.owned, ip)
	delete(p.claims.announced, ip)
	s.plan.Changed = true
	move := Move{Address: ip, From: p.node, Reason: MoveWithdrawn, Verdict: NoInterface}
	if beaten {
		move.To, move.Reason, move.Verdict = best.Node, MoveSuperseded, StandsBy
	}
	if announced {
		s.plan.Moves = append(s.plan.Moves, move)
	}
}

// takeUp has the node go on with an address by what it has recorded of itself.
func (p *Layer2Planner) takeUp(s *step, ip netip.Addr, best election.Claim) {
	if best.Node != p.node || best.Tentative || len(p.view.byAddress[ip]) == 0 {
		return
	}
	recorded := p.view.announcers[p.node].claims[ip]
	if !p.has(recorded.interfaces) {
		return
	}
	p.claims.owned[ip] = &ownership{claim: recorded.claim, made: p.live.generation, from: p.node, reason: MoveResumed, previous: recorded.previousOwners}
	p.claims.announced[ip] = recorded.interfaces
	s.plan.Changed = true
	s.plan.Moves = append(s.plan.Moves, Move{Address: ip, From: p.node, To: p.node, Reason: MoveResumed, Interfaces: recorded.interfaces})
}

// has says whether the node has all of these interfaces, and they are up. It has none while it may
// not take part.
func (p *Layer2Planner) has(names []string) bool {
	if len(p.all) == 0 {
		return false
	}
	for _, name := range names {
		if !slices.ContainsFunc(p.all, func(i Interface) bool { return i.Name == name && !i.Down }) {
			return false
		}
	}
	return true
}
