package plan

import (
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// via is a route by way of a router, and onLink one without.
func via(prefix string, rank int) Route { return Route{netip.MustParsePrefix(prefix), rank, false} }

func onLink(prefix string, rank int) Route { return Route{netip.MustParsePrefix(prefix), rank, true} }

func ifaceWith(name string, prefixes []string, routes ...Route) Interface {
	return Interface{Name: name, MAC: "52:54:00:00:00:0" + name[len(name)-1:], Prefixes: readPrefixes(prefixes), Routes: routes}
}

func withoutCarrier(i Interface) Interface {
	i.Down = true
	return i
}

func TestANodeAnnouncesOnTheInterfaceByWhichItsKernelSends(t *testing.T) {
	lan, other := []string{"192.168.10.0/24"}, []string{"10.1.0.0/16"}
	first, second := ifaceWith("eth0", lan, onLink("192.168.10.0/24", 0)), ifaceWith("eth1", lan, onLink("192.168.10.0/24", 1))
	bare := Interface{Name: "eth2"}
	elsewhere := ifaceWith("eth3", other, onLink("10.1.0.0/16", 0), via("0.0.0.0/0", 0))
	swapped := []Interface{ifaceWith("eth0", lan, onLink("192.168.10.0/24", 1)), ifaceWith("eth1", lan, onLink("192.168.10.0/24", 0))}
	for _, tt := range []struct {
		name       string
		interfaces []Interface
		ip         string
		asked      []string
		want       []string
	}{
		{"two in a subnet", []Interface{first, second}, vip, nil, []string{"eth0"}},
		{"two in a subnet, of which the second has the first route", swapped, vip, nil, []string{"eth1"}},
		{"two in a subnet, both asked for", swapped, vip, []string{"eth*"}, []string{"eth1"}},
		{"two in a subnet, the other one asked for", swapped, vip, []string{"eth0"}, []string{"eth0"}},
		{"one without an address is no second way into a LAN", []Interface{first, bare}, vip, []string{"eth0", "eth2"}, []string{"eth0"}},
		{"one without an address, asked for", []Interface{first, bare}, vip, []string{"eth2"}, []string{"eth2"}},
		{"a more specific route on link", []Interface{first, ifaceWith("eth1", lan, onLink("192.168.10.0/24", 1), onLink("192.168.10.192/26", 0))}, vip, nil, []string{"eth1"}},
		{"a route on link that is no address's", []Interface{elsewhere, ifaceWith("eth4", nil, onLink("203.0.113.0/24", 0))}, "203.0.113.5", nil, []string{"eth4"}},
		{"a route by way of a router rather than the default route", []Interface{elsewhere, ifaceWith("eth4", lan, onLink("192.168.10.0/24", 0), via("203.0.113.0/24", 0))}, "203.0.113.5", nil, []string{"eth4"}},
		{"an address whose network has no route", []Interface{elsewhere, ifaceWith("eth4", lan)}, vip, nil, []string{"eth3"}},
		{"two default routes", []Interface{ifaceWith("eth0", nil, via("0.0.0.0/0", 1)), ifaceWith("eth1", nil, via("0.0.0.0/0", 0))}, vip, nil, []string{"eth1"}},
		{"of no LAN, two in one LAN asked for", append(slices.Clone(swapped), elsewhere), "203.0.113.5", []string{"eth*"}, []string{"eth0", "eth3"}},
		{"the kernel sends by one without carrier", []Interface{withoutCarrier(first), second}, vip, nil, nil},
		{"the kernel sends by one without carrier, both asked for", []Interface{withoutCarrier(first), second}, vip, []string{"eth?"}, nil},
		{"the kernel sends by one without carrier, the other asked for", []Interface{withoutCarrier(first), second}, vip, []string{"eth1"}, []string{"eth1"}},
		{"the route of the one without carrier is gone", []Interface{withoutCarrier(Interface{Name: "eth0"}), second}, vip, nil, []string{"eth1"}},
		{"no route", []Interface{bare}, vip, nil, nil},
		{"IPv6 with an address of its own and a route for the network", []Interface{ifaceWith("eth5", []string{"2001:db8::7/128"}, onLink("2001:db8::7/128", 0), onLink("2001:db8::/64", 0)), elsewhere}, "2001:db8::222", nil, []string{"eth5"}},
	} {
		a := &l2Advertisement{interfaces: tt.asked}
		var got []string
		for _, i := range a.interfacesFor(addr(tt.ip), tt.interfaces) {
			got = append(got, i.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: on %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestTwoAdvertisementsHaveANodeAnnounceOnOneInterfaceOfALAN(t *testing.T) {
	l := web(t)
	l.advertise("all", v1alpha1.L2AdvertisementSpec{NodeSelectors: selecting(corev1.LabelHostname, "n1")})
	l.advertise("named", v1alpha1.L2AdvertisementSpec{NodeSelectors: selecting(corev1.LabelHostname, "n1"), Interfaces: []string{"eth1", "eth2"}})
	eth1 := eth0
	eth1.Name, eth1.Routes = "eth1", nil
	l.nodes["n1"].interfaces = []Interface{eth0, eth1, ifaceWith("eth2", []string{"10.1.0.0/16"})}
	l.settle()
	if got := l.nodes["n1"].layer2[addr(vip)]; !slices.Equal(got, []string{"eth1"}) {
		t.Errorf("announced on %v, want on that which is asked for by name", got)
	}
	if got, out := l.nodes["n1"].planner.Arrivals(addr(vip)); !slices.Equal(got, []string{"eth0", "eth1"}) || out != "eth0" {
		t.Errorf("requests arrive on %v, and the kernel sends by %s", got, out)
	}
}

func TestAnAddressFollowsTheRoutesOfItsNode(t *testing.T) {
	l := web(t)
	l.advertise("all", v1alpha1.L2AdvertisementSpec{NodeSelectors: selecting(corev1.LabelHostname, "n1")})
	l.settle()
	eth1 := ifaceWith("eth1", nil, onLink("192.168.10.192/26", 0))
	l.nodes["n1"].interfaces = []Interface{eth0, eth1}
	l.settle()
	if got := l.nodes["n1"].layer2[addr(vip)]; !slices.Equal(got, []string{"eth1"}) {
		t.Errorf("announced on %v", got)
	}
	// What a node records lets the others see what it can announce.
	recorded := l.api["n1"].Status.Layer2.Interfaces
	if len(recorded) != 2 || !slices.Equal(recorded[1].Prefixes, []string{"192.168.10.192/26"}) {
		t.Errorf("recorded %+v", recorded)
	}
}

func TestRoutesOfPodsAreNoReasonToPlan(t *testing.T) {
	l := web(t)
	l.settle()
	p := l.nodes["n1"].planner
	with := connected([]Interface{eth0})
	with = append(with, ifaceWith("cali1", nil, onLink("10.244.1.5/32", 0)))
	with[0].Routes = append(slices.Clone(with[0].Routes), via("10.244.2.0/24", 0))
	p.SetInterfaces(with)
	if p.Plan(l.now).Changed {
		t.Error("all is planned anew")
	}
	for _, i := range p.Status().Interfaces {
		if i.Name == "cali1" || len(i.Routes) > 0 || len(i.Prefixes) > 1 {
			t.Errorf("recorded %+v", i)
		}
	}
}

func TestANodeIsAskedForOnTheInterfaceByWhichTheKernelSends(t *testing.T) {
	l := web(t)
	p := l.nodes["n1"].planner
	interfaces := []Interface{
		ifaceWith("eth0", []string{"192.168.10.0/24"}, onLink("192.168.10.0/24", 1)),
		ifaceWith("eth1", []string{"192.168.10.0/24"}, onLink("192.168.10.0/24", 0), via("10.0.0.0/8", 0)),
		ifaceWith("eth2", nil, onLink("10.1.0.0/16", 0)),
	}
	for ip, want := range map[string]string{"192.168.10.12": "eth1", "10.1.2.3": "eth2", "10.2.2.3": "", "172.16.0.1": ""} {
		l.setNode(nodeAt("n2", ip))
		if got := p.NodeQuestion("n2", interfaces).Interface; got != want {
			t.Errorf("%s is asked for on %q, want %q", ip, got, want)
		}
	}
	interfaces[1].Down = true
	l.setNode(nodeAt("n2", "192.168.10.12"))
	if got := p.NodeQuestion("n2", interfaces); got.Address.IsValid() {
		t.Errorf("asked on %s although the kernel sends by an interface that is down", got.Interface)
	}
}

func TestWhoHasNoInterfaceIsToldWhichAreAskedFor(t *testing.T) {
	l := web(t)
	l.advertise("all", v1alpha1.L2AdvertisementSpec{Interfaces: []string{"eth9", "bond*"}})
	l.settle()
	const want = vip + ` default/web
  n1: no interface that is asked for (bond*, eth9) is on the node, up and suits this address
  n2: no interface that is asked for (bond*, eth9) is on the node, up and suits this address
  n3: no interface that is asked for (bond*, eth9) is on the node, up and suits this address
`
	if got := l.explain("n1", vip); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// nodeAt is a Node with an InternalIP.
func nodeAt(name, ip string) *corev1.Node {
	n := nodeObject(name)
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}}
	return n
}
