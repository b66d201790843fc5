package plan

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
)

// BGPVerdict is what one node does about an address by BGP, to whom and why.
type BGPVerdict struct {
	Node   string
	Reason Reason
	// Peers are the BGPPeers to which the node announces the address, if the Reason is Announces or
	// Draining, sorted.
	Peers []string
	// Leaves says of a node with the Reason Draining that it withdraws the address, since another node that is in service can
	// announce it, and has a session to do it by.
	Leaves bool
}

// BGPExplanation is which nodes announce an address by BGP and why not others.
type BGPExplanation struct {
	Address netip.Addr
	// Refused is why no node does, if the reason is the same for all.
	Refused Reason
	// Verdicts for every node, sorted by name; none if Refused.
	Verdicts []BGPVerdict
}

// Explain says which nodes announce an address as of the last plan, and of every node why it does
// or does not. A drained node goes on if no other node can announce the address. The verdicts must
// not be modified.
func (p *BGPPlanner) Explain(ip netip.Addr) BGPExplanation {
	e := BGPExplanation{Address: ip}
	requests, refused := p.requests(ip, p.view.byAddress[ip])
	if refused != "" {
		e.Refused = refused
		return e
	}
	var key []byte // the family, and the advertisements
	for _, r := range requests {
		if r.on != nil || !p.advertisements[r.advertisement].prefix(ip).IsSingleIP() {
			key = nil
			break
		}
		if key == nil {
			key = []byte{byte(ip.BitLen())}
		}
		key = binary.AppendUvarint(key, uint64(r.advertisement))
	}
	if key == nil {
		e.Verdicts = p.judgeAll(ip, requests)
		return e
	}
	if _, known := p.verdicts[string(key)]; !known {
		p.verdicts[string(key)] = p.judgeAll(ip, requests)
	}
	e.Verdicts = p.verdicts[string(key)]
	return e
}

// judgeAll says of every node what it does about an address, sorted by name.
func (p *BGPPlanner) judgeAll(ip netip.Addr, requests []announceRequest) (verdicts []BGPVerdict) {
	for _, name := range slices.Sorted(maps.Keys(p.view.nodes)) {
		n, v := p.view.nodes[name], BGPVerdict{Node: name, Reason: Excluded}
		if !n.excluded {
			var advertisements []int
			advertisements, v.Reason = p.judge(name, n, ip, requests)
			peers, noPeer := p.peers(n, ip, advertisements)
			v.Peers = peers
			switch {
			case v.Reason != "":
			case noPeer != "":
				v.Reason = noPeer
			case n.draining:
				v.Reason, v.Leaves = Draining, p.elsewhere(name, ip, requests)
			default:
				if v.Reason = p.leaves(name, ip, requests); v.Reason == "" {
					v.Reason = Announces
				} else {
					v.Peers = nil
				}
			}
		}
		verdicts = append(verdicts, v)
	}
	return verdicts
}
