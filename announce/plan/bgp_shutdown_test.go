package plan

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

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
