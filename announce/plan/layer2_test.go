package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestWhatEveryNodeDoesAndWhy(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(l *lan)
		want   string
	}{
		{"one node announces, the others stand by", func(*lan) {}, `
192.168.10.222 default/web
  n1: could announce it
  n2: announces it, it has the best claim
  n3: could announce it
`},
		{"traffic that must stay local goes to nodes with endpoints", func(l *lan) {
			l.setService(local(serviceObject("web", vip)))
		}, `
192.168.10.222 default/web
  n1: could announce it
  n2: announces it, it has the best claim
  n3: externalTrafficPolicy is Local and no endpoint on this node can serve
`},
		{"without an endpoint nobody announces", func(l *lan) { l.setEndpoints(endpointsOn("web")) }, `
192.168.10.222 default/web: the Service has no endpoint that can serve
`},
		{"endpoints of the other family do not count", func(l *lan) {
			l.setEndpoints(endpointsOn("web"))
			l.setEndpoints(endpoints6On("web", "n1"))
		}, `
192.168.10.222 default/web: the Service has no endpoint that can serve
`},
		{"excluded nodes and nodes without a network are left out", func(l *lan) {
			l.setNode(nodeObject("n1", func(n *corev1.Node) { n.Labels[corev1.LabelNodeExcludeBalancers] = "" }))
			l.setNode(nodeObject("n3", func(n *corev1.Node) {
				n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue}}
			}))
		}, `
192.168.10.222 default/web
  n1: the node is labelled node.kubernetes.io/exclude-from-external-load-balancers
  n2: announces it, it has the best claim
  n3: the Node has the condition NetworkUnavailable
`},
		{"nodes out of sight and nodes without an announcer are left out", func(l *lan) {
			l.setNode(nodeObject("n0"))
			l.kill("n3")
		}, `
192.168.10.222 default/web
  n0: no announcer has run on this node
  n1: could announce it
  n2: announces it, it has the best claim
  n3: the announcer of this node is not in sight
`},
		{"node selectors", func(l *lan) {
			l.advertise("all", v1alpha1.L2AdvertisementSpec{NodeSelectors: selecting(corev1.LabelHostname, "n1")})
		}, `
192.168.10.222 default/web
  n1: announces it, it has the best claim
  n2: no advertisement of this address selects the node
  n3: no advertisement of this address selects the node
`},
		{"several advertisements add up", func(l *lan) {
			l.advertise("all", v1alpha1.L2AdvertisementSpec{NodeSelectors: selecting(corev1.LabelHostname, "n1")})
			l.advertise("more", v1alpha1.L2AdvertisementSpec{NodeSelectors: selecting(corev1.LabelHostname, "n2")})
		}, `
192.168.10.222 default/web
  n1: could announce it
  n2: announces it, it has the best claim
  n3: no advertisement of this address selects the node
`},
		{"no interface suits the address", func(l *lan) {
			l.nodes["n1"].interfaces = []Interface{{Name: "eth1", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
			l.nodes["n3"].interfaces = nil
		}, `
192.168.10.222 default/web
  n1: no interface of the node that is up suits this address
  n2: announces it, it has the best claim
  n3: no interface of the node that is up suits this address
`},
		{"interfaces by name suit whatever their networks", func(l *lan) {
			l.advertise("all", v1alpha1.L2AdvertisementSpec{Interfaces: []string{"vlan*"}})
			l.nodes["n2"].interfaces = []Interface{eth0, {Name: "vlan7"}}
		}, `
192.168.10.222 default/web
  n1: no interface of the node that is up suits this address
  n2: announces it, it has the best claim
  n3: no interface of the node that is up suits this address
`},
		{"no advertisement selects the Service", func(l *lan) {
			l.advertise("all", v1alpha1.L2AdvertisementSpec{ServiceSelectors: selecting("app", "other")})
		}, `
192.168.10.222 default/web: no L2Advertisement or BGPAdvertisement selects this address
`},
		{"an advertisement selects the pool by label", func(l *lan) {
			l.advertise("all", v1alpha1.L2AdvertisementSpec{IPAddressPools: []string{"other"}, IPAddressPoolSelectors: selecting("pool", "lan")})
		}, `
192.168.10.222 default/web
  n1: could announce it
  n2: announces it, it has the best claim
  n3: could announce it
`},
		{"an advertisement selects other pools", func(l *lan) {
			l.advertise("all", v1alpha1.L2AdvertisementSpec{IPAddressPools: []string{"other"}})
		}, `
192.168.10.222 default/web: no L2Advertisement or BGPAdvertisement selects this address
`},
		{"no pool has the address", func(l *lan) { l.setPool(poolObject("lan", "192.168.10.1-192.168.10.10")) }, `
192.168.10.222 default/web: no IPAddressPool contains this address
`},
		{"nobody wants the address any more", func(l *lan) { l.deleteService("web") }, `
192.168.10.222: no Service has this address
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := web(t)
			tt.change(l)
			l.settle()
			want := strings.TrimPrefix(tt.want, "\n")
			for _, n := range slices.Sorted(maps.Keys(l.nodes)) {
				if got := l.explain(n, vip); got != want {
					t.Errorf("%s says\n%swant\n%s", n, got, want)
				}
			}
			var owners []string
			for line := range strings.Lines(want) {
				if name, verdict, _ := strings.Cut(strings.TrimSpace(line), ": "); strings.HasPrefix(verdict, "announces it") {
					owners = append(owners, name)
				}
			}
			if got := l.owners(vip); !slices.Equal(got, owners) {
				t.Errorf("announced by %v, want %v", got, owners)
			}
		})
	}
}

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

func TestOfTwoThatTookAnAddressTheLoserStopsAtOnce(t *testing.T) {
	l := web(t)
	l.away = true
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
		n.planner.SetInterfaces([]Interface{eth0})
		n.layer2 = n.planner.Plan(l.now).Layer2
	}
	if got := l.owners(vip); len(got) != 2 {
		t.Fatalf("announced by %v", got)
	}
	l.away = false
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

func TestFailoverGoesOnWithoutTheAPI(t *testing.T) {
	l := web(t)
	for i := range 20 {
		name := fmt.Sprintf("s%d", i)
		l.setService(serviceObject(name, fmt.Sprintf("192.168.10.%d", 200+i)))
		l.setEndpoints(endpointsOn(name, "n1"))
	}
	l.settle()
	l.away = true
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
	l.away = false
	check()
}

func TestBlockedGossipLeavesOneOwnerAndNoQuarrel(t *testing.T) {
	for _, tt := range []struct {
		name string
		sees map[string][]string
	}{
		{"one node apart", map[string][]string{"n1": {"n1"}, "n2": {"n2", "n3"}, "n3": {"n2", "n3"}}},
		{"every node alone", map[string][]string{"n1": {"n1"}, "n2": {"n2"}, "n3": {"n3"}}},
		{"one that is not seen by another that it sees", map[string][]string{"n1": {"n1", "n2", "n3"}, "n2": {"n2", "n3"}, "n3": {"n1", "n2", "n3"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := web(t)
			for i := range 20 {
				name := fmt.Sprintf("s%d", i)
				l.setService(serviceObject(name, fmt.Sprintf("192.168.10.%d", 200+i)))
				l.setEndpoints(endpointsOn(name, "n1"))
			}
			check := func() {
				t.Helper()
				l.settle()
				for i := range 20 {
					l.owner(fmt.Sprintf("192.168.10.%d", 200+i))
				}
			}
			check()
			l.sees = tt.sees
			check()
			// A node that dies now is not missed by the gossip, but in time by Kubernetes.
			l.kill("n3")
			for name, sees := range l.sees {
				l.sees[name] = slices.DeleteFunc(slices.Clone(sees), func(n string) bool { return n == "n3" })
			}
			l.settle()
			l.setNode(nodeObject("n3", func(n *corev1.Node) {
				n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
			}))
			check()
			l.sees = nil
			before := len(l.moves)
			check()
			if moves := l.moves[before:]; len(moves) > 0 {
				t.Errorf("moved when all was well again: %v", moves)
			}
		})
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

func TestInterfacesOfAnAddress(t *testing.T) {
	prefix := netip.MustParsePrefix
	interfaces := []Interface{
		{Name: "bond0", Prefixes: []netip.Prefix{prefix("192.168.10.0/24")}},
		{Name: "eth0", Prefixes: []netip.Prefix{prefix("10.1.0.0/16"), prefix("192.168.10.0/25")}},
		{Name: "mgmt", DefaultRoute4: true},
		{Name: "vlan6", Prefixes: []netip.Prefix{prefix("2001:db8::/64")}, DefaultRoute6: true},
		{Name: "vlan7", Prefixes: []netip.Prefix{prefix("2001:db8:7::/64")}},
	}
	for _, tt := range []struct {
		ip    string
		names []string
		want  []string
	}{
		{"192.168.10.200", nil, []string{"bond0"}},
		{"192.168.10.100", nil, []string{"bond0", "eth0"}},
		{"172.16.0.1", nil, []string{"mgmt"}},
		{"172.16.0.1", []string{"eth0", "bond?"}, []string{"bond0", "eth0"}},
		{"192.168.10.200", []string{"eth9"}, nil},
		{"2001:db8:7::200", nil, []string{"vlan7"}},
		{"2001:db8:8::200", nil, []string{"vlan6"}},
		{"2001:db8:8::200", []string{"bond0"}, []string{"bond0"}},
	} {
		l := web(t)
		l.setEndpoints(endpoints6On("web", "n1"))
		l.setPool(poolObject("lan", tt.ip))
		l.advertise("all", v1alpha1.L2AdvertisementSpec{Interfaces: tt.names, NodeSelectors: selecting(corev1.LabelHostname, "n1")})
		l.setService(serviceObject("web", tt.ip))
		l.nodes["n1"].interfaces = interfaces
		l.settle()
		if got := l.nodes["n1"].layer2[netip.MustParseAddr(tt.ip)]; !slices.Equal(got, tt.want) {
			t.Errorf("%s with interfaces %v is announced on %v, want %v", tt.ip, tt.names, got, tt.want)
		}
	}
}

func TestEachFamilyOfAServiceGoesByItsOwnEndpointsAndInterfaces(t *testing.T) {
	const vip6 = "2001:db8::222"
	l := web(t)
	l.setPool(poolObject("lan", "192.168.10.200-192.168.10.250", "2001:db8::200-2001:db8::250"))
	l.setService(local(serviceObject("web", vip, vip6)))
	l.setEndpoints(endpoints6On("web", "n2", "n3"))
	both := eth0
	both.Prefixes = append(slices.Clone(both.Prefixes), netip.MustParsePrefix("2001:db8::/64"))
	l.nodes["n1"].interfaces = []Interface{both}
	l.nodes["n3"].interfaces = []Interface{{Name: "eth0", DefaultRoute6: true}}
	l.settle()
	const want4 = `192.168.10.222 default/web
  n1: could announce it
  n2: announces it, it has the best claim
  n3: externalTrafficPolicy is Local and no endpoint on this node can serve
`
	const want6 = `2001:db8::222 default/web
  n1: externalTrafficPolicy is Local and no endpoint on this node can serve
  n2: no interface of the node that is up suits this address
  n3: announces it, it has the best claim
`
	for _, n := range []string{"n1", "n2", "n3"} {
		if got := l.explain(n, vip) + l.explain(n, vip6); got != want4+want6 {
			t.Errorf("%s says\n%swant\n%s", n, got, want4+want6)
		}
	}
	if got := l.nodes["n3"].layer2[netip.MustParseAddr(vip6)]; !slices.Equal(got, []string{"eth0"}) {
		t.Errorf("announced on %v", got)
	}
}

func TestOnlyInterfacesThatCanCarryAnAddressArePublished(t *testing.T) {
	l := web(t)
	l.advertise("all", v1alpha1.L2AdvertisementSpec{Interfaces: []string{"eth0", "vlan7"}})
	l.nodes["n1"].interfaces = []Interface{eth0, {Name: "veth1"}, {Name: "vlan7"}}
	l.settle()
	var names []string
	for _, i := range l.api["n1"].Status.Layer2.Interfaces {
		names = append(names, i.Name)
	}
	if !slices.Equal(names, []string{"eth0", "vlan7"}) {
		t.Errorf("published %v", names)
	}
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
