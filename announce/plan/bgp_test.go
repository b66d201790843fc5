package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestWhatANodeAnnouncesToItsPeers(t *testing.T) {
	internal := func(s *v1alpha1.BGPPeerSpec) { s.PeerASN = new(int64(65001)) }
	tests := []struct {
		name   string
		change func(t *testing.T, r *rack)
		want   string
	}{
		{"nothing without a BGPAdvertisement", func(*testing.T, *rack) {}, "tor"},
		{"every address that one selects", func(_ *testing.T, r *rack) {
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
			r.service(serviceObject("six", "fd00:10::1"))
			r.view.SetEndpointSlice(types.NamespacedName{Namespace: "default", Name: "six"}, endpoints6On("six", "n2"))
		}, "tor\n  192.168.10.1/32\n  fd00:10::1/128"},
		{"nothing without a pool that is selected", func(_ *testing.T, r *rack) {
			r.advertise("other", v1alpha1.BGPAdvertisementSpec{IPAddressPools: []string{"other"}})
		}, "tor"},
		{"what a pool selector selects", func(_ *testing.T, r *rack) {
			r.advertise("other", v1alpha1.BGPAdvertisementSpec{IPAddressPoolSelectors: selecting("pool", "public")})
		}, "tor\n  192.168.10.1/32"},
		{"nothing for a Service that is not selected", func(_ *testing.T, r *rack) {
			r.advertise("some", v1alpha1.BGPAdvertisementSpec{ServiceSelectors: selecting("app", "other")})
		}, "tor"},
		{"nothing from a node that is not selected", func(_ *testing.T, r *rack) {
			r.advertise("some", v1alpha1.BGPAdvertisementSpec{NodeSelectors: selecting(corev1.LabelHostname, "n2")})
		}, "tor"},
		{"nothing without an endpoint", func(_ *testing.T, r *rack) {
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
			r.endpoints("web")
		}, "tor"},
		{"from a node without an endpoint too, as the policy is Cluster", func(_ *testing.T, r *rack) {
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
			r.endpoints("web", "n2")
		}, "tor\n  192.168.10.1/32"},
		{"nothing from a node without an endpoint if the policy is Local", func(_ *testing.T, r *rack) {
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
			r.service(local(serviceObject("web", "192.168.10.1")))
			r.endpoints("web", "n2")
		}, "tor"},
		{"from a node with an endpoint if the policy is Local", func(_ *testing.T, r *rack) {
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
			r.service(local(serviceObject("web", "192.168.10.1")))
			r.endpoints("web", "n1")
		}, "tor\n  192.168.10.1/32"},
		{"a shared address for as long as any of its Services wants it", func(_ *testing.T, r *rack) {
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
			r.service(serviceObject("dns", "192.168.10.1"))
			r.endpoints("web")
			r.endpoints("dns", "n3")
		}, "tor\n  192.168.10.1/32"},
		{"to the peers that are named", func(_ *testing.T, r *rack) {
			r.peer("tor2", nil)
			r.advertise("one", v1alpha1.BGPAdvertisementSpec{Peers: []string{"tor2", "unknown"}})
		}, "tor\ntor2\n  192.168.10.1/32"},
		{"attributes that are meant for the kind of peer", func(_ *testing.T, r *rack) {
			r.peer("rr3", internal)
			r.peer("any", func(s *v1alpha1.BGPPeerSpec) { s.PeerASN, s.DynamicASN = nil, v1alpha1.DynamicASNExternal })
			r.peer("own", func(s *v1alpha1.BGPPeerSpec) { s.PeerASN, s.DynamicASN = nil, v1alpha1.DynamicASNInternal })
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{LocalPref: new(int64(200)), MED: new(int64(5)), PrependAS: new(int32(2))})
		}, "any\n  192.168.10.1/32 med 5 prepend 2\nown\n  192.168.10.1/32 localPref 200 med 5\n" +
			"rr3\n  192.168.10.1/32 localPref 200 med 5\ntor\n  192.168.10.1/32 med 5 prepend 2"},
		{"the communities of all, of the rest what the oldest says", func(_ *testing.T, r *rack) {
			r.advertise("z-first", v1alpha1.BGPAdvertisementSpec{MED: new(int64(5)), Communities: []string{"65000:2", "65000:1"}})
			r.advertise("a-second", v1alpha1.BGPAdvertisementSpec{MED: new(int64(6)), PrependAS: new(int32(3)),
				Communities: []string{"large:65000:1:2", "65000:1"}})
		}, "tor\n  192.168.10.1/32 med 5 prepend 3 65000:1 65000:2 large:65000:1:2"},
		{"communities by name, of two with one name the older", func(_ *testing.T, r *rack) {
			r.community("b", "cheap", "65000:9")
			r.community("a", "cheap", "65000:8")
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{Communities: []string{"cheap"}})
		}, "tor\n  192.168.10.1/32 65000:8"},
		{"nothing with an unknown community, which might be to keep the route from somewhere", func(_ *testing.T, r *rack) {
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{Communities: []string{"no-such"}})
			r.advertise("good", v1alpha1.BGPAdvertisementSpec{AggregationLength: new(int32(24))})
		}, "tor\n  192.168.10.0/24"},
		{"an aggregate once for all its addresses, beside the addresses", func(_ *testing.T, r *rack) {
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{AggregationLength: new(int32(25))})
			r.advertise("web", v1alpha1.BGPAdvertisementSpec{ServiceSelectors: selecting("app", "web")})
			web := serviceObject("web", "192.168.10.1")
			web.Labels = map[string]string{"app": "web"}
			r.service(web)
			r.service(serviceObject("dns", "192.168.10.2"))
			r.endpoints("dns", "n2")
		}, "tor\n  192.168.10.0/25\n  192.168.10.1/32"},
		{"no aggregate that reaches beyond its pool", func(_ *testing.T, r *rack) {
			r.view.SetPool("public", poolObject("public", "192.168.10.0-192.168.10.99", "192.168.10.100-192.168.10.254"))
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{AggregationLength: new(int32(24))})
			r.advertise("half", v1alpha1.BGPAdvertisementSpec{AggregationLength: new(int32(25))})
		}, "tor\n  192.168.10.0/25"},
		{"nothing to a peer of other nodes", func(_ *testing.T, r *rack) {
			r.peer("tor2", func(s *v1alpha1.BGPPeerSpec) { s.NodeSelectors = selecting(corev1.LabelHostname, "n2") })
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
		}, "tor\n  192.168.10.1/32"},
		{"to all gateways of the default routes in their family", func(_ *testing.T, r *rack) {
			r.peer("tor", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress, s.DefaultGateway = "", corev1.IPv4Protocol })
			r.peer("six", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress, s.DefaultGateway = "", corev1.IPv6Protocol })
			r.planner.SetGateways([]netip.Addr{netip.MustParseAddr("10.0.0.253"), netip.MustParseAddr("10.0.0.254"), netip.MustParseAddr("fe80::1%eth0")})
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
		}, "six@fe80::1%eth0\n  192.168.10.1/32\ntor@10.0.0.253\n  192.168.10.1/32\ntor@10.0.0.254\n  192.168.10.1/32"},
		{"why there is no session", func(t *testing.T, r *rack) {
			r.peer("a", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress, s.DefaultGateway = "", corev1.IPv6Protocol })
			r.peer("b", func(s *v1alpha1.BGPPeerSpec) { s.PasswordSecret = &v1alpha1.BGPPasswordSecret{Name: "missing"} })
			r.peer("c", func(s *v1alpha1.BGPPeerSpec) { s.PasswordSecret = &v1alpha1.BGPPasswordSecret{Name: "empty"} })
			r.view.SetSecret("empty", &corev1.Secret{})
			r.peer("g", func(s *v1alpha1.BGPPeerSpec) { s.PasswordSecret = &v1alpha1.BGPPasswordSecret{Name: "edited"} })
			r.view.SetSecret("edited", &corev1.Secret{Data: map[string][]byte{corev1.BasicAuthPasswordKey: []byte("secret\n")}})
			r.peer("d", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "10.9.9.9" })
			r.peer("e", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "10.9.9.9" })
			r.peer("f", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "fe80::1" })
			if r.view.Settle(); r.view.BGPPeer("f").Problem == nil {
				t.Error("a BGPPeer that cannot be reached from anywhere is accepted")
			}
		}, "d\ntor\na: the node has no default route by way of an IPv6 router\n" +
			"b: there is no Secret clarion-bgp/missing of type kubernetes.io/basic-auth\n" +
			"c: the Secret clarion-bgp/empty has no password\n" +
			"e: BGPPeer d, which is older, is for the same router\n" +
			"g: the password in the Secret clarion-bgp/edited ends with a newline, which no router takes"},
		{"nothing from a node without a network", func(_ *testing.T, r *rack) {
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
			r.node("n1", func(n *corev1.Node) {
				n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue}}
			})
		}, "tor"},
		{"the same from a node that is not ready", func(_ *testing.T, r *rack) {
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
			r.node("n1", notReady)
		}, "tor\n  192.168.10.1/32"},
		{"no session from the start for a node that is left out", func(_ *testing.T, r *rack) {
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
			r.node("n1", excluded)
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRack()
			test.change(t, r)
			if got := r.plan().text(); got != test.want {
				t.Errorf("announces\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// TestDifferencesAddUpToThePlan has a planner follow random changes, and one that sees only the
// result agree with it.
func TestDifferencesAddUpToThePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRack()
		var history []func(*rack)
		do := func(change func(*rack)) {
			history = append(history, change)
			change(r)
		}
		before := r.plan()
		steps := rapid.IntRange(1, 30).Draw(t, "steps")
		for range steps {
			service := rapid.SampledFrom([]string{"web", "dns", "git"}).Draw(t, "service")
			nodes := rapid.SliceOfN(rapid.SampledFrom([]string{"n1", "n2", "n3"}), 0, 4).Draw(t, "nodes")
			address := fmt.Sprintf("192.168.10.%d", rapid.IntRange(1, 4).Draw(t, "address"))
			name := rapid.SampledFrom([]string{"one", "two"}).Draw(t, "name")
			number := rapid.Int32Range(30, 32).Draw(t, "number")
			switch rapid.IntRange(0, 7).Draw(t, "change") {
			case 0:
				do(func(r *rack) { r.service(serviceObject(service, address)) })
			case 1:
				do(func(r *rack) { r.service(local(serviceObject(service, address))) })
			case 2:
				do(func(r *rack) { r.view.SetService(types.NamespacedName{Namespace: "default", Name: service}, nil) })
			case 3, 4:
				do(func(r *rack) { r.endpoints(service, nodes...) })
			case 5:
				do(func(r *rack) {
					r.advertise(name, v1alpha1.BGPAdvertisementSpec{AggregationLength: &number, MED: new(int64(number))})
				})
			case 6:
				do(func(r *rack) { r.view.SetBGPAdvertisement(name, nil) })
			case 7:
				do(func(r *rack) { r.advertise(name, perEndpoint) })
			}
			plan := r.plan()
			if !plan.Changed && plan.text() != before.text() {
				t.Fatalf("changed from\n%s\nto\n%s\nwithout saying so", before.text(), plan.text())
			}
			for session, routes := range plan.Routes {
				if !slices.IsSortedFunc(routes, func(a, b bgp.Route) int { return a.Prefix.Compare(b.Prefix) }) {
					t.Fatalf("routes of %s are not in order: %s", session, plan.text())
				}
			}
			before = plan
		}
		fresh := newRack()
		for _, change := range history {
			change(fresh)
		}
		if got, want := before.text(), fresh.plan().text(); got != want {
			t.Fatalf("by differences\n%s\nat once\n%s", got, want)
		}
	})
}

func TestWhatHasNotChangedIsTheSameInMemory(t *testing.T) {
	r := newRack()
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	r.peer("tor2", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "10.9.9.9" })
	first := r.plan()
	r.planner.stale = true
	second := r.plan()
	for key, routes := range first.Routes {
		if &routes[0] != &second.Routes[key][0] {
			t.Errorf("the routes of %s are made anew", key)
		}
	}
}
