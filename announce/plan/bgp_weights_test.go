package plan

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// perEndpoint has peers told how many endpoints there are.
var perEndpoint = v1alpha1.BGPAdvertisementSpec{LinkBandwidth: v1alpha1.LinkBandwidthPerEndpoint}

func TestARouteWeighsAsMuchAsTheNodeHasEndpoints(t *testing.T) {
	terminating := discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(true), Terminating: ptr.To(true)}
	tests := []struct {
		name   string
		change func(r *rack)
		want   string
	}{
		{"those of the node alone", func(r *rack) { r.endpoints("web", "n1", "n1", "n2") }, "tor\n  192.168.10.1/32 2 Mbit/s"},
		{"nothing if the policy is Cluster, as all nodes are equal", func(r *rack) {
			r.service(serviceObject("web", "192.168.10.1"))
		}, "tor\n  192.168.10.1/32"},
		{"those of all EndpointSlices of the family", func(r *rack) {
			e := endpointsOn("web", "n1", "n1")
			r.view.SetEndpointSlice(types.NamespacedName{Namespace: "default", Name: "web-2"}, e)
			r.view.SetEndpointSlice(types.NamespacedName{Namespace: "default", Name: "web-6"}, endpoints6On("web", "n1"))
		}, "tor\n  192.168.10.1/32 3 Mbit/s"},
		{"those that are ready, though others still serve", func(r *rack) {
			e := endpointsOn("web", "n1", "n1", "n1")
			e.Endpoints[0].Conditions = terminating
			r.view.SetEndpointSlice(types.NamespacedName{Namespace: "default", Name: e.Name}, e)
		}, "tor\n  192.168.10.1/32 2 Mbit/s"},
		{"those that still serve if none is ready", func(r *rack) {
			e := endpointsOn("web", "n1", "n1")
			e.Endpoints[0].Conditions, e.Endpoints[1].Conditions = terminating, terminating
			r.view.SetEndpointSlice(types.NamespacedName{Namespace: "default", Name: e.Name}, e)
		}, "tor\n  192.168.10.1/32 2 Mbit/s"},
		{"those of all Services that share the address", func(r *rack) {
			r.service(local(serviceObject("dns", "192.168.10.1")))
			r.endpoints("dns", "n1", "n1", "n3")
		}, "tor\n  192.168.10.1/32 3 Mbit/s"},
		{"for the peers of the advertisement, whatever else is said", func(r *rack) {
			r.peer("tor2", nil)
			r.advertise("weights", v1alpha1.BGPAdvertisementSpec{LinkBandwidth: v1alpha1.LinkBandwidthPerEndpoint, Peers: []string{"tor2"}})
			r.advertise("other", v1alpha1.BGPAdvertisementSpec{MED: new(int64(5))})
		}, "tor\n  192.168.10.1/32 med 5\ntor2\n  192.168.10.1/32 med 5 1 Mbit/s"},
		{"while the node takes leave", func(r *rack) {
			r.plan()
			r.node("n1", drained)
		}, "tor\n  192.168.10.1/32 1 Mbit/s leaving"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRack()
			r.advertise("weights", perEndpoint)
			r.service(local(serviceObject("web", "192.168.10.1")))
			test.change(r)
			if got := r.plan().text(); got != test.want {
				t.Errorf("announces\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestAnEndpointThatComesOrGoesChangesTheRoutesOfItsServiceAlone(t *testing.T) {
	r := newRack()
	r.advertise("weights", perEndpoint)
	r.service(local(serviceObject("web", "192.168.10.1")))
	r.service(local(serviceObject("dns", "192.168.10.2")))
	r.endpoints("dns", "n1")
	before := r.plan()
	for _, nodes := range [][]string{{"n1", "n1"}, {"n1"}, {"n1", "n1", "n1"}} {
		r.endpoints("web", nodes...)
		plan := r.plan()
		if !plan.Changed || plan.Routes[bgp.SessionKey{Peer: "tor"}][0].Attributes == before.Routes[bgp.SessionKey{Peer: "tor"}][0].Attributes {
			t.Errorf("with endpoints on %s, web is announced as before", nodes)
		}
		if plan.Routes[bgp.SessionKey{Peer: "tor"}][1] != before.Routes[bgp.SessionKey{Peer: "tor"}][1] {
			t.Errorf("with endpoints on %s, dns is announced otherwise", nodes)
		}
		before = plan
	}
	r.endpoints("web", "n1", "n1", "n1", "n2", "n2")
	if r.plan().Changed {
		t.Error("endpoints on another node change what this one announces")
	}
	r.node("n1", func(n *corev1.Node) { n.Labels["any"] = "label" })
	if plan := r.plan(); &plan.Routes[bgp.SessionKey{Peer: "tor"}][0] != &before.Routes[bgp.SessionKey{Peer: "tor"}][0] {
		t.Error("equal routes are made anew")
	}
}
