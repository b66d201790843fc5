package announced

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// advertised says whether an address is to be announced by BGP at all.
func advertised(e plan.BGPExplanation) bool {
	return e.Refused != plan.NoAdvertisement && e.Refused != plan.NoPool && e.Refused != plan.NotAssigned
}

// reachOf is from where an address is announced by BGP: by the nodes that are to announce it and
// whose announcers are alive, on the sessions on which they report that they send its family. It
// also names them, in the words of a sentence.
func (e *evaluator) reachOf(explanation plan.BGPExplanation) (r reach, names string) {
	// Nodes that are drained announce an address only if no others can.
	for _, announces := range []plan.Reason{plan.Announces, plan.Draining} {
		var nodes []string
		peers := map[string]struct{}{}
		for _, v := range explanation.Verdicts {
			if v.Reason != announces || !e.isAlive(v.Node) {
				continue
			}
			found := false
			for _, peer := range v.Peers {
				if e.sending(v.Node, peer, explanation.Address).sends && !e.closed(v.Node, peer) {
					found = true
					peers[peer] = struct{}{}
				}
			}
			if found {
				nodes = append(nodes, v.Node)
			}
		}
		if len(nodes) > 0 {
			return reach{len(nodes), len(peers)}, "from " + fewOf(nodes) + " to " + fewOf(slices.Sorted(maps.Keys(peers)))
		}
	}
	return reach{}, ""
}

// closed says whether the session of a node with a BGPPeer has ended because its announcer is down.
// With graceful restart, the router keeps the routes until the announcer is back.
func (e *evaluator) closed(node, peer string) bool {
	if !down(e.announcers[node]) {
		return false
	}
	spec := e.view.BGPPeer(peer).LastGood
	return spec == nil || !spec.EnableGracefulRestart
}

// whyNotByBGP is the reason for the Announced condition and a half sentence about an address that
// is not announced by BGP although it is advertised.
func (e *evaluator) whyNotByBGP(explanation plan.BGPExplanation) (reason, sentence string) {
	if explanation.Refused != "" { // NoEndpoint: others are no advertisement
		return v1alpha1.ReasonNoEndpoint, notAnnounced(withRemedy(explanation.Refused.Sentence(), explanation.Refused.Remedy()))
	}
	able, away := 0, causes{}
	var verdicts []plan.Layer2Verdict
	for _, v := range explanation.Verdicts {
		if len(v.Peers) > 0 {
			able++
			if down(e.announcers[v.Node]) {
				away.add("the announcer "+whyDown(e.announcers[v.Node]), v.Node)
			}
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
	case established && len(away) > 0:
		return v1alpha1.ReasonPending, notAnnounced(away.onNodes())
	case established:
		return v1alpha1.ReasonPending, "about to be announced by BGP"
	}
	return v1alpha1.ReasonNoSession, notAnnounced(fmt.Sprintf("none of %s that could announce it by BGP has a session (%s)",
		counted(able, "node"), e.whyNoSession(explanation)))
}

// whyNoSession has the BGPPeers by what keeps nodes from having a session with them, and the nodes
// of which nothing is known.
func (e *evaluator) whyNoSession(explanation plan.BGPExplanation) string {
	whys := causes{}
	for _, v := range explanation.Verdicts {
		if len(v.Peers) > 0 && !e.isAlive(v.Node) {
			whys.add(e.whyNotAlive(v.Node), v.Node)
			continue
		}
		for _, peer := range v.Peers {
			whys.add(e.sending(v.Node, peer, explanation.Address).whyNone(), peer)
		}
	}
	whys.dropVague(noSessionYet)
	return problems(whys)
}

// causes are the names of what something keeps from working, by what that is.
type causes map[string][]string

func (c causes) add(why, name string) {
	if !slices.Contains(c[why], name) {
		c[why] = append(c[why], name)
	}
}

// onNodes is a half sentence about what happens on which nodes.
func (c causes) onNodes() string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, what+" on "+fewOf(c[what]))
	}
	return strings.Join(parts, "; ")
}

// dropVague leaves a name out under a cause that says little if there is another one for it.
func (c causes) dropVague(vague string) {
	c[vague] = slices.DeleteFunc(c[vague], func(name string) bool {
		for why, names := range c {
			if why != vague && slices.Contains(names, name) {
				return true
			}
		}
		return false
	})
	if len(c[vague]) == 0 {
		delete(c, vague)
	}
}

// unsent says whether a node that could announce an address by BGP has a session for it, and in a
// half sentence why it is not sent on those that there are; "" if nothing keeps it from being sent.
func (e *evaluator) unsent(explanation plan.BGPExplanation) (established bool, why string) {
	peers, found := causes{}, false
	for _, v := range explanation.Verdicts {
		if !e.isAlive(v.Node) {
			continue
		}
		for _, peer := range v.Peers {
			s := e.sending(v.Node, peer, explanation.Address)
			established, found = established || s.established, found || s.established && s.problem != ""
			problem := s.problem
			switch {
			case s.established:
			case problem == "":
				problem = noSessionYet
			default:
				problem = "there is no session: " + problem
			}
			if problem != "" {
				peers.add(problem, peer)
			}
		}
	}
	peers.dropVague(noSessionYet)
	if !found {
		return established, ""
	}
	return established, fmt.Sprintf("%s addresses are sent to no BGPPeer (%s)", familyOf(explanation.Address), problems(peers))
}
