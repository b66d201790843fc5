package plan

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestRebalancingOnRequestMovesTheLeast(t *testing.T) {
	l := web(t)
	l.deleteService("web")
	l.kill("n3")
	l.many(30)
	l.settle()
	l.boot("n3", eth0)
	l.settle()
	if got := l.carries(); got != "15 15 0" {
		t.Fatalf("they carry %s", got)
	}
	before := len(l.moves)
	for name := range l.nodes {
		l.annotate(name, v1alpha1.AnnotationRebalance, "please")
	}
	l.settle()
	if got := l.carries(); got != "10 10 10" {
		t.Errorf("they carry %s", got)
	}
	moved := 0
	for _, m := range l.moves[before:] {
		if strings.HasSuffix(m, string(MoveHandedOver)) {
			moved++
		}
	}
	if moved != 10 {
		t.Errorf("%d moved: %v", moved, l.moves[before:])
	}
	before = len(l.moves)
	l.boot("n1", eth0) // it does not do it again
	l.settle()
	for _, m := range l.moves[before:] {
		if !strings.HasSuffix(m, string(MoveResumed)) {
			t.Errorf("then: %s", m)
		}
	}
	if got := l.api["n1"].Status.Layer2.Rebalanced; got != "please" {
		t.Errorf("acted upon %q", got)
	}
}

func TestAnAddressThatIsHandedOverStaysIfNobodyCanTakeIt(t *testing.T) {
	l := web(t)
	l.deleteService("web")
	l.kill("n3")
	l.many(4)
	l.settle()
	l.boot("n3", eth0)
	l.settle()
	l.annotate("n1", v1alpha1.AnnotationRebalance, "now")
	l.plan("n1")
	l.record("n1")
	l.kill("n3")
	l.settle()
	if got := l.carries(); got != "2 2" {
		t.Errorf("they carry %s", got)
	}
	for _, c := range l.api["n1"].Status.Layer2.Addresses {
		if c.HandoverTo != "" {
			t.Errorf("still to be handed over: %+v", c)
		}
	}
}

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
				answersFor := handoverOverlap
				if strings.HasPrefix(how, "recorded") {
					l.record(next)
					answersFor = handoverPatience
				} else {
					l.nodes[owner].planner.ObserveAnnouncement(addr(vip), next, l.now)
				}
				if plan := l.plan(owner); len(plan.Layer2) != 1 || len(plan.Reannounce) != 0 || !plan.Wake.Equal(l.now.Add(answersFor)) {
					t.Errorf("%s does not answer what may have been asked before: %+v", owner, plan)
				} else if !slices.Equal(plan.Quiesce, []netip.Addr{addr(vip)}) {
					t.Errorf("%s is still to announce the address: %+v", owner, plan)
				}
				l.now = l.now.Add(answersFor)
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

// Who is to have the address next may not know of the drain, and another node, which knows of it, not see that one.
func TestWhoIsDrainedStopsWhenAnyNodeAnnounces(t *testing.T) {
	l := web(t)
	owner, other := l.draining()
	l.now = l.now.Add(handoverPatience)
	if plan := l.plan(owner); len(plan.Layer2) != 1 {
		t.Fatalf("%s stopped before anybody else began", owner)
	}
	l.nodes[owner].planner.ObserveAnnouncement(addr(vip), other, l.now)
	if plan := l.plan(owner); len(plan.Layer2) != 1 || !plan.Wake.Equal(l.now.Add(handoverOverlap)) || !slices.Equal(plan.Quiesce, []netip.Addr{addr(vip)}) {
		t.Errorf("%s does not answer what may have been asked before: %+v", owner, plan)
	}
	l.now = l.now.Add(handoverOverlap)
	if plan := l.plan(owner); len(plan.Layer2) != 0 || plan.Moves[0].To != other {
		t.Errorf("%s goes on: %+v", owner, plan)
	}
}

// A drained node whose API is away does not know that it is to stop, and who does not see it cannot tell it.
func TestWhoDoesNotSeeADrainedNodeBeginsWhenThatOneHasStopped(t *testing.T) {
	for name, then := range map[string]func(l *lan, owner string){
		"it hears of the drain": func(l *lan, owner string) {
			l.blind = nil
			l.nodes[owner].view.SetNode(owner, nodeObject(owner, drained))
			for range 3 {
				l.planAll()
				if owners := l.owners(vip); len(owners) > 1 {
					l.t.Errorf("announced by %v", owners)
				}
				l.recordAll()
			}
		},
		"it dies":         func(l *lan, owner string) { l.kill(owner); l.states[owner] = Dead },
		"it is in sight":  func(l *lan, _ string) { l.states, l.sees = nil, nil },
		"it cannot serve": func(l *lan, owner string) { l.setNode(nodeObject(owner, drained, offNetwork)) },
		"it is not ready": func(l *lan, owner string) { l.setNode(nodeObject(owner, drained, notReady)) },
	} {
		t.Run(name, func(t *testing.T) {
			l := web(t)
			l.settle()
			owner := l.owner(vip)
			l.blind, l.states, l.sees = map[string]bool{owner: true}, map[string]MemberState{}, map[string][]string{}
			for _, name := range l.alive {
				l.states[name] = GossipBlocked
				l.sees[name] = slices.DeleteFunc(slices.Clone(l.alive), func(n string) bool { return (n == owner) != (name == owner) })
			}
			l.settle()
			l.set(func(v *View) {
				if v != l.nodes[owner].view {
					v.SetNode(owner, nodeObject(owner, drained))
				}
			})
			for range 3 {
				l.planAll()
				l.recordAll()
				l.now = l.now.Add(recordTimeout)
				if got := l.owner(vip); got != owner {
					t.Fatalf("%s took it from %s", got, owner)
				}
			}
			then(l, owner)
			l.settle()
			if got := l.owners(vip); !slices.ContainsFunc(got, func(n string) bool { return n != owner }) {
				t.Errorf("announced by %v", got)
			}
		})
	}
}

// What was heard before the drain is of a node that has stopped since.
func TestWhoIsDrainedGoesOnAlthoughAnotherNodeHasAnnouncedTheAddressBefore(t *testing.T) {
	l := web(t)
	owner, other := l.draining()
	l.setNode(nodeObject(owner))
	l.plan(owner)
	l.nodes[owner].planner.ObserveAnnouncement(addr(vip), other, l.now)
	l.plan(owner)
	l.now = l.now.Add(handoverOverlap)
	l.setNode(nodeObject(owner, drained))
	for range 2 {
		if plan := l.plan(owner); len(plan.Layer2) != 1 || len(plan.Quiesce) != 0 {
			t.Errorf("%s is about to stop: %+v", owner, plan)
		}
		l.now = l.now.Add(handoverOverlap)
	}
}

// drainOwner has the node with the address be drained, and see it.
func (l *lan) drainOwner() (owner string) {
	l.t.Helper()
	l.settle()
	owner = l.owner(vip)
	l.setNode(nodeObject(owner, drained))
	l.plan(owner)
	return owner
}

// draining drains the owner, and returns as other the third node: neither the owner nor the one that is to have the address next.
func (l *lan) draining() (owner, other string) {
	l.t.Helper()
	owner = l.drainOwner()
	next := l.nodes[owner].planner.round.Decision(addr(vip)).Owner
	for name := range l.nodes {
		if name != owner && name != next {
			other = name
		}
	}
	return owner, other
}

// The next owner may know of a drain before the drained node does, and tells it that it has taken the address over.
func TestWhoIsToldOfATakeoverBeforeItKnowsOfTheDrainAnswersWhatMayHaveBeenAskedBefore(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	l.set(func(v *View) {
		if v != l.nodes[owner].planner.view {
			v.SetNode(owner, nodeObject(owner, drained))
		}
	})
	var next string
	for name := range l.nodes {
		if name != owner {
			for _, told := range l.plan(name).Takeovers {
				next = name
				l.nodes[owner].planner.ObserveTakeovers(name, []Takeover{told}, l.now)
			}
		}
	}
	if next == "" {
		t.Fatal("nobody takes the address")
	}
	if plan := l.plan(owner); len(plan.Layer2) != 1 || !slices.Equal(plan.Quiesce, []netip.Addr{addr(vip)}) {
		t.Errorf("%s stops before it has heard the next owner: %+v", owner, plan)
	}
	l.now = l.now.Add(handoverPatience / 2)
	l.nodes[owner].planner.ObserveAnnouncement(addr(vip), next, l.now)
	if plan := l.plan(owner); len(plan.Layer2) != 1 || !plan.Wake.Equal(l.now.Add(handoverOverlap)) {
		t.Errorf("%s does not answer what may have been asked before: %+v", owner, plan)
	}
	l.now = l.now.Add(handoverOverlap)
	if plan := l.plan(owner); len(plan.Layer2) != 0 || plan.Moves[0].To != next {
		t.Errorf("%s goes on: %+v", owner, plan)
	}
}

// handing has the node with the address be drained and the next owner record its claim.
func (l *lan) handing() (owner, next string) {
	l.t.Helper()
	owner = l.drainOwner()
	for name := range l.nodes {
		if name != owner && len(l.plan(name).Moves) > 0 {
			next = name
		}
	}
	if next == "" {
		l.t.Fatal("nobody takes the address")
	}
	l.record(next)
	return owner, next
}

// The next owner has claimed the address and is slow to begin.
func TestWhoHandsAnAddressOverGoesOnAfterTheClaimUntilItHearsTheNextOwner(t *testing.T) {
	l := web(t)
	owner, next := l.handing()
	if plan := l.plan(owner); len(plan.Layer2) != 1 || !plan.Wake.Equal(l.now.Add(handoverPatience)) {
		t.Errorf("%s: %+v", owner, plan)
	}
	l.now = l.now.Add(handoverPatience - handoverOverlap/2)
	for range 2 { // to hear it again changes nothing
		l.nodes[owner].planner.ObserveAnnouncement(addr(vip), next, l.now)
		if plan := l.plan(owner); len(plan.Layer2) != 1 || len(plan.Quiesce) != 0 {
			t.Errorf("%s: %+v", owner, plan)
		}
		l.now = l.now.Add(handoverOverlap / 2)
	}
	if plan := l.plan(owner); len(plan.Layer2) != 0 || plan.Moves[0].To != next {
		t.Errorf("%s goes on: %+v", owner, plan)
	}
}

// What it is asked while it holds back it answers after that, if the address is still its own.
func TestWhoHandsAnAddressOverKeepsItWhileItHoldsBack(t *testing.T) {
	l := web(t)
	owner, next := l.handing()
	l.nodes[owner].planner.ObserveAnnouncement(addr(vip), next, l.now)
	l.plan(owner)
	l.now = l.now.Add(handoverOverlap)
	until := l.now.Add(handoverOverlap)
	l.nodes[owner].planner.HoldBack(until, 0)
	if plan := l.plan(owner); len(plan.Layer2) != 1 || !plan.Wake.Equal(until.Add(handoverOverlap)) {
		t.Errorf("%s: %+v", owner, plan)
	}
	l.now = until.Add(handoverOverlap)
	if plan := l.plan(owner); len(plan.Layer2) != 0 || plan.Moves[0].To != next {
		t.Errorf("%s goes on: %+v", owner, plan)
	}
}

// After a long pause, others have long answered whoever asked.
func TestWhoHandedAnAddressOverInALongPauseStopsAtOnce(t *testing.T) {
	for _, test := range []struct {
		away    time.Duration
		answers bool
	}{{lateAnswer, true}, {lateAnswer + 1, false}} {
		t.Run(test.away.String(), func(t *testing.T) {
			l := web(t)
			owner, next := l.handing()
			l.nodes[owner].planner.HoldBack(l.now.Add(handoverOverlap), test.away)
			plan := l.plan(owner)
			if answers := len(plan.Layer2) == 1; answers != test.answers {
				t.Fatalf("%s: %+v", owner, plan)
			}
			if !test.answers && plan.Moves[0].To != next {
				t.Errorf("it says that %s has the address", plan.Moves[0].To)
			}
		})
	}
}

// A node that does not know that it was taken for dead must not answer on.
func TestWhoIsToldThatItWasTakenForDeadStopsAtOnce(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	n := l.sleep(owner)
	var told []Takeover
	var next string
	for name := range l.nodes {
		if takeovers := l.plan(name).Takeovers; len(takeovers) > 0 {
			next, told = name, takeovers
		}
	}
	l.awake(owner, n)
	n.planner.ObserveTakeovers(next, told, l.now)
	if plan := l.plan(owner); len(told) == 0 || len(plan.Layer2) != 0 {
		t.Errorf("told %v, %s plans %+v", told, owner, plan)
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

// TestWhoIsAwaitedStopsAlsoIfItsClaimHasTheSameEpoch has two nodes that do not see each other claim addresses of a third one, which is excluded.
// One of them announces them, and the other one, whose claims the API has recorded first, waits for it.
func TestWhoIsAwaitedStopsAlsoIfItsClaimHasTheSameEpoch(t *testing.T) {
	l, ips := fourOf(t, 12)
	l.setNode(nodeObject("n1", excluded))
	l.settle()
	l.blockGossip("n2", Suspect)
	l.setNode(nodeObject("n3", excluded))
	l.settle()
	l.setNode(nodeObject("n4", excluded))
	l.settle()
	for ip, owner := range l.whose(ips) {
		if owner != "n2" {
			t.Errorf("%s has %s, though it is excluded", owner, ip)
		}
	}
}
