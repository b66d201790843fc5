package announce

import (
	"net/netip"
	"time"

	"github.com/clarionlb/clarion/announce/election"
)

// helpOut is how long a member that paused is still answered for after it has come back: its announcer takes a moment to
// answer itself.
const helpOut = 2 * time.Second

// assist adds to a plan what this node answers for in the place of members that pause, and returns when to look again.
func (p *Planner) assist(plan *Plan, now time.Time) (wake time.Time) {
	plan.Care = map[netip.Addr]Care{}
	for name, absence := range p.absent {
		if absence == Paused {
			p.back[name] = time.Time{}
			p.careFor(name, plan.Care)
		}
	}
	for name, until := range p.back {
		if p.absent[name] == Paused {
			continue
		}
		if until.IsZero() {
			until = now.Add(helpOut)
			p.back[name] = until
		}
		if _, absent := p.absent[name]; absent || !now.Before(until) {
			delete(p.back, name)
			continue
		}
		p.careFor(name, plan.Care)
		wake = earlier(wake, until)
	}
	return wake
}

// careFor adds the addresses of a member for which this node is to answer: the one that would be next to have them.
func (p *Planner) careFor(name string, care map[netip.Addr]Care) {
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
			care[ip] = Care{interfaces, mac}
		}
	}
}

// suspect is how to ask for a member that the gossip does not see, over interfaces that are up; false if it has no claim, so
// that nothing depends on it.
func (p *Planner) suspect(name string, up []Interface) (suspect, bool) {
	a, n := p.view.announcers[name], p.view.nodes[name]
	if a == nil || n == nil || len(a.claims) == 0 {
		return suspect{}, false
	}
	s := suspect{name: name, node: ask(n.address, up)}
	for ip, c := range a.claims {
		best, _ := election.Best(p.view.electionClaims(ip))
		if c.Tentative || best.Node != name || s.announced.address.IsValid() && s.announced.address.Less(ip) {
			continue
		}
		if q := ask(ip, up); q.address.IsValid() {
			s.announced = q
		}
	}
	return s, true
}

// ask is how to ask for an address over interfaces that are up; not valid if none is in its network.
func ask(address netip.Addr, up []Interface) question {
	for _, i := range up {
		if i.contains(address) {
			return question{address, i.Name}
		}
	}
	return question{}
}
