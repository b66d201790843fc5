package announced

import (
	"cmp"
	"fmt"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/provider/internal/status"
)

// peerStatus is the status that a BGPPeer is to have.
func (e *evaluator) peerStatus(name string) v1alpha1.BGPPeerStatus {
	p, state := e.peers[name], e.view.BGPPeer(name)
	spec := cmp.Or(state.LastGood, &p.Spec)
	n, bfd := e.neighborhoodOf(name), e.bfdOf(name)
	s := v1alpha1.BGPPeerStatus{
		Nodes:       int32(n.nodes),
		Established: int32(n.established()),
		Sessions:    fmt.Sprintf("%d/%d", n.established(), n.nodes),
		Families:    n.families(),
		AppliedSpec: recorded(state, p.Status.AppliedSpec),
		Conditions:  slices.Clone(p.Status.Conditions),
	}
	if spec.BFDProfile != "" {
		s.BFDUp = &bfd.up
	}
	reason, message := v1alpha1.ReasonValid, "The nodes that are selected speak with the router."
	if s.Established < s.Nodes {
		message = n.sentence()
	}
	if len(n.unsent) > 0 {
		message += " Not all that is advertised to it is sent: " + problems(n.unsent) + "."
	}
	missing := n.missing(spec.AddressFamilies)
	// If it is in force as it is written, and only its BFDProfile is missing, the nodes say what follows.
	missingBFD := state.Reason() == v1alpha1.ReasonUnknownName && apiequality.Semantic.DeepEqual(spec, &p.Spec)
	switch {
	case state.Problem != nil && !missingBFD:
		reason, message = state.Reason(), problemOf(state, "no node speaks with the router")
	case len(n.refused) > 0:
		reason, message = v1alpha1.ReasonRefused, problems(n.refused)
	case s.Nodes == 0:
		reason, message = v1alpha1.ReasonNoNodes, "No node whose announcer is in sight is to speak with the router."
	case s.Established == 0:
		reason, message = v1alpha1.ReasonNoSession, n.sentence()
	case len(missing) > 0:
		reason, message = v1alpha1.ReasonFamilyNotCarried, problems(missing)
	case len(bfd.problems) > 0:
		reason, message = v1alpha1.ReasonNoBFD, "BFD does not watch the path to the router as it should: "+problems(bfd.problems)
	case spec.EnableGracefulRestart:
		message += " A node that is shut down without being drained first may keep its routes for two minutes, as if its announcer restarted."
	}
	meta.SetStatusCondition(&s.Conditions, status.ReadyCondition(reason, message, p.Generation))
	meta.SetStatusCondition(&s.Conditions, n.condition(p.Generation))
	return s
}

// bfdState is from which nodes BFD watches the path to a router.
type bfdState struct {
	// up is how many nodes have a session with the router and BFD up.
	up int32
	// problems are what nodes that have a session say is wrong with BFD.
	problems map[string][]string
}

// bfdOf finds out from which nodes BFD watches the path to a router.
func (e *evaluator) bfdOf(peer string) bfdState {
	s := bfdState{problems: map[string][]string{}}
	for _, node := range e.speakers() {
		if unreachable(e.announcers[node]) {
			continue
		}
		established, up := 0, 0
		for _, session := range e.announcers[node].Status.BGP.Peers {
			if session.Name != peer || session.State != v1alpha1.BGPEstablished {
				continue
			}
			established++
			if session.BFD == nil {
				continue
			}
			if session.BFD.State == v1alpha1.BFDUp {
				up++
			}
			if problem := session.BFD.LastError; problem != "" {
				s.problems[problem] = append(s.problems[problem], node)
			}
		}
		if established > 0 && up == established {
			s.up++
		}
	}
	return s
}
