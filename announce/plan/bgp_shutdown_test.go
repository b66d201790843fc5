package plan

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

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
