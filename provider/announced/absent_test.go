package announced

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

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

// unscheduled is the Pod of a node's announcer for which there is no room.
func unscheduled(node string) *corev1.Pod {
	pod := announcerPod(node, false, epoch, corev1.ContainerState{})
	pod.Spec.NodeName = ""
	pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
			{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}},
		}}},
	}}}
	pod.Status = corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}}
	return pod
}

func TestAServiceSaysWhatBecameOfTheAnnouncersOfNodesOnWhichNoneHasRun(t *testing.T) {
	const none = "no announcer has run on this node"
	const seePod = "; see its Pod: kubectl --namespace clarion-system describe pods --selector app.kubernetes.io/name=announcer"
	s := stage(t)
	s.setAnnouncer("n1", nil)
	s.setAnnouncer("n2", nil)
	pod := func(object *corev1.Pod) {
		stripped, err := stripPod(object)
		if err != nil {
			t.Fatal(err)
		}
		s.setPod(types.NamespacedName{Namespace: object.Namespace, Name: object.Name}, stripped.(*corev1.Pod))
	}
	both := func(state, last corev1.ContainerState) {
		for _, node := range []string{"n1", "n2"} {
			object := announcerPod(node, false, epoch, state)
			object.Status.ContainerStatuses[0].LastTerminationState = last
			pod(object)
		}
	}
	on := func(why string) string { return "False NoNode: 192.0.2.5 is not announced: no node can: " + why }
	waits := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	never := corev1.ContainerState{}
	s.expect(on("n1 and n2 (" + none + "; see that a pod of the DaemonSet clarion-system/announcer runs there)")) // their Pods are not known yet

	s.podsKnown = true
	s.expect(on("n1 and n2 (" + none + ": there is no Pod of the DaemonSet clarion-system/announcer; see its events: kubectl --namespace clarion-system describe daemonset announcer)"))
	pod(unscheduled("n1"))
	pod(unscheduled("n2"))
	s.expect(on("n1 and n2 (" + none + ": its Pod is not ready (Unschedulable)" + seePod + ")"))
	both(waits("ContainerCreating"), never)
	s.expect(on("n1 and n2 (" + none + ": its Pod is not ready (ContainerCreating)" + seePod + ")"))
	both(waits("ErrImagePull"), never)
	s.expect(on("n1 and n2 (" + none + ": its Pod is not ready (ImagePullBackOff)" + seePod + ")"))
	both(waits("ImagePullBackOff"), never)
	s.expect("unchanged") // as it goes to and fro

	// Of a container that is started again and again, only what stays so is said.
	both(killed, never)
	s.expect(on("n1 and n2 (" + none + ": its Pod is not ready (its container ended with OOMKilled, exit code 137)" + seePod + ")"))
	both(crashes, killed)
	s.expect("unchanged")
	both(runs, killed)
	s.expect("unchanged")

	pod(announcerPod("n1", true, epoch, runs))
	s.expect(on("n2 (" + none + ": its Pod is not ready (its container ended with OOMKilled, exit code 137)" + seePod + "), " +
		"n1 (" + none + "; see that a pod of the DaemonSet clarion-system/announcer runs there)"))
	s.node("n2", corev1.ConditionUnknown)
	s.expect(on("n1 (" + none + "; see that a pod of the DaemonSet clarion-system/announcer runs there), n2 (the Node is not ready; see its kubelet)"))
	s.announcer("n1", nil)
	s.expect("False Pending: 192.0.2.5 is about to be announced")
}

func TestAServiceSaysWhatBecameOfTheAnnouncersThatDoNotRunAnyMore(t *testing.T) {
	const lost = "the announcer of this node is not in sight: "
	for name, says := range map[string]func(*v1alpha1.AnnouncerStatus){
		"stopped for an upgrade": saysNotReady(v1alpha1.ReasonStopped, "The announcer was stopped."),
		"marked as down":         saysNotReady(v1alpha1.ReasonAnnouncerDown, "The announcer does not run: Pod announcer-n1 is not ready."),
	} {
		t.Run(name, func(t *testing.T) {
			s := stage(t)
			s.podsKnown = true
			for _, node := range []string{"n1", "n2"} {
				s.announcer(node, says)
			}
			s.now = s.now.Add(time.Hour)
			s.expect("False NoNode: 192.0.2.5 is not announced: no node can: n1 and n2 (" + lost + "there is no Pod of the DaemonSet clarion-system/announcer; " +
				"see its events: kubectl --namespace clarion-system describe daemonset announcer)")
			for _, node := range []string{"n1", "n2"} {
				pod := announcerPod(node, false, epoch, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}})
				s.setPod(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, pod)
			}
			s.expect("False NoNode: 192.0.2.5 is not announced: no node can: n1 and n2 (" + lost + "its Pod is not ready (ImagePullBackOff); " + seePod + ")")
		})
	}
}

func TestPodsOfAnnouncersThatRunConcernNoService(t *testing.T) {
	s := stage(t)
	s.podsKnown = true
	s.expect("False Pending: 192.0.2.5 is about to be announced")
	pod := announcerPod("n1", false, epoch, crashes)
	s.setPod(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, pod)
	s.expect("unchanged")
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
