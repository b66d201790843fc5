package announced

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// seePod is what helps against a Pod of an announcer that is not ready.
const seePod = "see its Pod: kubectl --namespace " + v1alpha1.SystemNamespace + " describe pods --selector app.kubernetes.io/name=announcer"

// remediesOfAnnouncers are what helps against the reasons for which an announcer takes no part.
var remediesOfAnnouncers = map[string]string{
	v1alpha1.ReasonStopped:          plan.NoAnnouncer.Remedy(),
	v1alpha1.ReasonAnnouncerDown:    seePod,
	v1alpha1.ReasonGossipKeyInvalid: "delete the Secret, and another one is made",
	v1alpha1.ReasonIsolated:         "see the network of the node",
	v1alpha1.ReasonNotPermitted:     "give its container the capabilities of manifests/announcer/daemonset.yaml",
	v1alpha1.ReasonNoInterface:      "bring one up, or name one in spec.interfaces of an L2Advertisement",
}

// whyNotAlive is why the announcer of a node does not count, with what helps: the Node says so, or the
// Announcer itself, or nobody knows more.
func (e *evaluator) whyNotAlive(node string) string {
	if !e.view.NodeReady(node) {
		return withRemedy(plan.NotReady.Sentence(), plan.NotReady.Remedy())
	}
	if e.announcers[node] == nil {
		return withRemedy(e.whyNoAnnouncer(node))
	}
	if trouble, remedy, known := e.podTrouble(node); known && down(e.announcers[node]) {
		return withRemedy(plan.NotAlive.Sentence()+": "+trouble, remedy)
	}
	if why := whyNotReady(e.announcers[node]); why != "" {
		return why
	}
	return withRemedy(plan.NotAlive.Sentence(), plan.NotAlive.Remedy())
}

// whyNoAnnouncer is what is known of a node on which no announcer has run, with what helps.
func (e *evaluator) whyNoAnnouncer(node string) (cause, remedy string) {
	if trouble, remedy, known := e.podTrouble(node); known {
		return plan.NoAnnouncer.Sentence() + ": " + trouble, remedy
	}
	return plan.NoAnnouncer.Sentence(), plan.NoAnnouncer.Remedy()
}

// podTrouble is what has become of the Pod of a node's announcer, with what helps; false if its Pod is ready, or nobody knows. It names
// no Pod, as all nodes may say the same.
func (e *evaluator) podTrouble(node string) (trouble, remedy string, known bool) {
	if !e.podsKnown {
		return "", "", false
	}
	switch pod, down := e.podDown(node); {
	case !down:
		return "", "", false
	case pod == nil:
		return noPod, "see its events: kubectl --namespace " + v1alpha1.SystemNamespace + " describe daemonset announcer", true
	default:
		return "its Pod is not ready" + parenthesized(troublesOf(pod, true)), seePod, true
	}
}

// podTroubles are those of all nodes on which no announcer has run, or the one that ran is down and not alive any more.
func (e *evaluator) podTroubles() map[string]string {
	troubles := map[string]string{}
	for node := range e.nodes {
		if announcer := e.announcers[node]; announcer == nil || down(announcer) && !e.isAlive(node) {
			troubles[node], _, _ = e.podTrouble(node)
		}
	}
	return troubles
}

// whyNotReady is what an Announcer says that takes no part, with what helps; "" if it takes part, or says
// nothing.
func whyNotReady(announcer *v1alpha1.Announcer) string {
	if announcer == nil {
		return ""
	}
	ready := meta.FindStatusCondition(announcer.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status == metav1.ConditionTrue {
		return ""
	}
	if ready.Reason == v1alpha1.ReasonAnnouncerDown { // it is said in its place
		return withRemedy(plan.NotAlive.Sentence(), remediesOfAnnouncers[ready.Reason])
	}
	return withRemedy("its announcer says "+ready.Reason+": "+strings.TrimSuffix(ready.Message, "."), remediesOfAnnouncers[ready.Reason])
}

// kubeProxyDown says whether the kube-proxy of a node has stopped to serve, as its Announcer says.
func (e *evaluator) kubeProxyDown(node string) bool { return saysKubeProxyDown(e.announcers[node]) }

func saysKubeProxyDown(announcer *v1alpha1.Announcer) bool {
	return announcer != nil && meta.IsStatusConditionFalse(announcer.Status.Conditions, v1alpha1.ConditionKubeProxy)
}

// unserved is a half sentence about an address that is announced by nodes alone whose kube-proxy does not
// serve; "" if one does.
func (e *evaluator) unserved(s *statement, bgp plan.BGPExplanation) string {
	var nodes []string
	if s.onLayer2() {
		nodes = append(nodes, s.layer2.node)
	}
	if s.byBGP() {
		for _, v := range bgp.Verdicts {
			if (v.Reason == plan.Announces || v.Reason == plan.Draining) && e.isAlive(v.Node) && v.Node != s.layer2.node {
				nodes = append(nodes, v.Node)
			}
		}
	}
	for _, node := range nodes {
		if !e.kubeProxyDown(node) {
			return ""
		}
	}
	if len(nodes) == 0 {
		return ""
	}
	return withRemedy("kube-proxy does not serve on "+fewOf(nodes), plan.KubeProxyDown.Remedy())
}
