package plan

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/announce/election"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestAnExplanationSaysInWhosePlaceANodeAnnounces(t *testing.T) {
	for _, tt := range []struct {
		decision  election.Decision
		incumbent Reason
		want      string
	}{
		{election.Decision{Owner: "n2", Why: election.Unclaimed}, StandsBy, "nobody had claimed it"},
		{election.Decision{Owner: "n2", Why: election.IncumbentDown, Incumbent: "n1"}, NotAlive, "in place of n1, which is not in sight"},
		{election.Decision{Owner: "n2", Why: election.IncumbentIneligible, Incumbent: "n1"}, Excluded,
			"in place of n1 (the node is labelled node.kubernetes.io/exclude-from-external-load-balancers)"},
		{election.Decision{Owner: "n2", Why: election.IncumbentIneligible, Incumbent: "n1"}, StandsBy, "in place of n1"},
		{election.Decision{Owner: "n2", Why: election.HandedOver, Incumbent: "n1"}, Draining, "handed over by n1"},
	} {
		e := Layer2Explanation{Decision: tt.decision, Verdicts: []Layer2Verdict{{Node: "n1", Reason: tt.incumbent}, {Node: "n2", Reason: Announces}}}
		if want := "\n  n2: announces it, " + tt.want + "\n"; !strings.HasSuffix(e.String(), want) {
			t.Errorf("got %swant it to end with %s", e, want)
		}
	}
}

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
  n1: no interface that is asked for (vlan*) is on the node, up and suits this address
  n2: announces it, it has the best claim
  n3: no interface that is asked for (vlan*) is on the node, up and suits this address
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
