package announced

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/fakeapi"
)

// nodeIs has Kubernetes say whether a Node is ready from now on.
func (w *world) nodeIs(name string, ready corev1.ConditionStatus) {
	w.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
		{Type: corev1.NodeReady, Status: ready, LastTransitionTime: metav1.Now()},
	}}}
	if _, err := w.kube.CoreV1().Nodes().UpdateStatus(w.ctx, node, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
	w.after(2 * time.Second)
}

// announcer reads an Announcer.
func (w *world) announcer(name string) *v1alpha1.Announcer {
	w.Helper()
	announcer, err := w.clarion.ClarionV1alpha1().Announcers().Get(w.ctx, name, metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return announcer
}

// summarized is an announcer that announces an address and says how many.
func summarized(status *v1alpha1.AnnouncerStatus) {
	claims(one, "eth0")(status)
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{Type: v1alpha1.ConditionGossip, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonConnected})
	status.Summary = &v1alpha1.AnnouncerSummary{Addresses: 1}
}

func TestTheAnnouncerOfANodeThatIsUnreachableSaysSo(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.set("n1", summarized)
		w.elect()
		w.nodeIs("n1", corev1.ConditionUnknown)
		got := w.announcer("n1")
		if len(got.Status.Conditions) != 2 {
			t.Fatalf("conditions %v", got.Status.Conditions)
		}
		for _, c := range got.Status.Conditions {
			if c.Status != metav1.ConditionUnknown || c.Reason != v1alpha1.ReasonNodeUnreachable {
				t.Errorf("%s is %s %s", c.Type, c.Status, c.Reason)
			}
		}
		if got.Status.Summary != nil || len(got.Status.Layer2.Addresses) != 1 {
			t.Errorf("summary %v, claims %v", got.Status.Summary, got.Status.Layer2.Addresses)
		}
		w.after(time.Hour)
		if n := fakeapi.Count(&w.clarion.Fake, "patch", "announcers"); n != 1 {
			t.Errorf("it was written to %d times", n)
		}
	})
}

func TestAnAnnouncerThatRunsOnANodeWithoutAKubeletIsBelieved(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.elect()
		for round := 1; round < 3; round++ {
			w.nodeIs("n1", corev1.ConditionUnknown)
			w.set("n1", summarized)
			w.after(time.Minute)
			if got := w.announcer("n1").Status; got.Summary == nil || !meta.IsStatusConditionTrue(got.Conditions, v1alpha1.ConditionReady) {
				t.Errorf("round %d: it is not believed", round)
			}
			if n := fakeapi.Count(&w.clarion.Fake, "patch", "announcers"); n != round {
				t.Errorf("round %d: it was written to %d times", round, n)
			}
			w.nodeIs("n1", corev1.ConditionTrue)
		}
	})
}

func TestOnlyAnnouncersOfWhichNothingIsHeardAreMarked(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.set("n1", func(status *v1alpha1.AnnouncerStatus) {
			summarized(status)
			status.Conditions[0].Status, status.Conditions[0].Reason = metav1.ConditionFalse, v1alpha1.ReasonStopped
		})
		w.elect()
		w.nodeIs("n1", corev1.ConditionUnknown) // it has said that it stops
		w.nodeIs("n2", corev1.ConditionFalse)   // its kubelet says so
		w.after(time.Minute)
		if n := fakeapi.Count(&w.clarion.Fake, "patch", "announcers"); n != 0 {
			t.Errorf("%d were written to", n)
		}
	})
}

// announcerPod is the Pod of a node's announcer, whose container is in this state.
func announcerPod(node string, ready bool, since time.Time, state corev1.ContainerState) *corev1.Pod {
	said := corev1.ConditionFalse
	if ready {
		said = corev1.ConditionTrue
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: v1alpha1.SystemNamespace, Name: "announcer-" + node, Labels: map[string]string{"app.kubernetes.io/name": "announcer"},
		},
		Spec: corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{
			Conditions:        []corev1.PodCondition{{Type: corev1.ContainersReady, Status: said, LastTransitionTime: metav1.NewTime(since)}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "announcer", Ready: ready, State: state}},
		},
	}
}

var (
	runs    = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	killed  = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}}
	crashes = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
)

// pod has the kubelet of a node say how its announcer's container does from now on.
func (w *world) pod(node string, ready bool, state corev1.ContainerState) {
	w.Helper()
	pod := announcerPod(node, ready, time.Now(), state)
	if _, err := w.kube.CoreV1().Pods(pod.Namespace).UpdateStatus(w.ctx, pod, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
}

// expectReady checks what the condition Ready of an Announcer is, and how often all Announcers were written to in another's place.
func (w *world) expectReady(when, node string, status metav1.ConditionStatus, reason string, writes int) {
	w.Helper()
	c := meta.FindStatusCondition(w.announcer(node).Status.Conditions, v1alpha1.ConditionReady)
	if c.Status != status || c.Reason != reason {
		w.Errorf("%s: Ready is %s %s, want %s %s", when, c.Status, c.Reason, status, reason)
	}
	if n := fakeapi.Count(&w.clarion.Fake, "patch", "announcers"); n != writes {
		w.Errorf("%s: it was written to %d times, want %d", when, n, writes)
	}
}

func TestAnAnnouncerThatDoesNotRunIsSaidToBeDownUntilItIsBack(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.set("n1", summarized)
		w.elect()
		w.pod("n1", false, killed)
		w.after(restartPause - time.Second)
		w.expectReady("a moment later", "n1", metav1.ConditionTrue, v1alpha1.ReasonRunning, 0)
		w.after(2 * time.Second)
		w.expectReady("after the pause", "n1", metav1.ConditionFalse, v1alpha1.ReasonAnnouncerDown, 1)
		got := w.announcer("n1").Status
		gossip := meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionGossip)
		if gossip.Status != metav1.ConditionUnknown || gossip.Reason != v1alpha1.ReasonAnnouncerDown || got.Summary != nil || len(got.Layer2.Addresses) != 1 {
			t.Errorf("gossip %v, summary %v, claims %v", gossip, got.Summary, got.Layer2.Addresses)
		}
		if !strings.Contains(gossip.Message, "Pod announcer-n1 is not ready (the last one ended with OOMKilled, exit code 137)") {
			t.Errorf("it says %q", gossip.Message)
		}
		if got := w.says(); got != "True Announced: "+onN1 {
			t.Errorf("while n2 answers in its place, the Service says %q", got)
		}
		w.pod("n1", false, crashes) // all the while the same absence, since the kubelet keeps the time of the condition
		w.set("n1", summarized)
		w.pod("n1", true, runs)
		w.after(time.Hour)
		w.expectReady("back", "n1", metav1.ConditionTrue, v1alpha1.ReasonRunning, 1)
	})
}

func TestNoAnnouncerIsSaidToBeDownForARestart(t *testing.T) {
	stop := func(status *v1alpha1.AnnouncerStatus) {
		status.Conditions[0].Status, status.Conditions[0].Reason = metav1.ConditionFalse, v1alpha1.ReasonStopped
	}
	for name, restart := range map[string]func(*world){
		"one that was killed": func(w *world) {
			w.pod("n1", false, killed)
			w.after(restartPause - time.Second)
			w.pod("n1", true, runs)
		},
		"an upgrade that pulls its image for long": func(w *world) {
			w.set("n1", stop)
			w.pod("n1", false, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}})
			w.after(plan.RestartGrace - time.Second)
			w.set("n1", nil)
			w.after(restartPause - time.Second) // its kubelet has not noticed yet
			w.pod("n1", true, runs)
		},
		"one that says itself what is wrong": func(w *world) {
			w.set("n1", func(status *v1alpha1.AnnouncerStatus) {
				status.Conditions[0].Status, status.Conditions[0].Reason = metav1.ConditionFalse, v1alpha1.ReasonGossipKeyInvalid
			})
			w.pod("n1", false, runs)
			w.after(time.Hour)
			w.set("n1", nil)
			w.pod("n1", true, runs)
		},
		"a node whose kubelet says that it is not ready": func(w *world) {
			w.nodeIs("n1", corev1.ConditionFalse)
			w.pod("n1", false, runs)
			w.after(time.Hour)
		},
		"a Pod of the announcer that was there before": func(w *world) {
			old := announcerPod("n1", false, time.Now(), killed)
			old.Name = "announcer-evicted"
			if _, err := w.kube.CoreV1().Pods(old.Namespace).Create(w.ctx, old, metav1.CreateOptions{}); err != nil {
				w.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			theirs, ours := served(nil)
			withController(t, theirs, append(ours, layer2), func(w *world) {
				w.elect()
				restart(w)
				w.after(time.Hour)
				w.expectReady("in the end", "n1", metav1.ConditionTrue, v1alpha1.ReasonRunning, 0)
			})
		})
	}
}

func TestAnAnnouncerThatWasStoppedSaysWhatKeepsItFromRunningAgain(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.elect()
		stop := func(status *v1alpha1.AnnouncerStatus) {
			status.Conditions[0].Status, status.Conditions[0].Reason = metav1.ConditionFalse, v1alpha1.ReasonStopped
		}
		w.set("n1", stop)
		w.pod("n1", false, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}})
		w.after(plan.RestartGrace - time.Second)
		w.expectReady("as long as an upgrade may take", "n1", metav1.ConditionFalse, v1alpha1.ReasonStopped, 0)
		w.after(2 * time.Second)
		w.expectReady("afterwards", "n1", metav1.ConditionFalse, v1alpha1.ReasonAnnouncerDown, 1)
		c := meta.FindStatusCondition(w.announcer("n1").Status.Conditions, v1alpha1.ConditionReady)
		if !strings.HasPrefix(c.Message, "The announcer was stopped, and does not run again: Pod announcer-n1 is not ready (ImagePullBackOff).") {
			t.Errorf("it says %q", c.Message)
		}
		w.after(time.Hour)
		w.expectReady("an hour later", "n1", metav1.ConditionFalse, v1alpha1.ReasonAnnouncerDown, 1)

		w.set("n2", stop) // a node that is to have no announcer any more
		if err := w.kube.CoreV1().Pods(v1alpha1.SystemNamespace).Delete(w.ctx, "announcer-n2", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.after(time.Hour)
		w.expectReady("without a Pod", "n2", metav1.ConditionFalse, v1alpha1.ReasonStopped, 1)
	})
}

func TestAnAnnouncerThatRunsAlthoughItsPodIsNotReadyIsBelieved(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.elect()
		for crash := 1; crash < 3; crash++ {
			w.pod("n1", false, runs)
			w.after(restartPause + time.Second)
			w.expectReady("down", "n1", metav1.ConditionFalse, v1alpha1.ReasonAnnouncerDown, crash)
			w.set("n1", nil)
			w.after(time.Hour)
			w.expectReady("believed", "n1", metav1.ConditionTrue, v1alpha1.ReasonRunning, crash)
			w.pod("n1", true, runs)
			w.after(time.Second)
		}
	})
}

func TestANodeWithoutAPodOfTheAnnouncerSaysSo(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.elect()
		if err := w.kube.CoreV1().Pods(v1alpha1.SystemNamespace).Delete(w.ctx, "announcer-n1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.after(time.Minute)
		w.expectReady("without a Pod", "n1", metav1.ConditionFalse, v1alpha1.ReasonAnnouncerDown, 1)
		w.expectReady("beside it", "n2", metav1.ConditionTrue, v1alpha1.ReasonRunning, 1)
		// From one who is down to one whose node is, and back: each is said.
		w.nodeIs("n1", corev1.ConditionUnknown)
		w.expectReady("unreachable", "n1", metav1.ConditionUnknown, v1alpha1.ReasonNodeUnreachable, 2)
		w.nodeIs("n1", corev1.ConditionTrue)
		w.after(time.Minute)
		w.expectReady("reachable", "n1", metav1.ConditionFalse, v1alpha1.ReasonAnnouncerDown, 3)
	})
}

func TestWhoMayNotSeePodsDoesEverythingElse(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		fakeapi.Fail(&w.kube.Fake, "list", "pods", apierrors.NewForbidden(corev1.Resource("pods"), "", nil))
		fakeapi.Fail(&w.kube.Fake, "watch", "pods", apierrors.NewForbidden(corev1.Resource("pods"), "", nil))
		w.set("n1", summarized)
		w.elect()
		w.after(time.Hour)
		w.expectReady("unseen", "n1", metav1.ConditionTrue, v1alpha1.ReasonRunning, 0)
		if got := w.says(); got != "True Announced: "+onN1 {
			t.Errorf("the Service says %q", got)
		}
	})
}

func TestAnAnnouncerThatIsDownAnnouncesNothingByBGP(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, byBGP()...), func(w *world) {
		w.set("n1", up("tor"))
		w.elect()
		if got := w.says(); got != "True Announced: 192.0.2.5 is announced by BGP from 1 node to 1 peer" {
			t.Fatal(got)
		}
		w.pod("n1", false, crashes)
		w.after(restartPause + calm + time.Second)
		if got := w.says(); !strings.HasPrefix(got, "False Pending: 192.0.2.5 is not announced: the announcer is down on n1") {
			t.Error(got)
		}
		w.after(time.Hour)
		if got := w.says(); !strings.HasPrefix(got, "False NoSession: ") || !strings.Contains(got, "n1: the announcer of this node is not in sight: its Pod is not ready (CrashLoopBackOff); see its Pod: ") {
			t.Error(got)
		}
	})
}

func TestABGPPeerMissesTheSessionsOfNodesThatAreUnreachable(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, byBGP()...), func(w *world) {
		w.set("n1", up("tor"))
		w.set("n2", up("tor"))
		w.elect()
		expect := func(when, sessions, reason, message string) {
			t.Helper()
			peer, err := w.clarion.ClarionV1alpha1().BGPPeers().Get(w.ctx, "tor", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			c := meta.FindStatusCondition(peer.Status.Conditions, v1alpha1.ConditionEstablished)
			if peer.Status.Sessions != sessions || c.Reason != reason || c.Message != message {
				t.Errorf("%s: %s, %s: %s", when, peer.Status.Sessions, c.Reason, c.Message)
			}
		}
		all := "2 of 2 nodes have a session with the router."
		expect("at first", "2/2", v1alpha1.ReasonAllNodes, all)
		w.nodeIs("n2", corev1.ConditionUnknown)
		w.after(time.Hour)
		expect("without n2", "1/2", v1alpha1.ReasonSomeNodes, "1 of 2 nodes have a session with the router. Without one are n2: the node is unreachable.")
		w.nodeIs("n1", corev1.ConditionUnknown)
		expect("without any", "0/2", v1alpha1.ReasonNoSession, "0 of 2 nodes have a session with the router. Without one are n1 and n2: the node is unreachable.")
		w.nodeIs("n1", corev1.ConditionTrue)
		w.nodeIs("n2", corev1.ConditionTrue)
		w.set("n1", up("tor"))
		w.set("n2", up("tor"))
		w.after(2 * time.Second)
		expect("again", "2/2", v1alpha1.ReasonAllNodes, all)
		w.nodeIs("n2", corev1.ConditionUnknown)
		if err := w.kube.CoreV1().Nodes().Delete(w.ctx, "n2", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.after(2 * time.Second)
		expect("deleted", "1/1", v1alpha1.ReasonAllNodes, "1 of 1 nodes have a session with the router.")
	})
}

func TestAServiceWithoutASessionSaysWhatKeepsItFromHavingOne(t *testing.T) {
	s := routed(t)
	s.bgpPeer("tor", nil)
	const none = "False NoSession: 192.0.2.5 is not announced: none of 2 nodes that could announce it by BGP has a session "
	down := func(problem string) func(*v1alpha1.AnnouncerStatus) {
		return sessions(map[string]v1alpha1.BGPState{"tor": v1alpha1.BGPConnecting}, problem)
	}
	s.announcer("n1", down("connection refused"))
	s.announcer("n2", down("the router has another AS"))
	s.expect(none + "(tor: connection refused; tor: the router has another AS)")
	s.announcer("n2", down("")) // about which there is nothing to say
	s.expect(none + "(tor: connection refused)")
	s.node("n1", corev1.ConditionUnknown)
	s.expect(none + "(n1: the Node is not ready; see its kubelet; tor: there is no session yet)")
}

func TestWhatAnAnnouncerThatWasStoppedHadByBGPIsGone(t *testing.T) {
	s := routed(t)
	stop := func(status *v1alpha1.AnnouncerStatus) {
		up("tor")(status)
		status.Conditions[0].Status, status.Conditions[0].Reason = metav1.ConditionFalse, v1alpha1.ReasonStopped
		status.Conditions[0].LastTransitionTime = metav1.NewTime(s.now)
	}
	peer := func(want string) {
		t.Helper()
		s.evaluate(s.now)
		if got := meta.FindStatusCondition(s.peerStatus("tor").Conditions, v1alpha1.ConditionEstablished).Message; got != want {
			t.Errorf("BGPPeer: %s, want %s", got, want)
		}
	}
	s.bgpPeer("tor", nil)
	s.announcer("n1", up("tor"))
	s.announcer("n2", up("tor"))
	s.expect("True Announced: 192.0.2.5 is announced by BGP from 2 nodes to 1 peer")
	s.announcer("n1", stop)
	s.expect("True Announced: 192.0.2.5 is announced by BGP from 1 node to 1 peer")
	peer("1 of 2 nodes have a session with the router. Without one are n1: the announcer was stopped.")
	s.announcer("n2", stop)
	s.expect("False Pending: 192.0.2.5 is not announced: the announcer was stopped on n1 and n2")
	peer("0 of 2 nodes have a session with the router. Without one are n1 and n2: the announcer was stopped.")
	s.bgpPeer("tor", func(spec *v1alpha1.BGPPeerSpec) { spec.EnableGracefulRestart = true })
	s.expect("True Announced: 192.0.2.5 is announced by BGP from 2 nodes to 1 peer")
	peer("2 of 2 nodes have a session with the router.")
}
