package plan

import (
	"cmp"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/election"
)

// Layer2Verdict is what one node does about an address and why.
type Layer2Verdict struct {
	Node   string
	Reason Reason
}

// Layer2Explanation is who announces an address on layer 2 and why not others.
type Layer2Explanation struct {
	Address  netip.Addr
	Services []types.NamespacedName
	// Decision is empty if no node may announce the address. Refused has the reason then, if it is
	// the same for all nodes.
	Decision election.Decision
	Refused  Reason
	// Verdicts for every node, sorted by name; none if Refused.
	Verdicts []Layer2Verdict
}

// Explain says who announces an address as of the last plan, and of every node why it does or does not.
func (p *Layer2Planner) Explain(ip netip.Addr) Layer2Explanation {
	e := Layer2Explanation{Address: ip}
	for _, s := range p.view.byAddress[ip] {
		e.Services = append(e.Services, s.name)
	}
	requests, refused := p.requests(ip)
	if refused != "" {
		e.Refused = refused
		return e
	}
	e.Decision = p.round.Decision(ip)
	for _, m := range p.members {
		v := Layer2Verdict{m.name, cmp.Or(p.judge(m, ip, requests), m.reluctant, StandsBy)}
		if m.name == e.Decision.Owner {
			v.Reason = Announces
		}
		e.Verdicts = append(e.Verdicts, v)
	}
	return e
}
