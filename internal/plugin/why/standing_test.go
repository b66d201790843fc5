package why

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

func aNode(status corev1.ConditionStatus) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}}}
}

func anAnnouncer(reason string, status metav1.ConditionStatus, carries ...string) *v1alpha1.Announcer {
	a := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	a.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: "says the announcer",
		LastTransitionTime: metav1.NewTime(time.Now().Add(-time.Hour))}}
	for _, ip := range carries {
		a.Status.Layer2.Addresses = append(a.Status.Layer2.Addresses, v1alpha1.Layer2Address{IP: ip, Interfaces: []string{"eth0"}, Epoch: 1})
	}
	return a
}

// withoutImage is the Pod of the announcer of n1, of which the image cannot be pulled.
func withoutImage() *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "announcer-n1", Labels: map[string]string{"app.kubernetes.io/name": "announcer"}}}
	pod.Spec.NodeName = "n1"
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}}}
	return pod
}

func stateOf(objects ...runtime.Object) *snapshot.State {
	taken := snapshot.Of(objects...)
	taken.Time = time.Now()
	return taken.State()
}

func TestHowANodeStands(t *testing.T) {
	drained, excluded := aNode(corev1.ConditionTrue), aNode(corev1.ConditionTrue)
	drained.Annotations = map[string]string{v1alpha1.AnnotationDrain: "true"}
	excluded.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""}
	running := anAnnouncer(v1alpha1.ReasonRunning, metav1.ConditionTrue)
	for _, test := range []struct {
		name    string
		objects []runtime.Object
		mark    Mark
		reason  string
		says    string
	}{
		{"it announces", []runtime.Object{aNode(corev1.ConditionTrue), running}, OK, "Announces", ""},
		{"it is drained", []runtime.Object{drained, anAnnouncer(v1alpha1.ReasonDraining, metav1.ConditionTrue)}, Warning, "Draining", "only what no other node can"},
		{"it is left out", []runtime.Object{excluded, running}, Warning, "Excluded", "labelled"},
		{"it has no interface", []runtime.Object{aNode(corev1.ConditionTrue), anAnnouncer(v1alpha1.ReasonNoInterface, metav1.ConditionTrue)}, Warning, "NoInterface", "says the announcer"},
		{"its announcer was stopped", []runtime.Object{aNode(corev1.ConditionTrue), anAnnouncer(v1alpha1.ReasonStopped, metav1.ConditionFalse)}, Failed, "Stopped", "says the announcer"},
		{"its announcer was stopped, and has no image", []runtime.Object{aNode(corev1.ConditionTrue), anAnnouncer(v1alpha1.ReasonStopped, metav1.ConditionFalse), withoutImage()},
			Failed, "Stopped", "says the announcer: its Pod is not ready (ImagePullBackOff)"},
		{"it is said that it is down", []runtime.Object{aNode(corev1.ConditionTrue), anAnnouncer(v1alpha1.ReasonAnnouncerDown, metav1.ConditionFalse), withoutImage()},
			Failed, "AnnouncerDown", "not in sight: its Pod is not ready (ImagePullBackOff)"},
		{"it is isolated", []runtime.Object{aNode(corev1.ConditionTrue), anAnnouncer(v1alpha1.ReasonIsolated, metav1.ConditionFalse)}, Failed, "Isolated", "says the announcer"},
		{"its announcer starts", []runtime.Object{aNode(corev1.ConditionTrue), &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}}, Warning, ReasonStarting, "not said anything yet"},
		{"no announcer ran", []runtime.Object{aNode(corev1.ConditionTrue)}, Warning, "NoAnnouncer", "no announcer has run"},
		{"it is silent", []runtime.Object{aNode(corev1.ConditionUnknown), running}, Failed, "NodeUnreachable", "no address is announced from there"},
		{"it is silent and has addresses", []runtime.Object{aNode(corev1.ConditionUnknown), anAnnouncer(v1alpha1.ReasonRunning, metav1.ConditionTrue, "192.0.2.1")}, Failed, ReasonSuspect, "1 of the addresses"},
		{"it is not ready", []runtime.Object{aNode(corev1.ConditionFalse), running}, Failed, "NotReady", "the Node is not ready"},
		{"it is gone", []runtime.Object{running}, Failed, ReasonNoNode, "its Node is gone"},
	} {
		got := NodeStanding(stateOf(test.objects...), "n1")
		if got.Mark != test.mark || got.Reason != test.reason || !strings.Contains(got.Sentence, test.says) || (got.Sentence == "") != (test.mark == OK) {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

func TestHowASessionStands(t *testing.T) {
	up := v1alpha1.BGPSession{Name: "tor", State: v1alpha1.BGPEstablished}
	with := func(change func(*v1alpha1.BGPSession)) v1alpha1.BGPSession {
		s := up
		change(&s)
		return s
	}
	lost := with(func(s *v1alpha1.BGPSession) { s.State, s.LastError = v1alpha1.BGPConnecting, "hold time expired" })
	drained := aNode(corev1.ConditionTrue)
	drained.Annotations = map[string]string{v1alpha1.AnnotationDrain: "true"}
	for _, test := range []struct {
		name    string
		node    *corev1.Node
		session v1alpha1.BGPSession
		mark    Mark
		reason  string
		says    string
	}{
		{"it is up", aNode(corev1.ConditionTrue), up, OK, "Established", ""},
		{"it is lost", aNode(corev1.ConditionTrue), lost, Failed, "Connecting", "hold time expired"},
		{"its node is drained", drained, lost, Warning, "Draining", "hold time expired"},
		{"its node is not in sight", aNode(corev1.ConditionUnknown), up, Warning, ReasonNotInSight, "not in sight"},
		{"BFD is down", aNode(corev1.ConditionTrue), with(func(s *v1alpha1.BGPSession) {
			s.BFD = &v1alpha1.BFDSession{State: v1alpha1.BFDDown, LastError: "silence"}
		}), Warning, "Established", "BFD is Down: silence"},
		{"a family is not carried", aNode(corev1.ConditionTrue), with(func(s *v1alpha1.BGPSession) {
			s.Families = []v1alpha1.BGPSessionFamily{{Family: corev1.IPv6Protocol, LastError: "not agreed"}}
		}), Warning, "Established", "IPv6: not agreed"},
	} {
		got := SessionStanding(stateOf(test.node, anAnnouncer(v1alpha1.ReasonRunning, metav1.ConditionTrue)), "n1", &test.session)
		if got.Mark != test.mark || got.Reason != test.reason || !strings.Contains(got.Sentence, test.says) || (got.Sentence == "") != (test.mark == OK) {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

func TestADeadNodeHasNoAddressThatAnotherOneTookOver(t *testing.T) {
	heir := anAnnouncer(v1alpha1.ReasonRunning, metav1.ConditionTrue, "192.0.2.1")
	heir.Name = "n2"
	heir.Status.Layer2.Addresses[0].Epoch = 2
	dead := anAnnouncer(v1alpha1.ReasonRunning, metav1.ConditionTrue, "192.0.2.1", "192.0.2.2", "no address")
	s := stateOf(aNode(corev1.ConditionUnknown), dead, heir)
	if has := Carried(s, dead); len(has) != 1 || has[0].IP != "192.0.2.2" {
		t.Errorf("%+v", has)
	}
	if has := Carried(s, heir); len(has) != 1 {
		t.Errorf("%+v", has)
	}
}
