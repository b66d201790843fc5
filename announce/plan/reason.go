package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/election"
)

// Reason says why a node announces an address or why not.
type Reason string

// Reasons that hold for an address on all nodes.
const (
	// NotAssigned : no Service of ours has the address.
	NotAssigned Reason = "NotAssigned"
	// NoPool : no IPAddressPool contains the address.
	NoPool Reason = "NoPool"
	// NoAdvertisement : no advertisement of the protocol in question selects the address.
	NoAdvertisement Reason = "NoAdvertisement"
	// NoEndpoint : no endpoint of the Service can serve.
	NoEndpoint Reason = "NoEndpoint"
)

// Reasons that hold for a node.
const (
	// NoAnnouncer : no announcer has ever run on the node.
	NoAnnouncer Reason = "NoAnnouncer"
	// NotAlive : the node's announcer is not in sight.
	NotAlive Reason = "NotAlive"
	// Excluded : the node is labelled to be left out.
	Excluded Reason = "Excluded"
	// NetworkUnavailable : the Node object says that the node's network is not set up.
	NetworkUnavailable Reason = "NetworkUnavailable"
	// NotSelected : no advertisement of the address selects the node.
	NotSelected Reason = "NotSelected"
	// NoLocalEndpoint : traffic must stay local, and no endpoint on the node can serve.
	NoLocalEndpoint Reason = "NoLocalEndpoint"
	// NoInterface : no interface of the node that is up suits the address.
	NoInterface Reason = "NoInterface"
	// Draining : the node is being drained, and others can announce the address.
	Draining Reason = "Draining"
	// NotReady : the Node is not ready, and others can announce the address.
	NotReady Reason = "NotReady"
	// StandsBy : the node could announce the address, but another one does.
	StandsBy Reason = "StandsBy"
	// Announces : the node is the one that announces the address.
	Announces Reason = "Announces"
)

// Reasons that hold for a node and BGP.
const (
	// NoPeer : no BGPPeer of the advertisements of the address is for the node.
	NoPeer Reason = "NoPeer"
	// BeyondPool : the prefix that is to be announced for the address reaches beyond its pool.
	BeyondPool Reason = "BeyondPool"
)

var sentences = map[Reason]string{
	NotAssigned:        "no Service has this address",
	NoPool:             "no IPAddressPool contains this address",
	NoAdvertisement:    "no L2Advertisement or BGPAdvertisement selects this address",
	NoEndpoint:         "the Service has no endpoint that can serve",
	NoAnnouncer:        "no announcer has run on this node",
	NotAlive:           "the announcer of this node is not in sight",
	Excluded:           "the node is labelled node.kubernetes.io/exclude-from-external-load-balancers",
	NetworkUnavailable: "the Node has the condition NetworkUnavailable",
	NotSelected:        "no advertisement of this address selects the node",
	NoLocalEndpoint:    "externalTrafficPolicy is Local and no endpoint on this node can serve",
	NoInterface:        "no interface of the node that is up suits this address",
	Draining:           "the node is being drained",
	NotReady:           "the Node is not ready",
	StandsBy:           "could announce it",
	Announces:          "announces it",
	NoPeer:             "no BGPPeer to which this address is advertised is for the node",
	BeyondPool:         "the aggregate reaches beyond the pool of this address",
}

// Sentence is the reason in words for people. It is stable.
func (r Reason) Sentence() string { return sentences[r] }

// Layer2Verdict is what one node does about an address and why.
type Layer2Verdict struct {
	Node   string
	Reason Reason
}

// Layer2Explanation is who announces an address and why not others.
type Layer2Explanation struct {
	Address  netip.Addr
	Services []types.NamespacedName
	// Decision is empty if no node may announce the address; Refused then has the reason if it is the address's.
	Decision election.Decision
	Refused  Reason
	// Verdicts for every node, sorted by name; none if Refused.
	Verdicts []Layer2Verdict
}

var whys = map[election.Why]string{
	election.Incumbent:           "it has the best claim",
	election.Unclaimed:           "nobody had claimed it",
	election.IncumbentDown:       "in place of %s, which is not in sight",
	election.IncumbentIneligible: "in place of %s, which may not announce it",
	election.HandedOver:          "handed over by %s",
}

// String is the explanation as text: a line for the address and one for each node.
func (e Layer2Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", e.Address)
	for _, s := range e.Services {
		fmt.Fprintf(&b, " %s", s)
	}
	if e.Refused != "" {
		fmt.Fprintf(&b, ": %s\n", e.Refused.Sentence())
		return b.String()
	}
	b.WriteByte('\n')
	for _, v := range e.Verdicts {
		fmt.Fprintf(&b, "  %s: %s", v.Node, v.Reason.Sentence())
		if v.Reason == Announces {
			b.WriteString(", ")
			if why := whys[e.Decision.Why]; strings.Contains(why, "%s") {
				fmt.Fprintf(&b, why, e.Decision.Incumbent)
			} else {
				b.WriteString(why)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// judge says why a node may not announce an address; "" if it may. One request that it can meet is enough; of those that it
// cannot, the reason comes from the one that came closest.
func (p *Layer2Planner) judge(m *member, ip netip.Addr, requests []announceRequest) Reason {
	if m.barred != "" {
		return m.barred
	}
	closest := NotSelected
	for _, r := range requests {
		if !p.reaches[r.advertisement].selected.Has(m.index) {
			continue
		}
		if r.on != nil {
			if _, local := slices.BinarySearch(r.on, m.name); !local {
				if closest == NotSelected {
					closest = NoLocalEndpoint
				}
				continue
			}
		}
		if p.candidatesFor(r, ip).Has(m.index) {
			return ""
		}
		closest = NoInterface
	}
	return closest
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
