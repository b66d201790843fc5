package announced

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/provider/internal/status"
)

// peerStatus is the status that a BGPPeer is to have.
func (e *evaluator) peerStatus(name string) v1alpha1.BGPPeerStatus {
	p := e.peers[name]
	s := v1alpha1.BGPPeerStatus{Conditions: slices.Clone(p.object.Status.Conditions)}
	refused := map[string][]string{}
	for _, node := range e.alive {
		concerned := false
		for _, session := range e.announcers[node].Status.BGP.Peers {
			if session.Name != name {
				continue
			}
			concerned = true
			if session.State == v1alpha1.BGPRefused {
				refused[session.LastError] = append(refused[session.LastError], node)
			}
		}
		if concerned {
			s.Nodes++
		}
		if e.established(node, name) {
			s.Established++
		}
	}
	bfd := e.bfdOf(name)
	if p.object.Spec.BFDProfile != "" {
		s.BFDUp = &bfd.up
	}
	reason, message := v1alpha1.ReasonValid, "The nodes that are selected speak with the router."
	if s.Established < s.Nodes {
		message = fmt.Sprintf("%d of %d nodes have a session with the router: the Announcers of the others say why.", s.Established, s.Nodes)
	}
	switch {
	case p.err != nil:
		reason, message = v1alpha1.ReasonInvalid, p.err.Error()
	case len(refused) > 0:
		reason, message = v1alpha1.ReasonRefused, problems(refused)
	case s.Nodes == 0:
		reason, message = v1alpha1.ReasonNoNodes, "No node whose announcer is in sight is to speak with the router."
	case s.Established == 0:
		reason, message = v1alpha1.ReasonNoSession, "No node has a session with the router: the Announcers of the nodes say why."
	case len(bfd.problems) > 0:
		reason, message = v1alpha1.ReasonNoBFD, "BFD does not watch the path to the router as it should: "+problems(bfd.problems)
	case p.object.Spec.EnableGracefulRestart:
		message += " A node that is shut down without being drained first may keep its routes for two minutes, as if its announcer restarted."
	}
	meta.SetStatusCondition(&s.Conditions, status.ReadyCondition(reason, message, p.object.Generation))
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
	for _, node := range e.alive {
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

// advertisementCondition is the condition that a BGPAdvertisement is to have. contradictions are
// those of all.
func (e *evaluator) advertisementCondition(name string, contradictions map[string]plan.Contradiction) metav1.Condition {
	a := e.advertisements[name]
	reason, message := v1alpha1.ReasonValid, "The BGPAdvertisement is in use."
	unknown := func(kind string, names []string, known func(string) bool) {
		for _, n := range names {
			if !known(n) {
				reason, message = v1alpha1.ReasonUnknownName, fmt.Sprintf("there is no %s %s", kind, n)
			}
		}
	}
	unknown("BGPPeer", a.object.Spec.Peers, func(n string) bool { return e.peers[n].object != nil })
	unknown("IPAddressPool", a.object.Spec.IPAddressPools, e.view.HasPool)
	if c, found := contradictions[name]; found {
		reason, message = v1alpha1.ReasonContradicts, c.Sentence()
	}
	if why := e.bgp.RefusedAdvertisements()[name]; why != "" {
		reason, message = v1alpha1.ReasonInvalid, why
	}
	if a.err != nil {
		reason, message = v1alpha1.ReasonInvalid, a.err.Error()
	}
	return status.ReadyCondition(reason, message, a.object.Generation)
}

// profileCondition is the condition that a BFDProfile is to have.
func (e *evaluator) profileCondition(name string) metav1.Condition {
	p := e.profiles[name]
	reason, message := v1alpha1.ReasonValid, "BGPPeers can use the BFDProfile."
	if p.err != nil {
		reason, message = v1alpha1.ReasonUnsupported, p.err.Error()+": the BFDProfile is not used, and sessions that name it go on without BFD"
	}
	return status.ReadyCondition(reason, message, p.object.Generation)
}
