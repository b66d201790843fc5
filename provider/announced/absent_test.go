package announced

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// saysNotReady has an announcer say that it takes no part.
func saysNotReady(reason, message string) func(*v1alpha1.AnnouncerStatus) {
	return func(status *v1alpha1.AnnouncerStatus) {
		ready := &status.Conditions[0]
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, reason, message
	}
}

func TestAServiceSaysWhyAnnouncersTakeNoPart(t *testing.T) {
	s := stage(t)
	s.announcer("n1", saysNotReady(v1alpha1.ReasonIsolated, "The node reaches nobody."))
	s.announcer("n2", saysNotReady(v1alpha1.ReasonGossipKeyInvalid, "The key has 5 bytes."))
	s.expect("False NoNode: 192.0.2.5 is not announced: no node can: n2 (its announcer says GossipKeyInvalid: The key has 5 bytes; delete the Secret, and another one is made), " +
		"n1 (its announcer says Isolated: The node reaches nobody; see the network of the node)")
	s.announcer("n1", saysNotReady(v1alpha1.ReasonGossipKeyInvalid, "The key has 5 bytes."))
	s.expect("False NoNode: 192.0.2.5 is not announced: no node can: n1 and n2 (its announcer says GossipKeyInvalid: The key has 5 bytes; " +
		"delete the Secret, and another one is made)")
	s.node("n1", corev1.ConditionUnknown)
	s.node("n2", corev1.ConditionFalse)
	s.expect("False NoNode: 192.0.2.5 is not announced: no node can: n1 and n2 (the Node is not ready; see its kubelet)")
}

// withKubeProxy adds what an announcer says of kube-proxy.
func withKubeProxy(status metav1.ConditionStatus, reason string, change func(*v1alpha1.AnnouncerStatus)) func(*v1alpha1.AnnouncerStatus) {
	return func(s *v1alpha1.AnnouncerStatus) {
		change(s)
		s.Conditions = append(s.Conditions, metav1.Condition{Type: v1alpha1.ConditionKubeProxy, Status: status, Reason: reason})
	}
}

func TestAServiceSaysThatWhoAnnouncesItCannotServeIt(t *testing.T) {
	const down = ", but kube-proxy does not serve on n1; see kube-proxy there"
	held := claims(map[string]int64{"192.0.2.5": 1}, "eth0")
	s := stage(t)
	s.announcer("n1", withKubeProxy(metav1.ConditionFalse, v1alpha1.ReasonNotServing, held))
	s.expect("True Announced: " + onN1 + down)
	s.announcer("n1", withKubeProxy(metav1.ConditionTrue, v1alpha1.ReasonServing, held))
	s.expect("True Announced: " + onN1)
	s.announcer("n1", withKubeProxy(metav1.ConditionUnknown, v1alpha1.ReasonNoAnswer, held)) // something else takes its place
	s.expect("unchanged")
}

func TestOfSeveralNodesOneThatServesIsEnough(t *testing.T) {
	s := routed(t)
	s.bgpPeer("tor", nil)
	s.announcer("n1", withKubeProxy(metav1.ConditionFalse, v1alpha1.ReasonNotServing, up("tor")))
	s.announcer("n2", withKubeProxy(metav1.ConditionTrue, v1alpha1.ReasonServing, up("tor")))
	s.expect("True Announced: 192.0.2.5 is announced by BGP from 1 node to 1 peer")
	s.announcer("n2", withKubeProxy(metav1.ConditionFalse, v1alpha1.ReasonNotServing, up("tor")))
	s.expect("True Announced: 192.0.2.5 is announced by BGP from 2 nodes to 1 peer, but kube-proxy does not serve on n1 and n2; see kube-proxy there")
}

func TestAServiceIsToldThatWhoAnnouncesItCannotServeItAndWhenThatIsOver(t *testing.T) {
	held := claims(one, "eth0")
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.set("n1", held)
		w.elect()
		w.told()
		w.set("n1", withKubeProxy(metav1.ConditionFalse, v1alpha1.ReasonNotServing, held))
		w.after(time.Minute)
		if got := w.told(); len(got) != 1 || got[0] != "Warning NotServing "+onN1+", but kube-proxy does not serve on n1; see kube-proxy there" {
			t.Errorf("told %q", got)
		}
		w.set("n1", held)
		w.after(time.Minute)
		if got := w.told(); len(got) != 1 || got[0] != "Normal AddressAnnounced "+onN1 {
			t.Errorf("told %q", got)
		}
	})
}
