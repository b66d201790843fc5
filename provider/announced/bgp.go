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
// whose announcers are alive, on the sessions on which they report that they send its family.
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
				if e.sending(v.Node, peer, explanation.Address).sends {
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
func (e *evaluator) whyNotByBGP(explanation plan.BGPExplanation) (reason, sentence string) {
	if explanation.Refused != "" { // NoEndpoint: others are no advertisement
		return v1alpha1.ReasonNoEndpoint, notAnnounced(withRemedy(explanation.Refused.Sentence(), explanation.Refused.Remedy()))
	}
	able := 0
	var verdicts []plan.Layer2Verdict
	for _, v := range explanation.Verdicts {
		if len(v.Peers) > 0 {
			able++
		}
		verdicts = append(verdicts, plan.Layer2Verdict{Node: v.Node, Reason: v.Reason})
	}
	if able == 0 {
		return v1alpha1.ReasonNoNode, notAnnounced(e.whyNoNode(verdicts))
	}
	established, unsent := e.unsent(explanation)
	switch {
	case unsent != "":
		return v1alpha1.ReasonNotSent, notAnnounced(unsent)
	case established:
		return v1alpha1.ReasonPending, "about to be announced by BGP"
	}
	return v1alpha1.ReasonNoSession, notAnnounced(fmt.Sprintf("none of %s that could announce it by BGP has a session", counted(able, "node")))
}

// unsent says whether a node that could announce an address by BGP has a session for it, and in a
// half sentence why it is not sent on those that there are; "" if nothing keeps it from being sent.
func (e *evaluator) unsent(explanation plan.BGPExplanation) (established bool, why string) {
	peers, found := map[string][]string{}, false
	for _, v := range explanation.Verdicts {
		if !e.isAlive(v.Node) {
			continue
		}
		for _, peer := range v.Peers {
			s := e.sending(v.Node, peer, explanation.Address)
			established, found = established || s.established, found || s.problem != ""
			problem := s.problem
			if !s.established {
				problem = "there is no session"
			}
			if problem != "" && !slices.Contains(peers[problem], peer) {
				peers[problem] = append(peers[problem], peer)
			}
		}
	}
	if !found {
		return established, ""
	}
	return established, fmt.Sprintf("%s addresses are sent to no BGPPeer (%s)", familyOf(explanation.Address), problems(peers))
}
