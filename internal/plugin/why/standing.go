package why

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// Standing is how it stands with a node or a session, as all verbs and the dashboard say it.
type Standing struct {
	Mark Mark
	// Reason is one word, as in conditions: "Draining".
	Reason string
	// Sentence says what is not well; "" if all is.
	Sentence string
	// Remedy is what to do about it; "" if there is nothing to do.
	Remedy string
}

// Reasons of a Standing that nothing else has.
const (
	// ReasonNoNode : there is an Announcer of a Node that is gone.
	ReasonNoNode = "NoNode"
	// ReasonStarting : an announcer has not said anything yet.
	ReasonStarting = "Starting"
	// ReasonSuspect : a node is silent, and nobody has its addresses in its place.
	ReasonSuspect = "Suspect"
	// ReasonNotInSight : what a session was is what was said last.
	ReasonNotInSight = "NotInSight"
)

// NodeStanding is how it stands with a node: what keeps it from announcing, and else what keeps others
// from using it as well as they could. A node that never took part, or is left out on purpose, is a
// warning: nothing is lost by it.
func NodeStanding(s *snapshot.State, name string) Standing {
	announcer, part := announcerLink(s, name), partLink(s, name)
	worst := announcer
	if s.Announced.Alive(name) && (announcer.Mark == OK || part.Mark == Failed) {
		worst = part
	}
	switch {
	case worst.Mark == OK:
		return Standing{Mark: OK, Reason: string(plan.Announces)}
	case worst.Reason == string(plan.NoAnnouncer), worst.Reason == string(plan.Excluded):
		worst.Mark = Warning
	}
	return Standing{worst.Mark, worst.Reason, worst.Sentence, worst.Remedy}
}

// announcerLink says whether the announcer of a node takes part.
func announcerLink(s *snapshot.State, node string) Link {
	l := Link{Name: "announcer", Mark: OK, Sentence: "it is in sight", Items: AnnouncerOf(s, node)}
	announcer, object := s.Announcer(node), s.Node(node)
	switch {
	case announcer == nil:
		l.Mark, l.Reason = Failed, string(plan.NoAnnouncer)
		l.Sentence, l.Remedy = s.Announced.NoAnnouncer(node)
	case object == nil:
		l.Mark, l.Reason, l.Sentence = Failed, ReasonNoNode, "its Node is gone, and its Announcer is not"
	case !s.Announced.Alive(node):
		lost := absence(s, announcer, object)
		l.Mark, l.Reason, l.Sentence, l.Remedy = lost.Mark, lost.Reason, lost.Sentence, lost.Remedy
	default:
		if ready := readyOf(announcer); ready.Reason != v1alpha1.ReasonRunning && ready.Reason != v1alpha1.ReasonDraining {
			l.Mark, l.Reason, l.Sentence = Warning, ready.Reason, ready.Message
		}
	}
	return l
}

// Remarks are what is wrong with a node as its announcer says it, besides whether it takes part.
func Remarks(s *snapshot.State, node string) (items []Item) {
	for _, i := range AnnouncerOf(s, node) {
		if i.Mark == Warning && !strings.HasPrefix(i.Name, v1alpha1.ConditionReady+"=") {
			items = append(items, i)
		}
	}
	return items
}

// absence says of an announcer that is not in sight what is known of its node, and whether others have
// its addresses.
func absence(s *snapshot.State, announcer *v1alpha1.Announcer, node *corev1.Node) Standing {
	st := Standing{Mark: Failed, Remedy: fmt.Sprintf("kubectl describe node %s; kubectl -n %s get pods --output wide --field-selector spec.nodeName=%s",
		node.Name, v1alpha1.SystemNamespace, node.Name)}
	said := readyOf(announcer)
	switch kubelet := nodeReady(node); {
	case kubelet == corev1.ConditionFalse:
		st.Reason, st.Sentence = string(plan.NotReady), plan.NotAlive.Sentence()+": "+plan.NotReady.Sentence()
	case kubelet == corev1.ConditionUnknown:
		st.Reason, st.Sentence = v1alpha1.ReasonNodeUnreachable, plan.NotAlive.Sentence()+": the kubelet is silent, and no address is announced from there"
		if n := len(Carried(s, announcer)); n > 0 {
			st.Reason, st.Sentence = ReasonSuspect, fmt.Sprintf("%s: the kubelet is silent, and %d of the addresses are with it still", plan.NotAlive.Sentence(), n)
		}
	case said == nil:
		st.Mark, st.Reason, st.Sentence = Warning, ReasonStarting, "its announcer has not said anything yet"
	default:
		st.Reason, st.Sentence = said.Reason, plan.NotAlive.Sentence()+": "+cmp.Or(said.Message, said.Reason)
		trouble, remedy, known := s.Announced.PodTrouble(node.Name)
		switch {
		case known && said.Reason == v1alpha1.ReasonStopped:
			st.Sentence, st.Remedy = strings.TrimSuffix(st.Sentence, ".")+": "+trouble, remedy
		case known && said.Reason == v1alpha1.ReasonAnnouncerDown: // that is news of when it was written
			st.Sentence, st.Remedy = plan.NotAlive.Sentence()+": "+trouble, remedy
		}
	}
	return st
}

// partLink says whether the node may announce anything.
func partLink(s *snapshot.State, node string) Link {
	reason := s.Announced.NodeReason(node)
	l := Link{Name: "eligible", Mark: Failed, Reason: string(reason), Sentence: reason.Sentence(), Remedy: remedyOfNode(reason, node)}
	switch reason {
	case "":
		return Link{Name: "eligible", Mark: OK, Sentence: "the node may announce addresses"}
	case plan.Draining, plan.NotReady, plan.KubeProxyDown:
		l.Mark = Warning
		l.Sentence += ": it announces only what no other node can"
	}
	return l
}

// SessionStanding is how it stands with a session that a node tells of.
func SessionStanding(s *snapshot.State, node string, session *v1alpha1.BGPSession) Standing {
	st := Standing{Mark: OK, Reason: string(session.State)}
	switch b := session.BFD; {
	case !s.Announced.Alive(node):
		return Standing{Warning, ReasonNotInSight, plan.NotAlive.Sentence(), remedyOfNode(plan.NotAlive, node)}
	case session.State != v1alpha1.BGPEstablished:
		st.Mark, st.Sentence, st.Remedy = Failed, said(session.LastError), remedyOfSession(session, session.Name)
		if s.Announced.NodeReason(node) == plan.Draining {
			st.Mark, st.Reason, st.Remedy = Warning, string(plan.Draining), remedyOfNode(plan.Draining, node)
			st.Sentence = cmp.Or(session.LastError, plan.Draining.Sentence())
		}
	case b != nil && b.State != v1alpha1.BFDUp:
		st.Mark, st.Sentence = Warning, "BFD is "+string(b.State)
		if b.LastError != "" {
			st.Sentence += ": " + b.LastError
		}
		st.Remedy = remedyOfSession(session, session.Name)
	default:
		for _, f := range session.Families {
			if f.LastError != "" && st.Mark == OK {
				st.Mark, st.Sentence, st.Remedy = Warning, string(f.Family)+": "+f.LastError, remedyOfSession(session, session.Name)
			}
		}
	}
	return st
}

// Carried are the addresses on layer 2 that a node has: those of which its claim is the one that holds.
func Carried(s *snapshot.State, announcer *v1alpha1.Announcer) (claims []v1alpha1.Layer2Address) {
	for _, claim := range announcer.Status.Layer2.Addresses {
		if ip, err := netip.ParseAddr(claim.IP); err == nil && s.Announced.Claimant(ip) == announcer.Name {
			claims = append(claims, claim)
		}
	}
	slices.SortFunc(claims, func(a, b v1alpha1.Layer2Address) int {
		return netip.MustParseAddr(a.IP).Compare(netip.MustParseAddr(b.IP))
	})
	return claims
}

// readyOf is the condition Ready of an announcer; nil if it has not said anything yet.
func readyOf(announcer *v1alpha1.Announcer) *metav1.Condition {
	return meta.FindStatusCondition(announcer.Status.Conditions, v1alpha1.ConditionReady)
}

// nodeReady is the status of a Node's condition Ready. A Node without one is taken for ready, as announcers take it.
func nodeReady(node *corev1.Node) corev1.ConditionStatus {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return corev1.ConditionTrue
}
