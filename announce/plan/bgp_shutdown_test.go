package plan

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestAGracefulShutdownHasStages(t *testing.T) {
	r := newRack()
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	r.service(local(serviceObject("here", "192.168.10.2")))
	r.endpoints("here", "n1")
	expect := func(want string) time.Time {
		t.Helper()
		plan := r.plan()
		if got := plan.text(); got != want {
			t.Errorf("announces\n%s\nwant\n%s", got, want)
		}
		return plan.Wake
	}
	next := func(wake time.Time) {
		t.Helper()
		if !wake.After(r.now) {
			t.Fatalf("to wake at %s, now is %s", wake, r.now)
		}
		r.now = wake
	}
	expect("tor\n  192.168.10.1/32\n  192.168.10.2/32")

	r.node("n1", drained)
	next(expect("tor\n  192.168.10.1/32 leaving\n  192.168.10.2/32 leaving"))
	next(expect("tor\n  192.168.10.2/32 leaving")) // which no other node can have
	if wake := expect("tor\n  192.168.10.2/32 leaving"); !wake.IsZero() {
		t.Errorf("to wake at %s", wake)
	}
	r.endpoints("here", "n1", "n2")
	next(expect("tor\n  192.168.10.2/32 leaving")) // the route of n2 has to arrive first
	expect("")
	r.node("n2", drained)
	expect("tor\n  192.168.10.2/32 leaving")
	r.node("n3", excluded)
	expect("tor\n  192.168.10.1/32 leaving\n  192.168.10.2/32 leaving")
	r.node("n1")
	expect("tor\n  192.168.10.1/32\n  192.168.10.2/32")

	r.node("n1", excluded)
	next(expect("tor\n  192.168.10.1/32 leaving\n  192.168.10.2/32 leaving"))
	next(expect("tor"))
	expect("")
}

// A drain moves away, it does not cut: only what another node announces by a session that is up is withdrawn.
func TestADrainedNodeKeepsItsRoutesWhileNoOtherNodeHasASession(t *testing.T) {
	connecting := v1alpha1.BGPSession{Name: "tor", State: v1alpha1.BGPConnecting, LastError: "connection refused"}
	v6 := v1alpha1.BGPSession{Name: "tor", State: v1alpha1.BGPEstablished, Families: []v1alpha1.BGPSessionFamily{{Family: corev1.IPv6Protocol}}}
	refused := v1alpha1.BGPSession{Name: "tor", State: v1alpha1.BGPEstablished, Families: []v1alpha1.BGPSessionFamily{{Family: corev1.IPv4Protocol, LastError: "no next hop"}}}
	v4 := v1alpha1.BGPSession{Name: "tor", State: v1alpha1.BGPEstablished, Families: []v1alpha1.BGPSessionFamily{{Family: corev1.IPv4Protocol}}}
	says := func(reason string) func(*rack) {
		return func(r *rack) {
			a := announcerOn("n2")
			a.Status.BGP.Peers = []v1alpha1.BGPSession{established("tor")}
			a.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Reason: reason}}
			r.view.SetAnnouncer("n2", a)
		}
	}
	for _, test := range []struct {
		name  string
		other func(*rack)
		stays bool
	}{
		{"the other one has a session", func(*rack) {}, false},
		{"it tries to have one", func(r *rack) { r.sessions("n2", connecting) }, true},
		{"it has one with another router", func(r *rack) { r.sessions("n2", connecting, established("spine")) }, true},
		{"it carries the other family", func(r *rack) { r.sessions("n2", v6) }, true},
		{"it has no next hop for the family", func(r *rack) { r.sessions("n2", refused) }, true},
		{"it has one of two sessions with the router", func(r *rack) { r.sessions("n2", v6, v4) }, false},
		{"it has no Announcer", func(r *rack) { r.view.SetAnnouncer("n2", nil) }, true},
		{"it was stopped", says(v1alpha1.ReasonStopped), true},
		{"it is down", says(v1alpha1.ReasonAnnouncerDown), true},
		{"it is unreachable", says(v1alpha1.ReasonNodeUnreachable), true},
		{"it has no interface for layer 2", says(v1alpha1.ReasonNoInterface), false},
		{"a third one has a session", func(r *rack) { r.sessions("n2", connecting); r.sessions("n3", established("tor")) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRack()
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
			r.sessions("n3", connecting)
			r.expect(t, "at first", announcedByN1)
			test.other(r)
			r.node("n1", drained)
			r.expect(t, "drained", leavingN1)
			for range 3 {
				r.now = r.now.Add(gracefulPeriod)
				r.plan()
			}
			want := ""
			if test.stays {
				want = leavingN1
			}
			r.expect(t, "in the end", want)
			e := r.planner.Explain(addr("192.168.10.1"))
			if v := e.Verdicts[0]; v.Reason != Draining || v.Leaves == test.stays {
				t.Errorf("explained as %+v", v)
			}
		})
	}
}

func TestADrainedNodeComesBackWhenTheLastSessionOfOthersEndsAndGoesOnlyOnceOneLasts(t *testing.T) {
	r := newRack()
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	r.sessions("n3")
	r.plan()
	r.node("n1", drained)
	r.plan()
	r.now = r.now.Add(gracefulPeriod + withdrawPeriod)
	r.expect(t, "drained", "")
	r.service(serviceObject("new", "192.168.10.2"))
	r.endpoints("new", "n2")
	r.expect(t, "a new Service", "")
	both := "tor\n  192.168.10.1/32 leaving\n  192.168.10.2/32 leaving"
	for range 3 {
		r.sessions("n2")
		r.expect(t, "the other session ends", both)
		r.now = r.now.Add(gracefulPeriod)
		r.expect(t, "a while later", both)
		r.sessions("n2", established("tor"))
		if plan := r.expect(t, "it is up", both); !plan.Wake.Equal(r.now.Add(gracefulPeriod)) {
			t.Errorf("wakes at %v", plan.Wake)
		}
		r.now = r.now.Add(gracefulPeriod / 2)
		r.expect(t, "not for long", both)
	}
	r.now = r.now.Add(gracefulPeriod / 2)
	r.expect(t, "it lasts", "")
	r.node("n1")
	r.expect(t, "in service again", "tor\n  192.168.10.1/32\n  192.168.10.2/32")
}

func TestAnAnnouncerThatStartsOnADrainedNodeAnnouncesOnlyWhatNobodyElseDoes(t *testing.T) {
	for others, want := range map[string]string{"tor": "", "spine": leavingN1} {
		r := newRack()
		r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
		r.node("n1", drained)
		for _, name := range []string{"n2", "n3"} {
			r.sessions(name, established(others))
		}
		r.expect(t, "others have sessions with "+others, want)
	}
}

// Nobody waits for another one that is drained too.
func TestOfSeveralDrainedNodesNoneGoesBecauseOfAnother(t *testing.T) {
	r := newRack()
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	r.sessions("n3")
	second := NewBGPPlanner(r.view, "n2")
	for _, name := range []string{"n1", "n2"} {
		r.node(name, drained)
	}
	for range 3 {
		r.expect(t, "on n1", leavingN1)
		r.view.routes.all = true // it is told the same
		if got := second.Plan(r.now).text(); got != leavingN1 {
			t.Errorf("on n2:\n%s", got)
		}
		r.now = r.now.Add(gracefulPeriod)
		r.view.routes.all = true
	}
}

func TestANodeWithoutAKubeProxyKeepsItsRoutesWhileNoOtherNodeHasASession(t *testing.T) {
	r := newRack()
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	r.sessions("n2")
	r.sessions("n3")
	r.view.setKubeProxy("n1", says("n1", down))
	r.view.setKubeProxy("n2", says("n2", serves))
	r.expect(t, "without sessions elsewhere", announcedByN1)
	r.sessions("n2", established("tor"))
	r.view.setKubeProxy("n2", says("n2", serves))
	r.expect(t, "with one", leavingN1)
	r.now = r.now.Add(gracefulPeriod)
	r.expect(t, "in the end", "tor")
}

func TestANodeThatGoesIsNotTakenForOneWhoseAnnouncerRestarts(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*corev1.Node)
		want   string
	}{
		{"ready", func(*corev1.Node) {}, ""},
		{"cordoned", func(n *corev1.Node) { n.Spec.Unschedulable = true }, ""},
		{"not ready, as when it is shut down", notReady, "the node is not ready"},
		{"drained", drained, "the node is drained"},
		{"left out", excluded, "the node is drained"},
	} {
		v := NewView()
		v.SetNode("n1", nodeObject("n1", test.change))
		if got := NewBGPPlanner(v, "n1").ShutdownMessage(); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if got := NewBGPPlanner(NewView(), "n1").ShutdownMessage(); got != "the node is removed" {
		t.Errorf("without a Node: %q", got)
	}
}
