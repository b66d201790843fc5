package plan

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func drained(n *corev1.Node) {
	metav1.SetMetaDataAnnotation(&n.ObjectMeta, v1alpha1.AnnotationDrain, "")
}

func notReady(n *corev1.Node) {
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
}

func excluded(n *corev1.Node) { n.Labels[corev1.LabelNodeExcludeBalancers] = "" }

func TestWhoIsDrainedGoesOnUntilTheNextOwnerAnnounces(t *testing.T) {
	for name, drain := range map[string]func(*corev1.Node){"annotation": drained, "not ready": notReady, "label": excluded} {
		t.Run(name, func(t *testing.T) {
			hows := []string{"heard", "heard before it plans", "recorded"}
			if name != "not ready" { // that node may have been away, and the claim be older than what it knows
				hows = append(hows, "recorded before it plans")
			}
			for _, how := range hows {
				l := web(t)
				l.settle()
				owner := l.owner(vip)
				l.setNode(nodeObject(owner, drain))
				if !strings.HasSuffix(how, "before it plans") {
					if plan := l.plan(owner); len(plan.Layer2) != 1 {
						t.Fatalf("%s stopped before anybody else began", owner)
					}
				}
				var next string
				for name := range l.nodes {
					if name != owner && len(l.plan(name).Moves) > 0 {
						next = name
					}
				}
				if next == "" {
					t.Fatal("nobody takes the address")
				}
				if got := l.owners(vip); len(got) != 2 {
					t.Fatalf("announced by %v", got)
				}
				if strings.HasPrefix(how, "recorded") {
					l.record(next)
				} else {
					l.nodes[owner].planner.ObserveAnnouncement(addr(vip), next, l.now)
				}
				if plan := l.plan(owner); len(plan.Layer2) != 1 || len(plan.Reannounce) != 0 || !plan.Wake.Equal(l.now.Add(handoverOverlap)) {
					t.Errorf("%s does not answer what may have been asked before: %+v", owner, plan)
				} else if !slices.Equal(plan.Quiesce, []netip.Addr{addr(vip)}) {
					t.Errorf("%s is still to announce the address: %+v", owner, plan)
				}
				l.now = l.now.Add(handoverOverlap)
				if plan := l.plan(owner); len(plan.Layer2) != 0 || plan.Moves[0].To != next {
					t.Errorf("%s goes on: %+v", owner, plan)
				}
				l.settle()
				if got := l.owner(vip); got != next {
					t.Errorf("%s has it in the end", got)
				}
				l.setNode(nodeObject(owner))
				l.settle()
				if got := l.owner(vip); got != next {
					t.Errorf("after the drain it moved to %s", got)
				}
			}
		})
	}
}

// Who has heard the other one must hear this one again.
func TestWhoKeepsAnAddressThatAnotherNodeHasAnnouncedAnnouncesItAgain(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	l.setNode(nodeObject(owner, drained))
	l.plan(owner)
	l.nodes[owner].planner.ObserveAnnouncement(addr(vip), l.nodes[owner].planner.round.Decision(addr(vip)).Owner, l.now)
	if plan := l.plan(owner); !slices.Equal(plan.Quiesce, []netip.Addr{addr(vip)}) || len(plan.Reannounce) > 0 {
		t.Fatalf("%s plans %+v", owner, plan)
	}
	l.setNode(nodeObject(owner))
	if plan := l.plan(owner); !slices.Equal(plan.Reannounce, []netip.Addr{addr(vip)}) || len(plan.Layer2) != 1 {
		t.Errorf("%s plans %+v", owner, plan)
	}
	if plan := l.plan(owner); len(plan.Quiesce)+len(plan.Reannounce) > 0 {
		t.Errorf("%s plans %+v", owner, plan)
	}
}

func TestTheLastNodeKeepsItsAddressesThoughItIsDrained(t *testing.T) {
	l := web(t)
	l.advertise("all", v1alpha1.L2AdvertisementSpec{NodeSelectors: selecting(corev1.LabelHostname, "n2")})
	l.setNode(nodeObject("n2", drained))
	l.settle()
	if got := l.owner(vip); got != "n2" {
		t.Errorf("announced by %s", got)
	}
	l.setNode(nodeObject("n2", excluded))
	l.settle()
	if got := l.owners(vip); len(got) != 0 {
		t.Errorf("announced by %v, which is excluded", got)
	}
}
