package plan

import (
	"net/netip"
	"strings"

	"github.com/clarionlb/clarion/announce/election"
)

// ProbeTarget is a member that the gossip does not see, or that is about to go out of its sight, and how to ask for it.
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
	// InSight says that the gossip still sees the member: only its heartbeats do not arrive. Silent says that so many are
	// missing that it may be dead.
	InSight, Silent bool
}

// Question is which address to ask for and on which interface.
type Question struct {
	Address   netip.Addr
	Interface string
	// MACs are the hardware addresses that the member has recorded, as text with commas between them:
	// whoever else answers does so for another host, or has the address by mistake. "" if it has
	// recorded none.
	MACs string
	// MAC is the one of them to ask, as text; "" if it is not known which.
	MAC string
}

// Accepts says whether an answer from a hardware address, as text, is one of the member.
func (q Question) Accepts(mac string) bool { return q.MACs == "" || strings.Contains(q.MACs, mac) }

// heirGenerations is how many generations of heirs ask about a member out of sight: if those who would have its addresses next die
// with it, the next ones know already what has become of it.
const heirGenerations = 3

// Heir says whether it may fall to this node to take addresses of a member over, so that it has to find out by itself whether that is
// dead. It goes by the last plan.
func (p *Layer2Planner) Heir(name string) bool {
	return p.round == nil || p.round.Heir(p.node, name, heirGenerations)
}

// Heirs are the nodes to which addresses of a member may fall. See Heir.
func (p *Layer2Planner) Heirs(name string) []string { return p.round.Heirs(name, heirGenerations) }

// ProbeTarget is how to ask for a member that the gossip does not see, over the node's interfaces;
// false if it has no claim that holds, so that nothing depends on it: who has taken over what it had has found out. A claim of which this
// node was told, and that it does not see recorded, holds, too: a node that is cut off would claim the address anew. So does what the member
// was heard to announce.
func (p *Layer2Planner) ProbeTarget(name string, interfaces []Interface) (target ProbeTarget, relevant bool) {
	a, n := p.view.announcers[name], p.view.nodes[name]
	if a == nil || n == nil {
		return ProbeTarget{}, false
	}
	unrecorded := p.unrecorded(name)
	target, relevant = ProbeTarget{Name: name, Node: p.NodeQuestion(name, interfaces)}, len(unrecorded) > 0
	ask := func(ip netip.Addr) {
		requests, _ := p.requests(ip)
		if on := p.interfacesOf(ip, interfaces, requests); len(on) > 0 {
			target.Announced = Question{ip, on[0], a.macs(), a.macIn(on[0], interfaces)}
		}
	}
	for ip, c := range a.claims {
		best, _ := election.Best(p.view.electionClaims(ip))
		if best.Node != name {
			continue
		}
		relevant = true
		if c.Tentative || target.Announced.Address.IsValid() && target.Announced.Address.Less(ip) {
			continue
		}
		ask(ip)
	}
	for _, ip := range unrecorded {
		if target.Announced.Address.IsValid() {
			break
		}
		ask(ip)
	}
	if !relevant {
		return ProbeTarget{}, false
	}
	return target, true
}

// NodeQuestion is how to ask for a node: on the interface by which the kernel sends to it. It is not
// valid if the node has no address, or if a router is in between.
func (p *Layer2Planner) NodeQuestion(name string, interfaces []Interface) Question {
	return p.nodeQuestion(name, p.view.NodeAddress(name), interfaces)
}

// NodeQuestions are how to ask for a node at each of its addresses. Those that no interface of this node has in its network are left
// out.
func (p *Layer2Planner) NodeQuestions(name string, interfaces []Interface) (questions []Question) {
	for _, address := range p.view.InternalIPs(name) {
		if q := p.nodeQuestion(name, address, interfaces); q.Address.IsValid() {
			questions = append(questions, q)
		}
	}
	return questions
}

func (p *Layer2Planner) nodeQuestion(name string, address netip.Addr, interfaces []Interface) Question {
	i, onLink, ok := lookup(address, interfaces)
	if !ok || !onLink {
		return Question{}
	}
	q := Question{Address: address, Interface: i.Name}
	if a := p.view.announcers[name]; a != nil {
		q.MACs, q.MAC = a.macs(), a.macIn(i.Name, interfaces)
	}
	return q
}
