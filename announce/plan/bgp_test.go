package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// rack is node n1 of three, which plans its routes, and what the API says.
type rack struct {
	view    *View
	planner *BGPPlanner
	now     time.Time
}

// newRack has one Service, web, with 192.168.10.1 and an endpoint on every node, and an external router for all.
func newRack() *rack {
	r := &rack{view: NewView(), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	r.planner = NewBGPPlanner(r.view, "n1")
	for i, name := range []string{"n1", "n2", "n3"} {
		r.node(name, func(n *corev1.Node) {
			n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.0.0.%d", i+1)}}
		})
	}
	pool := poolObject("public", "192.168.10.0/24", "fd00:10::/64")
	pool.Labels = map[string]string{"pool": "public"}
	r.view.SetPool("public", pool)
	r.service(serviceObject("web", "192.168.10.1"))
	r.endpoints("web", "n1", "n2", "n3")
	r.peer("tor", nil)
	return r
}

func (r *rack) node(name string, change ...func(*corev1.Node)) {
	r.view.SetNode(name, nodeObject(name, change...))
}

func (r *rack) service(s *corev1.Service) {
	r.view.SetService(types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, s)
}

func (r *rack) endpoints(service string, nodes ...string) {
	e := endpointsOn(service, nodes...)
	r.view.SetEndpointSlice(types.NamespacedName{Namespace: e.Namespace, Name: e.Name}, e)
}

// peer is external, with an address that depends on its name, unless changed.
func (r *rack) peer(name string, change func(*v1alpha1.BGPPeerSpec)) error {
	asn := int64(65000)
	p := &v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.BGPPeerSpec{
		MyASN: 65001, PeerASN: &asn, PeerAddress: fmt.Sprintf("10.0.0.%d", 100+int(name[len(name)-1])%100),
	}}
	if change != nil {
		change(&p.Spec)
	}
	return r.view.SetBGPPeer(name, p)
}

// advertise makes a BGPAdvertisement; those made later are younger.
func (r *rack) advertise(name string, spec v1alpha1.BGPAdvertisementSpec) error {
	r.now = r.now.Add(time.Second)
	return r.view.SetBGPAdvertisement(name, &v1alpha1.BGPAdvertisement{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(r.now)}, Spec: spec,
	})
}

func (r *rack) community(name, alias, value string) {
	r.view.SetCommunity(name, &v1alpha1.Community{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.CommunitySpec{Communities: []v1alpha1.CommunityAlias{{Name: alias, Value: value}}},
	})
}

func (r *rack) plan() BGPPlan { return r.planner.Plan(r.now) }

// says is what the node says, as text: a line for every session, route and refusal.
func (p BGPPlan) says() string {
	var lines []string
	for _, key := range slices.SortedFunc(maps.Keys(p.Peers), bgp.SessionKey.Compare) {
		lines = append(lines, key.String())
		for _, route := range p.Routes[key] {
			lines = append(lines, "  "+route.Prefix.String()+saysOf(route.Attributes))
		}
	}
	for _, refusal := range p.Refused {
		lines = append(lines, refusal.Peer+": "+refusal.Sentence())
	}
	return strings.Join(lines, "\n")
}

func saysOf(a *bgp.Attributes) (text string) {
	if a.LocalPref != nil {
		text += fmt.Sprintf(" localPref %d", *a.LocalPref)
	}
	if a.MED != nil {
		text += fmt.Sprintf(" med %d", *a.MED)
	}
	if a.Prepend > 0 {
		text += fmt.Sprintf(" prepend %d", a.Prepend)
	}
	for _, c := range a.Communities {
		text += fmt.Sprintf(" %d:%d", c>>16, c&0xffff)
	}
	for _, c := range a.LargeCommunities {
		text += fmt.Sprintf(" large:%d:%d:%d", c.Global, c.Local1, c.Local2)
	}
	if a.LinkBandwidth != 0 {
		text += fmt.Sprintf(" %g Mbit/s", a.LinkBandwidth*8/1e6)
	}
	if a.Leaving {
		text += " leaving"
	}
	return text
}

func TestWhatANodeSaysToItsRouters(t *testing.T) {
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
		{"to all routers of the default routes in their family", func(_ *testing.T, r *rack) {
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
			r.peer("d", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "10.9.9.9" })
			r.peer("e", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "10.9.9.9" })
			if err := r.peer("f", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "fe80::1" }); err == nil {
				t.Error("a BGPPeer that cannot be reached from anywhere is accepted")
			}
		}, "d\ntor\na: the node has no default route by way of an IPv6 router\n" +
			"b: there is no Secret clarion-system/missing of type kubernetes.io/basic-auth\n" +
			"c: the Secret clarion-system/empty has no password\n" +
			"e: BGPPeer d, which is older, is for the same router"},
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
		{"nobody from the start to a node that is left out", func(_ *testing.T, r *rack) {
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
			r.node("n1", excluded)
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRack()
			test.change(t, r)
			if got := r.plan().says(); got != test.want {
				t.Errorf("says\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestParametersOfASession(t *testing.T) {
	r := newRack()
	r.peer("tor", func(s *v1alpha1.BGPPeerSpec) {
		s.PeerAddress, s.PeerPort, s.SourceAddress = "10.0.0.254", 1179, "10.0.0.1"
		s.HoldTime, s.ConnectTime = &metav1.Duration{Duration: 9 * time.Second}, &metav1.Duration{Duration: 2 * time.Second}
		s.TTLSecurityHops, s.EnableGracefulRestart, s.MaxPrefixes = new(int32(1)), true, new(int32(10))
		s.PasswordSecret = &v1alpha1.BGPPasswordSecret{Name: "tor"}
	})
	r.view.SetSecret("tor", &corev1.Secret{Data: map[string][]byte{"password": []byte("secret")}})
	want := bgp.Peer{
		Address: netip.MustParseAddr("10.0.0.254"), Port: 1179, Source: netip.MustParseAddr("10.0.0.1"),
		LocalASN: 65001, PeerASN: 65000, RouterID: netip.MustParseAddr("10.0.0.1"),
		Password: "secret", SecurityHops: 1, MaxPrefixes: 10,
		HoldTime: 9 * time.Second, ConnectTime: 2 * time.Second, RestartTime: 2 * time.Minute,
	}
	if got := r.plan().Peers[bgp.SessionKey{Peer: "tor"}]; got != want {
		t.Errorf("session %+v, want %+v", got, want)
	}
	r.node("n1", func(n *corev1.Node) { n.Status.Addresses = nil })
	if got := r.plan().Peers[bgp.SessionKey{Peer: "tor"}].RouterID; !got.Is4() || got.IsUnspecified() {
		t.Errorf("router ID %s of a node without an IPv4 address", got)
	}
}

func TestTakingLeaveOfRouters(t *testing.T) {
	r := newRack()
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	r.service(local(serviceObject("here", "192.168.10.2")))
	r.endpoints("here", "n1")
	says := func(want string) time.Time {
		t.Helper()
		plan := r.plan()
		if got := plan.says(); got != want {
			t.Errorf("says\n%s\nwant\n%s", got, want)
		}
		return plan.Wake
	}
	next := func(wake time.Time) {
		t.Helper()
		if !wake.After(r.now) {
			t.Fatalf("to wake at %s, now is %s", wake, r.now)
		}
		r.now = wake
	}
	says("tor\n  192.168.10.1/32\n  192.168.10.2/32")

	r.node("n1", drained)
	next(says("tor\n  192.168.10.1/32 leaving\n  192.168.10.2/32 leaving"))
	next(says("tor\n  192.168.10.2/32 leaving")) // which no other node can have
	if wake := says("tor\n  192.168.10.2/32 leaving"); !wake.IsZero() {
		t.Errorf("to wake at %s", wake)
	}
	r.endpoints("here", "n1", "n2")
	says("")
	r.node("n2", drained)
	says("tor\n  192.168.10.2/32 leaving")
	r.node("n3", excluded)
	says("tor\n  192.168.10.1/32 leaving\n  192.168.10.2/32 leaving")
	r.node("n1")
	says("tor\n  192.168.10.1/32\n  192.168.10.2/32")

	r.node("n1", excluded)
	next(says("tor\n  192.168.10.1/32 leaving\n  192.168.10.2/32 leaving"))
	next(says("tor"))
	says("")
}

func TestContradictionsAreSaidOfTheYounger(t *testing.T) {
	r := newRack()
	r.advertise("b-first", v1alpha1.BGPAdvertisementSpec{LocalPref: new(int64(1))})
	r.advertise("a-second", v1alpha1.BGPAdvertisementSpec{LocalPref: new(int64(2))})
	r.advertise("elsewhere", v1alpha1.BGPAdvertisementSpec{LocalPref: new(int64(3)), Peers: []string{"other"}})
	r.advertise("wider", v1alpha1.BGPAdvertisementSpec{LocalPref: new(int64(4)), AggregationLength: new(int32(24))})
	r.plan()
	got := r.planner.Contradictions()
	want := map[string]Contradiction{"a-second": {netip.MustParsePrefix("192.168.10.1/32"), "localPref", "b-first"}}
	if !maps.Equal(got, want) {
		t.Errorf("contradictions %v, want %v", got, want)
	}
	const sentence = "192.168.10.1/32 is announced with the localPref of BGPAdvertisement b-first, which is older"
	if got := got["a-second"].Sentence(); got != sentence {
		t.Errorf("got %q, want %q", got, sentence)
	}
}

func TestEveryNodeHasAReason(t *testing.T) {
	r := newRack()
	explain := func(want ...string) {
		t.Helper()
		r.plan()
		e := r.planner.Explain(netip.MustParseAddr("192.168.10.1"))
		got := []string{string(e.Refused)}
		for _, v := range e.Verdicts {
			got = append(got, fmt.Sprintf("%s %s %s", v.Node, v.Reason, v.Peers))
		}
		if !slices.Equal(got, want) {
			t.Errorf("explained as %q, want %q", got, want)
		}
	}
	explain("NoAdvertisement")
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	explain("", "n1 Announces [tor]", "n2 Announces [tor]", "n3 Announces [tor]")
	r.node("n1", drained)
	r.node("n2", excluded)
	r.peer("tor", func(s *v1alpha1.BGPPeerSpec) { s.NodeSelectors = selecting(corev1.LabelHostname, "n1") })
	explain("", "n1 Draining [tor]", "n2 Excluded []", "n3 NoPeer []")
	r.service(local(serviceObject("web", "192.168.10.1")))
	r.endpoints("web", "n2")
	explain("", "n1 NoLocalEndpoint []", "n2 Excluded []", "n3 NoLocalEndpoint []")
	r.endpoints("web")
	explain("NoEndpoint")
}

// TestDifferencesAddUpToThePlan has a planner follow random changes, and one that sees only the result agree with it.
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
			if !plan.Changed && plan.says() != before.says() {
				t.Fatalf("changed from\n%s\nto\n%s\nwithout saying so", before.says(), plan.says())
			}
			for session, routes := range plan.Routes {
				if !slices.IsSortedFunc(routes, func(a, b bgp.Route) int { return a.Prefix.Compare(b.Prefix) }) {
					t.Fatalf("routes of %s are not in order: %s", session, plan.says())
				}
			}
			before = plan
		}
		fresh := newRack()
		for _, change := range history {
			change(fresh)
		}
		if got, want := before.says(), fresh.plan().says(); got != want {
			t.Fatalf("by differences\n%s\nat once\n%s", got, want)
		}
	})
}

func TestWhatHasNotChangedIsTheSameInMemory(t *testing.T) {
	r := newRack()
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	r.peer("tor2", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "10.9.9.9" })
	first := r.plan()
	r.view.SetCommunity("any", &v1alpha1.Community{})
	second := r.plan()
	for key, routes := range first.Routes {
		if &routes[0] != &second.Routes[key][0] {
			t.Errorf("the routes of %s are made anew", key)
		}
	}
}
