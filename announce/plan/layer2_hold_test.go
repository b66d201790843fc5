package plan

import (
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
)

// other is an address beside vip.
const other = "192.168.10.201"

// webAndOther is web with a second Service, served from all nodes.
func webAndOther(t testing.TB) *lan {
	l := web(t)
	l.setService(serviceObject("other", other))
	l.setEndpoints(endpointsOn("other", "n1", "n2", "n3"))
	l.settle()
	return l
}

// failingOn has every plan panic about an address.
func failingOn(t testing.TB, ip string) (heal func()) {
	heal = guard.Plant(func(kind string, object any) bool { return kind == "address" && object == addr(ip) })
	t.Cleanup(heal)
	return heal
}

// isFailing says whether a planner knows that it cannot decide about an address.
func isFailing(p *Layer2Planner, ip string) bool {
	return slices.ContainsFunc(p.Failed(), func(f Failure) bool { return f.Address == addr(ip) })
}

func TestAFaultAboutOneAddressIsNoneAboutOthers(t *testing.T) {
	l := webAndOther(t)
	owner := l.owner(vip)
	heal := failingOn(t, vip)
	l.setEndpoints(endpointsOn("web", "n1")) // has it planned again
	l.settle()
	if got := l.owner(vip); got != owner {
		t.Errorf("%s went from %s to %s", vip, owner, got)
	}
	for name, n := range l.nodes {
		if !isFailing(n.planner, vip) || isFailing(n.planner, other) {
			t.Errorf("%s cannot decide about %v", name, n.planner.Failed())
		}
	}
	l.setNode(nodeObject(l.owner(other), drained))
	l.setService(serviceObject("third", "192.168.10.202"))
	l.setEndpoints(endpointsOn("third", "n1", "n2", "n3"))
	before := l.owner(other)
	l.settle()
	if got := l.owner(other); got == before {
		t.Errorf("%s stays on %s, which is drained", other, got)
	}
	l.owner("192.168.10.202")
	if got := l.owner(vip); got != owner {
		t.Errorf("%s went from %s to %s", vip, owner, got)
	}

	heal()
	l.setService(local(serviceObject("web", vip)))
	l.setEndpoints(endpointsOn("web", "n3"))
	l.settle()
	if got := l.owner(vip); got != "n3" {
		t.Errorf("after the fault, %s is on %s", vip, got)
	}
	for name, n := range l.nodes {
		if failed := n.planner.Failed(); len(failed) > 0 {
			t.Errorf("%s cannot decide about %v", name, failed)
		}
	}
}

// TestAPanicInTheMiddleChangesNothing has no panic planted: what the view has of the Service is broken.
func TestAPanicInTheMiddleChangesNothing(t *testing.T) {
	l := webAndOther(t)
	owner := l.owner(vip)
	for _, n := range l.nodes {
		n.view.services[types.NamespacedName{Namespace: "default", Name: "web"}].backends = nil
		n.planner.SetWarmingUp(true) // has everything planned again
	}
	l.settle()
	if got := l.owner(vip); got != owner {
		t.Errorf("%s went from %s to %s", vip, owner, got)
	}
	l.owner(other)
}

func TestWhatCannotBeDecidedIsTriedAgainAfterAWhile(t *testing.T) {
	l := webAndOther(t)
	heal := failingOn(t, vip)
	l.setEndpoints(endpointsOn("web", "n1"))
	plan := l.plan("n1")
	if len(plan.Failures) != 1 || plan.Failures[0].On() != vip {
		t.Fatalf("failed on %v", plan.Failures)
	}
	if plan = l.plan("n1"); len(plan.Failures) > 0 {
		t.Error("it is tried again at once")
	}
	if want := l.now.Add(failureRetry); !plan.Wake.Equal(want) {
		t.Errorf("plans again at %s, want %s", plan.Wake, want)
	}
	heal()
	l.now = l.now.Add(failureRetry)
	if l.plan("n1"); isFailing(l.nodes["n1"].planner, vip) {
		t.Error("it is not tried again")
	}
}

func TestWhatIsHeldIsGivenUpWhereTwoCouldHaveIt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(l *lan, owner string)
	}{
		{"when the node may not take part", func(l *lan, owner string) { l.nodes[owner].interfaces = nil }},
		{"when the interface is down", func(l *lan, owner string) {
			down := eth0
			down.Down = true
			l.nodes[owner].interfaces = []Interface{down}
		}},
		{"when another node has claimed it", func(l *lan, owner string) {
			a := l.api["n3"].DeepCopy()
			a.Status.Layer2.Addresses = append(a.Status.Layer2.Addresses, v1alpha1.Layer2Address{IP: vip, Interfaces: []string{"eth0"}, Epoch: 7})
			l.nodes[owner].view.SetAnnouncer("n3", a)
		}},
		{"when no Service has it any more", func(l *lan, _ string) { l.deleteService("web") }},
	} {
		for _, kind := range []string{"address", "plan"} {
			t.Run(tt.name+", a fault of the "+kind, func(t *testing.T) {
				l := webAndOther(t)
				owner := l.owner(vip)
				defer guard.Plant(func(k string, object any) bool { return k == kind && (k == "plan" || object == addr(vip)) })()
				l.setEndpoints(endpointsOn("web", "n1"))
				l.plan(owner)
				if got := l.owner(vip); got != owner {
					t.Fatalf("%s went from %s to %s", vip, owner, got)
				}
				tt.change(l, owner)
				l.plan(owner)
				if got := l.owners(vip); len(got) > 0 {
					t.Errorf("%s still announces it", got)
				}
			})
		}
	}
}

func TestAFaultOfTheWholePlanLeavesEverythingAsItIs(t *testing.T) {
	l := webAndOther(t)
	had := map[string]string{vip: l.owner(vip), other: l.owner(other)}
	heal := guard.Plant(func(kind string, _ any) bool { return kind == "plan" })
	defer heal()
	l.setEndpoints(endpointsOn("other", "n2"))
	for range 3 {
		l.planAll()
		l.recordAll()
	}
	for ip, owner := range had {
		if got := l.owner(ip); got != owner {
			t.Errorf("%s went from %s to %s", ip, owner, got)
		}
	}
	heal()
	l.settle()
	for name, n := range l.nodes {
		if failed := n.planner.Failed(); len(failed) > 0 {
			t.Errorf("%s cannot decide about %v", name, failed)
		}
	}
}

func TestAnAnnouncerThatIsStartedAnewHoldsWhatItHasRecorded(t *testing.T) {
	for _, kind := range []string{"address", "plan"} {
		t.Run("a fault of the "+kind, func(t *testing.T) {
			l := webAndOther(t)
			owner := l.owner(vip)
			defer guard.Plant(func(k string, object any) bool { return k == kind && (k == "plan" || object == addr(vip)) })()
			l.boot(owner, eth0)
			plan := l.plan(owner)
			if got := l.owner(vip); got != owner {
				t.Errorf("%s went from %s to %s", vip, owner, got)
			}
			if got := l.nodes[owner].planner.Status().Addresses; !slices.ContainsFunc(got, func(a v1alpha1.Layer2Address) bool { return a.IP == vip && a.Epoch == 1 }) {
				t.Errorf("records %+v", got)
			}
			if len(plan.Failures) == 0 {
				t.Error("says of no failure")
			}
			l.nodes[owner].planner.Drain() // asks for what no plan may have made
		})
	}
}

func TestProxiedAddressesOfAFaultStayProxied(t *testing.T) {
	l := webAndOther(t)
	l.setEndpoints(endpointsOn("web", "n1", "n2", "n3"))
	l.settle()
	owner := l.owner(vip)
	l.api[owner].Status.Layer2.Interfaces[0].MAC = "02:00:00:00:00:01"
	for _, n := range l.nodes {
		n.view.SetAnnouncer(owner, l.api[owner].DeepCopy())
	}
	l.kill(owner)
	l.states = map[string]MemberState{owner: AnnouncerDown}
	l.planAll()
	proxies := func() (names []string) {
		for name, n := range l.nodes {
			if _, proxied := n.proxied[addr(vip)]; proxied {
				names = append(names, name)
			}
		}
		return names
	}
	before := proxies()
	if len(before) != 1 {
		t.Fatalf("%s is proxied by %v", vip, before)
	}
	failingOn(t, vip)
	l.setEndpoints(endpointsOn("web", "n1"))
	l.planAll()
	if got := proxies(); !slices.Equal(got, before) {
		t.Errorf("%s is proxied by %v, before by %v", vip, got, before)
	}
	defer guard.Plant(func(kind string, _ any) bool { return kind == "plan" })()
	l.planAll()
	if got := proxies(); !slices.Equal(got, before) {
		t.Errorf("%s is proxied by %v, before by %v", vip, got, before)
	}
}

func TestAnObjectThatCannotBeReadKeepsWhatItWas(t *testing.T) {
	l := webAndOther(t)
	owner := l.owner(vip)
	broken := v1alpha1.L2AdvertisementSpec{NodeSelectors: selecting("no", "node")}
	defer guard.Plant(func(kind string, object any) bool {
		spec, is := object.(*v1alpha1.L2AdvertisementSpec)
		return kind == "spec" && is && len(spec.NodeSelectors) > 0
	})()
	l.advertise("all", broken)
	var failures []Failure
	for range 3 {
		failures = append(failures, l.plan(owner).Failures...)
	}
	if got := l.owner(vip); got != owner {
		t.Errorf("%s went from %s to %s", vip, owner, got)
	}
	if len(failures) != 1 || failures[0].On() != "L2Advertisement all" {
		t.Errorf("failed on %v", failures)
	}
	if got := l.nodes[owner].view.L2Advertisement("all").Reason(); got != v1alpha1.ReasonInternalError {
		t.Errorf("the object says %s", got)
	}
}

// TestAFaultOfOneNodeAloneMakesNoSecondOwner has the node that announces an address fail alone: the
// others go on without it, and it gives the address up as soon as it sees their claim.
func TestAFaultOfOneNodeAloneMakesNoSecondOwner(t *testing.T) {
	l := webAndOther(t)
	owner := l.owner(vip)
	defer guard.Plant(func(kind string, object any) bool { return kind == "plan" && object == owner })()
	l.setNode(nodeObject(owner, excluded))
	for range 10 {
		l.now = l.now.Add(time.Second)
		l.planAll()
		l.recordAll()
	}
	if got := l.owner(vip); got == owner {
		t.Errorf("%s stays with the node that is excluded", vip)
	}
}
