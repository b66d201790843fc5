package plan

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/election"
)

// Layer2Verdict is what one node does about an address and why.
type Layer2Verdict struct {
	Node   string
	Reason Reason
	// Asked are the patterns of the interfaces that the advertisements ask for, if the Reason is
	// NoInterface; "" if one does not ask for any.
	Asked string
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
		v := Layer2Verdict{Node: m.name, Reason: cmp.Or(p.judge(m, ip, requests), m.reluctant, StandsBy)}
		if m.name == e.Decision.Owner {
			v.Reason = Announces
		}
		if v.Reason == NoInterface {
			v.Asked = p.askedInterfaces(m, requests)
		}
		e.Verdicts = append(e.Verdicts, v)
	}
	return e
}

// askedInterfaces are the patterns of the interfaces that requests ask for on a node; "" if one does
// not ask for any.
func (e *electorate) askedInterfaces(m *member, requests []announceRequest) string {
	var patterns []string
	for _, r := range requests {
		if !e.reaches[r.advertisement].selected.Has(m.index) {
			continue
		}
		asked := e.advertisements[r.advertisement].interfaces
		if len(asked) == 0 {
			return ""
		}
		patterns = append(patterns, asked...)
	}
	slices.Sort(patterns)
	return strings.Join(slices.Compact(patterns), ", ")
}
