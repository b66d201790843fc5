package plan

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestAnAddressStaysWhereItIs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(l *lan, owner string)
	}{
		{"when another node dies", func(l *lan, owner string) { l.kill(otherThan(l, owner)) }},
		{"when another node comes back", func(l *lan, owner string) {
			other := otherThan(l, owner)
			l.kill(other)
			l.settle()
			l.boot(other, eth0)
		}},
		{"when its announcer starts again", func(l *lan, owner string) { l.boot(owner, eth0) }},
		{"when another Service comes", func(l *lan, _ string) {
			l.setService(serviceObject("other", "192.168.10.201"))
			l.setEndpoints(endpointsOn("other", "n1"))
		}},
		{"when another Service shares it", func(l *lan, _ string) {
			l.setService(serviceObject("other", vip))
		}},
		{"when one of the Services that share it goes", func(l *lan, _ string) {
			l.setService(serviceObject("other", vip))
			l.setEndpoints(endpointsOn("other", "n2"))
			l.settle()
			l.deleteService("web")
		}},
		{"when the pool grows", func(l *lan, _ string) { l.setPool(poolObject("lan", "192.168.10.0/24")) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := web(t)
			l.settle()
			owner := l.owner(vip)
			tt.change(l, owner)
			l.settle()
			if got := l.owner(vip); got != owner {
				t.Errorf("moved from %s to %s", owner, got)
			}
			if got := l.api[owner].Status.Layer2.Addresses[0].Epoch; got != 1 {
				t.Errorf("epoch %d, want that of the first claim", got)
			}
		})
	}
}

func otherThan(l *lan, name string) string {
	for _, n := range l.alive {
		if n != name {
			return n
		}
	}
	return ""
}

func TestANodeThatWasOffTakesNothingBack(t *testing.T) {
	l := web(t)
	l.settle()
	first := l.owner(vip)
	l.kill(first)
	l.settle()
	second := l.owner(vip)
	claim := l.api[second].Status.Layer2.Addresses[0]
	if claim.Epoch != 2 || claim.IP != vip || !slices.Equal(claim.Interfaces, []string{"eth0"}) {
		t.Errorf("claimed %+v", claim)
	}
	l.boot(first, eth0)
	l.settle()
	if got := l.owner(vip); got != second {
		t.Errorf("%s took the address back from %s", got, second)
	}
	if old := l.api[first].Status.Layer2.Addresses; len(old) != 0 {
		t.Errorf("%s still claims %v", first, old)
	}
}

func TestFailoverGoesOnWithoutTheAPI(t *testing.T) {
	l := web(t)
	for i := range 20 {
		name := fmt.Sprintf("s%d", i)
		l.setService(serviceObject(name, fmt.Sprintf("192.168.10.%d", 200+i)))
		l.setEndpoints(endpointsOn(name, "n1"))
	}
	l.settle()
	l.apiAway = true
	check := func() {
		t.Helper()
		l.settle()
		for i := range 20 {
			l.owner(fmt.Sprintf("192.168.10.%d", 200+i))
		}
	}
	n3 := l.nodes["n3"]
	l.kill("n3")
	check()
	l.kill("n1")
	check()
	// n3 was only out of sight.
	l.nodes["n3"] = n3
	l.alive = []string{"n2", "n3"}
	check()
	l.apiAway = false
	check()
}

func TestAPlanWithoutAChangeChangesNothing(t *testing.T) {
	l := web(t)
	l.settle()
	for name, n := range l.nodes {
		if plan := n.planner.Plan(l.now); plan.Changed || len(plan.Moves) > 0 {
			t.Errorf("%s: %+v", name, plan)
		}
		// Nor do objects that say the same again.
		for _, set := range l.objects[:3] {
			set(n.view)
		}
		n.view.SetPool("lan", poolObject("lan", "192.168.10.200-192.168.10.250"))
		n.view.SetEndpointSlice(types.NamespacedName{Namespace: "default", Name: "web-x"}, endpointsOn("web", "n1", "n2"))
		if dirty, all := n.view.changes(); len(dirty) > 0 || all {
			t.Errorf("%s plans %v again (all: %t)", name, dirty, all)
		}
	}
}
