package plan

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

var webName = types.NamespacedName{Namespace: "default", Name: "web"}

// checked is a Service whose traffic stays local, with a port on which kube-proxy tells of it.
func checked(s *corev1.Service) *corev1.Service {
	s.Spec.HealthCheckNodePort = 32000
	return local(s)
}

func (r *rack) unconfirmed() []types.NamespacedName {
	return slices.Collect(maps.Keys(r.view.Unconfirmed()))
}

func TestARouteWaitsUntilKubeProxyServesTheFirstEndpointOfANode(t *testing.T) {
	r := newLocalRack()
	r.service(checked(serviceObject("web", "192.168.10.1")))
	r.view.AwaitConfirmations("n1")
	r.expect(t, "what was there at the start", announcedByN1)
	r.endpoints("web", "n1", "n1", "n2")
	r.expect(t, "with another endpoint", announcedByN1)
	r.endpoints("web", "n2")
	r.expect(t, "without one", "tor")

	r.endpoints("web", "n1", "n2")
	r.expect(t, "with the first one", "tor")
	want := map[types.NamespacedName]EndpointCheck{webName: {Port: 32000, Addresses: []netip.Addr{addr("10.0.0.1")}}}
	if got := r.view.Unconfirmed(); !maps.EqualFunc(got, want, func(a, b EndpointCheck) bool {
		return a.Port == b.Port && slices.Equal(a.Addresses, b.Addresses)
	}) {
		t.Errorf("unconfirmed: %v, want %v", got, want)
	}
	r.view.Confirm(webName)
	r.expect(t, "when it is served", announcedByN1)
	if got := r.unconfirmed(); len(got) > 0 {
		t.Errorf("unconfirmed: %v", got)
	}
}

func TestWhatIsNotToBeConfirmed(t *testing.T) {
	for name, change := range map[string]func(*rack){
		"the policy is Cluster":       func(r *rack) { r.service(serviceObject("web", "192.168.10.1")) },
		"there is no port to ask":     func(r *rack) { r.service(local(serviceObject("web", "192.168.10.1"))) },
		"the endpoint is elsewhere":   func(r *rack) { r.endpoints("web", "n2") },
		"the endpoint has gone again": func(r *rack) { r.endpoints("web", "n1"); r.endpoints("web", "n2") },
		"the EndpointSlice is gone": func(r *rack) {
			r.endpoints("web", "n1")
			r.view.SetEndpointSlice(types.NamespacedName{Namespace: "default", Name: "web-x"}, nil)
		},
		"the Service is gone": func(r *rack) { r.endpoints("web", "n1"); r.view.SetService(webName, nil) },
		"the policy has changed": func(r *rack) {
			r.endpoints("web", "n1")
			r.service(serviceObject("web", "192.168.10.1"))
		},
		"the policy becomes Local": func(r *rack) {
			r.service(serviceObject("web", "192.168.10.1"))
			r.endpoints("web", "n1")
			r.service(checked(serviceObject("web", "192.168.10.1")))
		},
		"the endpoint was one that terminates": func(r *rack) {
			r.view.confirmations.node = ""
			r.endpointsOf("web", nil, "n1")
			r.view.AwaitConfirmations("n1")
			r.endpoints("web", "n1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newLocalRack()
			r.service(checked(serviceObject("web", "192.168.10.1")))
			r.endpoints("web")
			r.view.AwaitConfirmations("n1")
			change(r)
			if got := r.unconfirmed(); len(got) > 0 {
				t.Errorf("unconfirmed: %v", got)
			}
			r.view.Confirm(webName) // comes late
			r.plan()
		})
	}
}

func TestAServiceThatComesAfterItsEndpointsIsToBeConfirmed(t *testing.T) {
	r := newLocalRack()
	r.view.SetService(webName, nil)
	r.view.AwaitConfirmations("n1")
	r.service(checked(serviceObject("web", "192.168.10.1")))
	r.expect(t, "at first", "tor")
	labelled := checked(serviceObject("web", "192.168.10.1"))
	labelled.Labels = map[string]string{"a": "b"}
	r.service(labelled)
	r.expect(t, "with other labels", "tor")
	r.view.Confirm(webName)
	r.expect(t, "when it is served", announcedByN1)
}

// On layer 2 the node that has the address goes on until the next one is confirmed.
func TestAnAddressWaitsOnLayer2UntilKubeProxyServesTheEndpointOfItsNextOwner(t *testing.T) {
	l := web(t)
	l.setService(checked(serviceObject("web", vip)))
	l.setEndpoints(endpointsOn("web", "n1"))
	l.settle()
	if owner := l.owner(vip); owner != "n1" {
		t.Fatalf("%s has it, want n1", owner)
	}
	for name, n := range l.nodes {
		n.view.AwaitConfirmations(name)
	}
	moved := endpointsOn("web", "n1", "n2")
	moved.Endpoints[0].Conditions = terminating
	l.setEndpoints(moved)
	l.settle()
	if owner := l.owner(vip); owner != "n1" {
		t.Errorf("%s has it, want n1, since n2 does not serve it yet", owner)
	}
	l.nodes["n2"].view.Confirm(webName)
	l.settle()
	if owner := l.owner(vip); owner != "n2" {
		t.Errorf("%s has it, want n2", owner)
	}
}
