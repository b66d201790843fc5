package plan

import (
	"net/netip"

	"github.com/clarionlb/clarion/announce/election"
)

// ProbeTarget is a member that the gossip does not see, and how to ask for it.
type ProbeTarget struct {
	Name string
	// Node is how to reach the kernel of its node; not valid if none of this node's interfaces is
	// in its network.
	Node Question
	// Announced is an address that its announcer answers for; not valid if this node cannot ask for
	// any.
	Announced Question
	// Left says that its announcer has left on purpose.
	Left bool
}

// Question is which address to ask for and on which interface.
type Question struct {
	Address   netip.Addr
	Interface string
}

// ProbeTarget is how to ask for a member that the gossip does not see, over interfaces that are up;
// false if it has no claim, so that nothing depends on it.
func (p *Layer2Planner) ProbeTarget(name string, up []Interface) (ProbeTarget, bool) {
	a, n := p.view.announcers[name], p.view.nodes[name]
	if a == nil || n == nil || len(a.claims) == 0 {
		return ProbeTarget{}, false
	}
	target := ProbeTarget{Name: name, Node: QuestionFor(n.address, up)}
	for ip, c := range a.claims {
		best, _ := election.Best(p.view.electionClaims(ip))
		if c.Tentative || best.Node != name || target.Announced.Address.IsValid() && target.Announced.Address.Less(ip) {
			continue
		}
		if q := QuestionFor(ip, up); q.Address.IsValid() {
			target.Announced = q
		}
	}
	return target, true
}

// QuestionFor is how to ask for an address over interfaces that are up; not valid if none is in its
// network.
func QuestionFor(address netip.Addr, up []Interface) Question {
	for _, i := range up {
		if i.Contains(address) {
			return Question{address, i.Name}
		}
	}
	return Question{}
}
