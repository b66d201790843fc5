package announced

import (
	"fmt"
	"slices"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// advertised says whether an address is to be announced by BGP at all.
func advertised(e plan.BGPExplanation) bool {
	return e.Refused != plan.NoAdvertisement && e.Refused != plan.NoPool && e.Refused != plan.NotAssigned
}

// reachOf is from where an address is announced by BGP: by the nodes that are to announce it and
// whose announcers are alive, on the sessions that they report.
func (e *evaluator) reachOf(explanation plan.BGPExplanation) reach {
	// Nodes that are drained announce an address only if no others can.
	for _, announces := range []plan.Reason{plan.Announces, plan.Draining} {
		nodes, peers := 0, map[string]struct{}{}
		for _, v := range explanation.Verdicts {
			if v.Reason != announces || !e.isAlive(v.Node) {
				continue
			}
			found := false
			for _, peer := range v.Peers {
				if e.established(v.Node, peer) {
					found = true
					peers[peer] = struct{}{}
				}
			}
			if found {
				nodes++
			}
		}
		if nodes > 0 {
			return reach{nodes, len(peers)}
		}
	}
	return reach{}
}

// whyNotByBGP is the reason for the Announced condition and a half sentence about an address that
// is not announced by BGP although it is advertised.
func whyNotByBGP(e plan.BGPExplanation) (reason, sentence string) {
	if e.Refused != "" { // NoEndpoint: others are no advertisement
		return v1alpha1.ReasonNoEndpoint, e.Refused.Sentence()
	}
	able := 0
	var verdicts []plan.Layer2Verdict
	for _, v := range e.Verdicts {
		if len(v.Peers) > 0 {
			able++
		}
		verdicts = append(verdicts, plan.Layer2Verdict{Node: v.Node, Reason: v.Reason})
	}
	if able == 0 {
		return v1alpha1.ReasonNoNode, whyNoNode(verdicts)
	}
	return v1alpha1.ReasonNoSession, fmt.Sprintf("none of %s that could announce it by BGP has a session", counted(able, "node"))
}

// sessionsOf are the BGPPeers that a node has sessions with, as its announcer reports them, sorted.
func sessionsOf(announcer *v1alpha1.Announcer) []string {
	if announcer == nil {
		return nil
	}
	var peers []string
	for _, session := range announcer.Status.BGP.Peers {
		if session.State == v1alpha1.BGPEstablished {
			peers = append(peers, session.Name)
		}
	}
	slices.Sort(peers)
	return slices.Compact(peers)
}

// established says whether a node has a session with a BGPPeer.
func (e *evaluator) established(node, peer string) bool {
	_, found := slices.BinarySearch(e.sessions[node], peer)
	return found
}
