package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestPreferredNodesComeFirst(t *testing.T) {
	prefer := func(weight int32, node string) v1alpha1.PreferredNodeSelector {
		return v1alpha1.PreferredNodeSelector{Weight: weight, Preference: selecting(corev1.LabelHostname, node)[0]}
	}
	l := web(t)
	l.deleteService("web")
	l.advertise("all", v1alpha1.L2AdvertisementSpec{PreferredNodeSelectors: []v1alpha1.PreferredNodeSelector{prefer(10, "n1"), prefer(20, "n3")}})
	l.many(6)
	l.settle()
	if got := l.carries(); got != "0 0 6" {
		t.Fatalf("they carry %s", got)
	}
	l.kill("n3")
	l.settle()
	if got := l.carries(); got != "6 0" {
		t.Fatalf("then %s", got)
	}
	l.boot("n3", eth0)
	l.advertise("more", v1alpha1.L2AdvertisementSpec{PreferredNodeSelectors: []v1alpha1.PreferredNodeSelector{prefer(15, "n2")}})
	l.advertise("most", v1alpha1.L2AdvertisementSpec{PreferredNodeSelectors: []v1alpha1.PreferredNodeSelector{prefer(15, "n2")}})
	l.settle()
	if got := l.carries(); got != "6 0 0" {
		t.Fatalf("nothing moves for a preference, but %s", got)
	}
	for name := range l.nodes {
		l.annotate(name, v1alpha1.AnnotationRebalance, "1")
	}
	l.settle()
	if got := l.carries(); got != "0 6 0" {
		t.Errorf("weights add up: %s", got)
	}
}

func TestBothFamiliesOfAServiceGoTogether(t *testing.T) {
	l := web(t)
	l.deleteService("web")
	l.setPool(poolObject("lan", "192.168.10.200-192.168.10.250", "2001:db8::200-2001:db8::250"))
	both := eth0
	both.Prefixes = append(slices.Clone(both.Prefixes), netip.MustParsePrefix("2001:db8::/64"))
	for _, n := range l.nodes {
		n.interfaces = []Interface{both}
	}
	for i := range 6 {
		name := fmt.Sprintf("s%d", i)
		l.setService(serviceObject(name, fmt.Sprintf("192.168.10.%d", 200+i), fmt.Sprintf("2001:db8::20%d", i)))
		l.setEndpoints(endpointsOn(name, "n1"))
		l.setEndpoints(endpoints6On(name, "n1"))
	}
	check := func() {
		t.Helper()
		l.settle()
		for i := range 6 {
			if four, six := l.owner(fmt.Sprintf("192.168.10.%d", 200+i)), l.owner(fmt.Sprintf("2001:db8::20%d", i)); four != six {
				t.Errorf("s%d is announced by %s and %s", i, four, six)
			}
		}
	}
	check()
	if got := l.carries(); got != "4 4 4" {
		t.Errorf("they carry %s", got)
	}
	l.kill("n2")
	check()
}

func TestInterfacesOfAnAddress(t *testing.T) {
	prefix := netip.MustParsePrefix
	interfaces := []Interface{
		{Name: "bond0", Prefixes: []netip.Prefix{prefix("192.168.10.0/24")}},
		{Name: "eth0", Prefixes: []netip.Prefix{prefix("10.1.0.0/16"), prefix("192.168.10.0/25")}},
		{Name: "mgmt", Routes: []Route{default4}},
		{Name: "vlan6", Prefixes: []netip.Prefix{prefix("2001:db8::/64")}, Routes: []Route{default6}},
		{Name: "vlan7", Prefixes: []netip.Prefix{prefix("2001:db8:7::/64")}},
	}
	for _, tt := range []struct {
		ip    string
		names []string
		want  []string
	}{
		{"192.168.10.200", nil, []string{"bond0"}},
		{"192.168.10.100", nil, []string{"eth0"}},
		{"172.16.0.1", nil, []string{"mgmt"}},
		{"172.16.0.1", []string{"eth0", "bond?"}, []string{"bond0"}},
		{"172.16.0.1", []string{"vlan?", "mgmt"}, []string{"mgmt", "vlan6", "vlan7"}},
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
	l.nodes["n3"].interfaces = []Interface{{Name: "eth0", Routes: []Route{default6}}}
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
