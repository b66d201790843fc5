package plan

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// newLocalRack has web announced, with traffic that stays local.
func newLocalRack() *rack {
	r := newRack()
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	r.service(local(serviceObject("web", "192.168.10.1")))
	return r
}

// endpointsOf gives a Service an endpoint on each node that terminates, and a ready one on others.
func (r *rack) endpointsOf(service string, ready []string, ends ...string) {
	e := endpointsOn(service, append(ready, ends...)...)
	for i := range ends {
		e.Endpoints[len(ready)+i].Conditions = terminating
	}
	r.view.SetEndpointSlice(types.NamespacedName{Namespace: e.Namespace, Name: e.Name}, e)
}

func (r *rack) expect(t *testing.T, when, want string) BGPPlan {
	t.Helper()
	plan := r.plan()
	if got := plan.text(); got != want {
		t.Errorf("%s:\n%s\nwant\n%s", when, got, want)
	}
	return plan
}

const (
	announcedByN1 = "tor\n  192.168.10.1/32"
	leavingN1     = announcedByN1 + " leaving"
)

func TestARouteLeavesANodeWhoseEndpointsTerminateGracefully(t *testing.T) {
	r := newLocalRack()
	r.expect(t, "at first", announcedByN1)
	r.endpointsOf("web", []string{"n2"}, "n1")
	plan := r.expect(t, "when it terminates", leavingN1)
	if !plan.Wake.Equal(r.now.Add(gracefulPeriod)) || plan.Draining {
		t.Errorf("wakes at %v, draining %v", plan.Wake, plan.Draining)
	}
	r.now = r.now.Add(gracefulPeriod / 2)
	r.endpointsOf("web", []string{"n2", "n3"}, "n1")
	r.expect(t, "when more are ready elsewhere", leavingN1)
	r.now = r.now.Add(gracefulPeriod / 2)
	if plan := r.expect(t, "when others had time to be found", "tor"); !plan.Wake.IsZero() || !plan.Changed {
		t.Errorf("wakes at %v, changed %v", plan.Wake, plan.Changed)
	}
	r.endpointsOf("web", []string{"n1", "n2"})
	r.expect(t, "when it has a ready one again", announcedByN1)
}

func TestARouteStaysWhereEndpointsTerminateIfNoOtherNodeCanServe(t *testing.T) {
	for name, elsewhere := range map[string]func(*rack){
		"all terminate":               func(r *rack) { r.endpointsOf("web", nil, "n1", "n2") },
		"the other node is drained":   func(r *rack) { r.node("n2", drained) },
		"the other node is not ready": func(r *rack) { r.node("n2", notReady) },
		"the other node is excluded":  func(r *rack) { r.node("n2", excluded) },
		"the other node has no peer": func(r *rack) {
			r.peer("tor", func(s *v1alpha1.BGPPeerSpec) { s.NodeSelectors = selecting("kubernetes.io/hostname", "n1") })
		},
		"there is a Cluster Service too": func(r *rack) {
			r.service(serviceObject("other", "192.168.10.1"))
			r.endpoints("other", "n3")
		},
		"one beside it is ready": func(r *rack) { r.endpointsOf("web", []string{"n1", "n2"}, "n1") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newLocalRack()
			r.endpointsOf("web", []string{"n2"}, "n1")
			elsewhere(r)
			for range 3 {
				r.expect(t, name, announcedByN1)
				r.now = r.now.Add(gracefulPeriod)
			}
		})
	}
}

// What other nodes can do may change while endpoints terminate.
func TestARouteComesBackIfTheOtherNodeGoes(t *testing.T) {
	r := newLocalRack()
	r.endpointsOf("web", []string{"n2"}, "n1")
	r.plan()
	r.now = r.now.Add(gracefulPeriod)
	r.expect(t, "at first", "tor")
	r.node("n2", notReady)
	r.expect(t, "when n2 is not ready", announcedByN1)
	r.node("n2")
	r.expect(t, "when it is again", leavingN1)
	r.view.SetService(types.NamespacedName{Namespace: "default", Name: "web"}, nil)
	if plan := r.expect(t, "without the Service", "tor"); !plan.Wake.IsZero() {
		t.Errorf("wakes at %v", plan.Wake)
	}
}

// Several addresses go each in its own time, and an aggregate stays for those that do.
func TestAnAggregateStaysUntilTheLastOfItsAddressesHasLeft(t *testing.T) {
	r := newLocalRack()
	length := int32(28)
	r.advertise("aggregate", v1alpha1.BGPAdvertisementSpec{AggregationLength: &length})
	r.service(local(serviceObject("other", "192.168.10.2")))
	r.endpoints("other", "n1")
	r.expect(t, "at first", "tor\n  192.168.10.0/28\n  192.168.10.1/32\n  192.168.10.2/32")
	r.endpointsOf("web", []string{"n2"}, "n1")
	r.expect(t, "when one leaves", "tor\n  192.168.10.0/28\n  192.168.10.1/32 leaving\n  192.168.10.2/32")
	r.now = r.now.Add(gracefulPeriod)
	r.endpointsOf("other", []string{"n2"}, "n1")
	r.expect(t, "when the other one does", "tor\n  192.168.10.0/28\n  192.168.10.2/32 leaving")
	r.now = r.now.Add(gracefulPeriod)
	r.expect(t, "in the end", "tor")
}

func TestWhyANodeWhoseEndpointsTerminateDoesNotAnnounce(t *testing.T) {
	r := newLocalRack()
	r.endpointsOf("web", []string{"n2"}, "n1")
	r.plan()
	want := map[string]Reason{"n1": EndpointsTerminate, "n2": Announces, "n3": NoLocalEndpoint}
	for _, v := range r.planner.Explain(addr("192.168.10.1")).Verdicts {
		if v.Reason != want[v.Node] || (len(v.Peers) > 0) != (v.Reason == Announces) {
			t.Errorf("%+v, want %s", v, want[v.Node])
		}
	}
	r.endpointsOf("web", nil, "n1", "n2")
	r.plan()
	want = map[string]Reason{"n1": Announces, "n2": Announces, "n3": NoLocalEndpoint}
	for _, v := range r.planner.Explain(addr("192.168.10.1")).Verdicts {
		if v.Reason != want[v.Node] {
			t.Errorf("if all terminate: %+v, want %s", v, want[v.Node])
		}
	}
}
