package plan

import (
	"net/netip"
	"time"

	"github.com/clarionlb/clarion/announce/election"
)

// proxyLinger is how long a member that paused is still answered for after it has come back: its announcer takes a moment to
// answer itself.
const proxyLinger = 2 * time.Second

// proxy adds to a plan what this node answers for in the place of members that pause, and returns when to look again.
func (p *Layer2Planner) proxy(plan *Layer2Plan, now time.Time) (wake time.Time) {
	plan.Proxied = map[netip.Addr]Proxy{}
	for name, absence := range p.states {
		if absence == AnnouncerDown {
			p.proxyUntil[name] = time.Time{}
			p.proxyFor(name, plan.Proxied)
		}
	}
	for name, until := range p.proxyUntil {
		if p.states[name] == AnnouncerDown {
			continue
		}
		if until.IsZero() {
			until = now.Add(proxyLinger)
			p.proxyUntil[name] = until
		}
		if _, absent := p.states[name]; absent || !now.Before(until) {
			delete(p.proxyUntil, name)
			continue
		}
		p.proxyFor(name, plan.Proxied)
		wake = Earlier(wake, until)
	}
	return wake
}

// proxyFor adds the addresses of a member for which this node is to answer: the one that would be next to have them.
func (p *Layer2Planner) proxyFor(name string, care map[netip.Addr]Proxy) {
	a := p.view.announcers[name]
	if a == nil {
		return
	}
	for ip, c := range a.claims {
		if c.Tentative || p.round.Decision(ip).Owner != name || p.round.Successor(ip) != p.node {
			continue
		}
		interfaces := p.interfacesFor(ip)
		if mac := a.macFor(ip, c.interfaces, p.interfaces); mac != "" && len(interfaces) > 0 {
			care[ip] = Proxy{interfaces, mac}
		}
	}
}

// ProbeTarget is how to ask for a member that the gossip does not see, over interfaces that are up; false if it has no claim, so
// that nothing depends on it.
func (p *Layer2Planner) ProbeTarget(name string, up []Interface) (ProbeTarget, bool) {
	a, n := p.view.announcers[name], p.view.nodes[name]
	if a == nil || n == nil || len(a.claims) == 0 {
		return ProbeTarget{}, false
	}
	s := ProbeTarget{Name: name, Node: QuestionFor(n.address, up)}
	for ip, c := range a.claims {
		best, _ := election.Best(p.view.electionClaims(ip))
		if c.Tentative || best.Node != name || s.Announced.Address.IsValid() && s.Announced.Address.Less(ip) {
			continue
		}
		if q := QuestionFor(ip, up); q.Address.IsValid() {
			s.Announced = q
		}
	}
	return s, true
}

// QuestionFor is how to ask for an address over interfaces that are up; not valid if none is in its network.
func QuestionFor(address netip.Addr, up []Interface) Question {
	for _, i := range up {
		if i.Contains(address) {
			return Question{address, i.Name}
		}
	}
	return Question{}
}
