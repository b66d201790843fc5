package plan

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// says is an Announcer that says this of kube-proxy; nothing if it is empty.
func says(name string, status metav1.ConditionStatus) *v1alpha1.Announcer {
	a := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if status != "" {
		a.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionKubeProxy, Status: status}}
	}
	switch status {
	case never:
		a.Status.Conditions[0].Status, a.Status.Conditions[0].Reason = metav1.ConditionUnknown, v1alpha1.ReasonNoAnswer
	case unreachable:
		a.Status.Conditions[0].Status, a.Status.Conditions[0].Reason = metav1.ConditionUnknown, v1alpha1.ReasonNodeUnreachable
	case announcerDown:
		a.Status.Conditions[0].Status, a.Status.Conditions[0].Reason = metav1.ConditionUnknown, v1alpha1.ReasonAnnouncerDown
	}
	return a
}

const (
	serves = metav1.ConditionTrue
	down   = metav1.ConditionFalse
	// The others are Unknown, for different reasons: none was seen since the announcer started, or the announcer does not speak.
	never         = metav1.ConditionStatus(v1alpha1.ReasonNoAnswer)
	unreachable   = metav1.ConditionStatus(v1alpha1.ReasonNodeUnreachable)
	announcerDown = metav1.ConditionStatus(v1alpha1.ReasonAnnouncerDown)
)

func TestANodeWithoutAKubeProxyThatServesLeavesItsRoutesToOthers(t *testing.T) {
	for _, test := range []struct {
		name       string
		n1, n2, n3 metav1.ConditionStatus
		want       string
	}{
		{"all serve", serves, serves, serves, announcedByN1},
		{"it is down here", down, serves, serves, "tor"},
		{"it was never seen here", never, serves, serves, "tor"},
		{"it was never seen anywhere", never, never, never, announcedByN1},
		{"it is down everywhere", down, down, down, announcedByN1},
		{"nothing is said of it", "", serves, serves, announcedByN1},
		{"it serves here alone", serves, down, never, announcedByN1},
		{"it is down here, and others say nothing", down, "", "", announcedByN1},
		{"this node is said to be unreachable", unreachable, serves, serves, announcedByN1},
		{"its announcer is said to be down", announcerDown, serves, serves, announcedByN1},
		{"it is down here, and the others are said to be away", down, unreachable, announcerDown, announcedByN1},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRack()
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
			r.expect(t, "at first", announcedByN1)
			for name, status := range map[string]metav1.ConditionStatus{"n1": test.n1, "n2": test.n2, "n3": test.n3} {
				r.view.setKubeProxy(name, says(name, status))
			}
			if test.want == "tor" {
				r.expect(t, "then", leavingN1)
			} else {
				r.expect(t, "then", test.want)
			}
			r.now = r.now.Add(gracefulPeriod)
			r.expect(t, "in the end", test.want)
		})
	}
}

func TestARouteComesBackWithKubeProxyOrIfNoOtherNodeHasOne(t *testing.T) {
	r := newRack()
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	r.view.setKubeProxy("n1", says("n1", down))
	r.view.setKubeProxy("n2", says("n2", serves))
	r.plan()
	r.now = r.now.Add(gracefulPeriod)
	r.expect(t, "at first", "tor")
	for _, v := range r.planner.Explain(addr("192.168.10.1")).Verdicts {
		if v.Node == "n1" && (v.Reason != KubeProxyDown || len(v.Peers) > 0) {
			t.Errorf("%+v", v)
		}
	}
	r.view.setKubeProxy("n2", says("n2", down))
	r.expect(t, "when no node has one", announcedByN1)
	r.view.setKubeProxy("n2", says("n2", serves))
	r.expect(t, "when n2 has", leavingN1)
	r.view.setKubeProxy("n2", nil)
	r.expect(t, "when n2 is gone", announcedByN1)
	r.view.setKubeProxy("n2", says("n2", serves))
	r.view.setKubeProxy("n1", says("n1", serves))
	r.expect(t, "when n1 has too", announcedByN1)
}

func TestAnAddressLeavesANodeOnLayer2WhoseKubeProxyIsDown(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	say := func(status map[string]metav1.ConditionStatus) {
		for name, a := range l.api {
			a = a.DeepCopy()
			a.Status.Conditions = says(name, status[name]).Status.Conditions
			l.api[name] = a
			l.set(func(v *View) { v.SetAnnouncer(name, a) })
		}
		l.settle()
	}
	all := map[string]metav1.ConditionStatus{"n1": serves, "n2": serves, "n3": serves}
	say(all)
	if is := l.owner(vip); is != owner {
		t.Errorf("it moved from %s to %s although all serve", owner, is)
	}
	all[owner] = down
	say(all)
	next := l.owner(vip)
	if next == owner {
		t.Errorf("%s still has it", owner)
	}
	say(map[string]metav1.ConditionStatus{"n1": down, "n2": never, "n3": never})
	if is := l.owner(vip); is != next {
		t.Errorf("it moved from %s to %s although none serves", next, is)
	}
}
