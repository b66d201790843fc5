package plan

import (
	"slices"
	"testing"
)

// KEP-1669: traffic that must stay local goes to ready endpoints, and only where there are none to
// those that terminate and still serve.

func TestAnAddressLeavesANodeWhoseEndpointsTerminateForOneWithAReadyEndpoint(t *testing.T) {
	l := web(t)
	l.setService(local(serviceObject("web", vip)))
	l.setEndpoints(endpointsOn("web", "n1"))
	l.settle()
	if owner := l.owner(vip); owner != "n1" {
		t.Fatalf("%s has it, want n1, which has the only endpoint", owner)
	}

	alone := endpointsOn("web", "n1")
	alone.Endpoints[0].Conditions = terminating
	l.setEndpoints(alone)
	l.settle()
	if owner := l.owner(vip); owner != "n1" {
		t.Errorf("%s has it, want n1, whose endpoint still serves and is the only one", owner)
	}

	replaced := endpointsOn("web", "n1", "n2")
	replaced.Endpoints[0].Conditions = terminating
	l.setEndpoints(replaced)
	for range 20 {
		changed, wake := l.planAll()
		if owners := l.owners(vip); len(owners) == 0 {
			t.Fatal("nobody announces it while it moves")
		}
		if !l.recordAll() && !changed {
			if wake.IsZero() || slices.Equal(l.owners(vip), []string{"n2"}) {
				break
			}
			l.now = wake
		}
	}
	if owner := l.owner(vip); owner != "n2" {
		t.Errorf("%s has it, want n2, which has the only ready endpoint", owner)
	}
	const want = `192.168.10.222 default/web
  n1: externalTrafficPolicy is Local, and the endpoints on this node terminate while others are ready
  n2: announces it, it has the best claim
  n3: externalTrafficPolicy is Local and no endpoint on this node can serve
`
	if got := l.explain("n3", vip); got != want {
		t.Errorf("it is explained by\n%swant\n%s", got, want)
	}
}

func TestAReadyEndpointBesideOneThatTerminatesKeepsTheAddress(t *testing.T) {
	l := web(t)
	l.setService(local(serviceObject("web", vip)))
	l.setEndpoints(endpointsOn("web", "n1"))
	l.settle()
	both := endpointsOn("web", "n1", "n1", "n2")
	both.Endpoints[0].Conditions = terminating
	l.setEndpoints(both)
	l.settle()
	if owner := l.owner(vip); owner != "n1" {
		t.Errorf("%s has it, want n1, which has a ready endpoint", owner)
	}
}

func TestEndpointsThatTerminateOnAllNodesServeOn(t *testing.T) {
	l := web(t)
	l.setService(local(serviceObject("web", vip)))
	l.setEndpoints(endpointsOn("web", "n2", "n3"))
	l.settle()
	before := l.owner(vip)
	all := endpointsOn("web", "n2", "n3")
	all.Endpoints[0].Conditions, all.Endpoints[1].Conditions = terminating, terminating
	l.setEndpoints(all)
	l.settle()
	if owner := l.owner(vip); owner != before {
		t.Errorf("it moved from %s to %s, want that it stays: no endpoint is better than another", before, owner)
	}
}
