package plan

import (
	"net/netip"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestOfTwoThatTookAnAddressTheLoserStopsAtOnce(t *testing.T) {
	l := web(t)
	l.apiAway = true
	l.set(func(v *View) {
		v.SetAnnouncer("gone", &v1alpha1.Announcer{
			ObjectMeta: metav1.ObjectMeta{Name: "gone"},
			Status: v1alpha1.AnnouncerStatus{Layer2: v1alpha1.Layer2Status{
				Addresses: []v1alpha1.Layer2Address{{IP: vip, Epoch: 1, Interfaces: []string{"eth0"}}},
			}},
		})
	})
	// n1 and n2 do not see anybody else, and so both take the address.
	n1, n2 := l.nodes["n1"], l.nodes["n2"]
	for name, n := range map[string]*planned{"n1": n1, "n2": n2} {
		for peer := range l.api {
			l.api[peer].Status.Layer2.Interfaces = []v1alpha1.Layer2Interface{writeInterface(eth0)}
			n.view.SetAnnouncer(peer, l.api[peer])
		}
		n.planner.SetAlive([]string{name})
		n.planner.SetInterfaces(connected([]Interface{eth0}))
		n.layer2 = n.planner.Plan(l.now).Layer2
	}
	if got := l.owners(vip); len(got) != 2 {
		t.Fatalf("announced by %v", got)
	}
	l.apiAway = false
	for _, name := range []string{"n1", "n2"} {
		l.api[name].Status.Layer2 = l.nodes[name].planner.Status()
	}
	for _, name := range []string{"n1", "n2"} { // n1 was first
		n1.view.SetAnnouncer(name, l.api[name])
	}
	if plan := n1.planner.Plan(l.now); len(plan.Layer2) != 1 || !slices.Equal(plan.Reannounce, []netip.Addr{netip.MustParseAddr(vip)}) {
		t.Errorf("n1 plans %+v, want it to announce again what n2 has announced", plan)
	}
	for _, name := range []string{"n1", "n2"} {
		n2.view.SetAnnouncer(name, l.api[name])
	}
	n2.planner.SetAlive(l.alive)
	plan := n2.planner.Plan(l.now)
	if len(plan.Layer2) != 0 || len(plan.Moves) != 1 || plan.Moves[0].Reason != MoveSuperseded || plan.Moves[0].Verdict != StandsBy {
		t.Errorf("n2 plans %+v", plan)
	}
	l.settle()
	if got := l.owner(vip); got != "n1" {
		t.Errorf("%s has the address, want n1", got)
	}
}

func TestWhenTheOwnInterfaceGoesTheNodeStopsBeforeOthersKnow(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	n := l.nodes[owner]
	n.planner.SetInterfaces(nil)
	plan := n.planner.Plan(l.now)
	if len(plan.Layer2) != 0 || !plan.Changed {
		t.Errorf("%s still answers on %v", owner, plan.Layer2)
	}
	if got := plan.Moves[0]; got.Verdict != NoInterface || got.Reason != MoveSuperseded {
		t.Errorf("reported %+v", got)
	}
	n.interfaces = nil
	l.settle()
	if got := l.owner(vip); got == owner {
		t.Errorf("%s still has the address", got)
	}
}

// withoutLink is web, where the owner of the address has just lost its link, and nobody has planned since but that node.
func withoutLink(t *testing.T) (l *lan, owner string) {
	t.Helper()
	l = web(t)
	l.settle()
	owner = l.owner(vip)
	l.nodes[owner].interfaces = nil
	l.plan(owner)
	return l, owner
}

// What a node that has lost its link tells the API, over another one, is all that the next owner goes by.
func TestWhoFollowsANodeThatHasLostItsLinkAsksNobodyFirst(t *testing.T) {
	l, owner := withoutLink(t)
	l.record(owner)
	if got := l.owners(vip); len(got) != 0 {
		t.Fatalf("%v have the address, though the link is down", got)
	}
	var next string
	for name := range l.nodes {
		if name == owner {
			continue
		}
		plan := l.plan(name)
		if len(plan.Moves) == 0 {
			continue
		}
		if next = name; plan.Moves[0].Reason != MoveIncumbentIneligible || plan.Moves[0].From != owner {
			t.Errorf("%s has the address by %+v", name, plan.Moves[0])
		}
	}
	if got := l.owners(vip); !slices.Equal(got, []string{next}) {
		t.Fatalf("%v announce the address, want one node at once", got)
	}
	l.settle()
	if got := l.owner(vip); got != next || len(l.api[owner].Status.Layer2.Addresses) != 0 {
		t.Errorf("%s announces the address, and its former owner claims %+v", got, l.api[owner].Status.Layer2.Addresses)
	}
}

func TestAClaimThatNobodyFollowsIsGivenUp(t *testing.T) {
	l, owner := withoutLink(t)
	l.record(owner)
	if len(l.api[owner].Status.Layer2.Addresses) == 0 {
		t.Fatal("the claim is gone before another node could follow it")
	}
	plan := l.plan(owner)
	if len(plan.Moves) != 0 || !plan.Wake.Equal(l.now.Add(recordTimeout)) {
		t.Errorf("%s plans %+v", owner, plan)
	}
	l.now = plan.Wake
	l.plan(owner)
	l.record(owner)
	if got := l.api[owner].Status.Layer2.Addresses; len(got) != 0 {
		t.Errorf("%s still claims %+v", owner, got)
	}
}

func TestANodeWhoseLinkIsBackBeforeAnybodyFollowsGoesOn(t *testing.T) {
	l, owner := withoutLink(t)
	l.nodes[owner].interfaces = []Interface{eth0}
	plan := l.plan(owner)
	if _, announces := plan.Layer2[netip.MustParseAddr(vip)]; !announces {
		t.Errorf("%s plans %+v, want it to go on", owner, plan)
	}
	l.settle()
	if got := l.owner(vip); got != owner {
		t.Errorf("%s announces the address", got)
	}
}

func TestEpochsFollowTheBestClaim(t *testing.T) {
	l := web(t)
	l.settle()
	l.kill(l.owner(vip))
	l.kill(otherThan(l, ""))
	// A node that is not there has claimed far more often.
	l.set(func(v *View) {
		v.SetAnnouncer("gone", &v1alpha1.Announcer{
			ObjectMeta: metav1.ObjectMeta{Name: "gone"},
			Status: v1alpha1.AnnouncerStatus{Layer2: v1alpha1.Layer2Status{
				Addresses: []v1alpha1.Layer2Address{{IP: vip, Epoch: 41, Interfaces: []string{"eth0"}}},
			}},
		})
	})
	l.settle()
	if got := l.api[l.owner(vip)].Status.Layer2.Addresses[0].Epoch; got != 42 {
		t.Errorf("epoch %d, want 42", got)
	}
}
