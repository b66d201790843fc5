package plan

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestAMemberWithBlockedGossipKeepsWhatItHas(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	l.sees = map[string][]string{}
	for _, name := range l.alive {
		if name == owner {
			l.sees[name] = []string{name}
		} else {
			l.sees[name] = slices.DeleteFunc(slices.Clone(l.alive), func(n string) bool { return n == owner })
		}
	}
	l.states = map[string]MemberState{}
	for _, name := range l.alive {
		l.states[name] = GossipBlocked
	}
	l.settle()
	if got := l.owner(vip); got != owner {
		t.Errorf("moved to %s", got)
	}
}

func TestNodesThatWarmUpTogetherShareWhatNobodyHas(t *testing.T) {
	l := web(t)
	l.many(30)
	l.sees = map[string][]string{}
	for name, n := range l.nodes {
		l.sees[name] = []string{name} // the first does not see the others yet
		n.planner.SetWarmingUp(true)
	}
	l.settle()
	if got := l.carries(); got != "0 0 0" {
		t.Fatalf("nodes that warm up carry %s", got)
	}
	l.sees = nil
	for _, n := range l.nodes {
		n.planner.SetWarmingUp(false)
	}
	l.settle()
	if got := l.carries(); got != "10 10 10" && got != "11 10 10" && got != "10 11 10" && got != "10 10 11" {
		t.Errorf("they carry %s", got)
	}
}

func TestBlockedGossipLeavesOneOwner(t *testing.T) {
	for _, tt := range []struct {
		name string
		sees map[string][]string
	}{
		{"one node apart", map[string][]string{"n1": {"n1"}, "n2": {"n2", "n3"}, "n3": {"n2", "n3"}}},
		{"every node alone", map[string][]string{"n1": {"n1"}, "n2": {"n2"}, "n3": {"n3"}}},
		{"one that is not seen by another that it sees", map[string][]string{"n1": {"n1", "n2", "n3"}, "n2": {"n2", "n3"}, "n3": {"n1", "n2", "n3"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := web(t)
			for i := range 20 {
				name := fmt.Sprintf("s%d", i)
				l.setService(serviceObject(name, fmt.Sprintf("192.168.10.%d", 200+i)))
				l.setEndpoints(endpointsOn(name, "n1"))
			}
			check := func() {
				t.Helper()
				l.settle()
				for i := range 20 {
					l.owner(fmt.Sprintf("192.168.10.%d", 200+i))
				}
			}
			check()
			l.sees = tt.sees
			check()
			// A node that dies now is not missed by the gossip, but in time by Kubernetes.
			l.kill("n3")
			for name, sees := range l.sees {
				l.sees[name] = slices.DeleteFunc(slices.Clone(sees), func(n string) bool { return n == "n3" })
			}
			l.settle()
			l.setNode(nodeObject("n3", func(n *corev1.Node) {
				n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
			}))
			check()
			l.sees = nil
			before := len(l.moves)
			check()
			if moves := l.moves[before:]; len(moves) > 0 {
				t.Errorf("moved when all was well again: %v", moves)
			}
		})
	}
}

func TestTheLogHasMemberStatesByName(t *testing.T) {
	for state, want := range map[MemberState]string{
		Dead: "Dead", Suspect: "Suspect", AnnouncerDown: "AnnouncerDown", GossipBlocked: "GossipBlocked",
	} {
		if got := state.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
