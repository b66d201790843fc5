package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// large is the first node of a cluster of that size, with every address claimed and nothing left to do.
func large(b *testing.B, nodes, addresses int) (*Layer2Planner, *View) {
	v := NewView()
	v.SetPool("lan", poolObject("lan", "10.0.0.0/16", "192.168.0.0/24"))
	v.SetL2Advertisement("all", &v1alpha1.L2Advertisement{})
	names := make([]string, nodes)
	announcers := make([]*v1alpha1.Announcer, nodes)
	wide := Interface{Name: "eth0", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}}
	for i := range nodes {
		names[i] = fmt.Sprintf("node-%03d", i)
		// Pods have a network of their own on each node.
		pods := Interface{Name: "cni0", Prefixes: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 1}), 24)}}
		v.SetNode(names[i], nodeObject(names[i]))
		announcers[i] = &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: names[i]}}
		announcers[i].Status.Layer2.Interfaces = []v1alpha1.Layer2Interface{writeInterface(pods), writeInterface(wide)}
	}
	for i := range addresses {
		ip := benchAddress(i)
		name := fmt.Sprintf("s%d", i)
		v.SetService(types.NamespacedName{Namespace: "default", Name: name}, serviceObject(name, ip))
		e := endpointsOn(name, names[i%nodes], names[(i+1)%nodes])
		v.SetEndpointSlice(types.NamespacedName{Namespace: "default", Name: e.Name}, e)
		status := &announcers[i%nodes].Status
		status.Layer2.Addresses = append(status.Layer2.Addresses, v1alpha1.Layer2Address{IP: ip, Epoch: 1, Interfaces: []string{"eth0"}})
	}
	for i, a := range announcers {
		v.SetAnnouncer(names[i], a)
	}
	p := NewLayer2Planner(v, names[0])
	p.SetInterfaces(connected([]Interface{wide}))
	p.SetAlive(names)
	if got := len(p.Plan(time.Now()).Layer2); got != addresses/nodes {
		b.Fatalf("announces %d addresses", got)
	}
	return p, v
}

func benchAddress(i int) string {
	return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()
}

func BenchmarkPlan(b *testing.B) {
	const nodes, addresses = 100, 10_000
	b.Run("a node dies and returns", func(b *testing.B) {
		p, _ := large(b, nodes, addresses)
		all := p.alive
		without := slices.Concat(all[:50], all[51:])
		b.ReportAllocs()
		for b.Loop() {
			p.SetAlive(without)
			p.Plan(time.Now())
			p.SetAlive(all)
			p.Plan(time.Now())
		}
	})
	b.Run("half of the nodes die and return", func(b *testing.B) {
		p, _ := large(b, nodes, addresses)
		all := p.alive
		for b.Loop() {
			p.SetAlive(all[:50])
			p.Plan(time.Now())
			p.SetAlive(all)
			p.Plan(time.Now())
		}
	})
	b.Run("a Service comes and goes", func(b *testing.B) {
		p, v := large(b, nodes, addresses)
		name := types.NamespacedName{Namespace: "default", Name: "new"}
		e := endpointsOn("new", "node-007")
		v.SetEndpointSlice(types.NamespacedName{Namespace: "default", Name: e.Name}, e)
		b.ReportAllocs()
		for b.Loop() {
			v.SetService(name, serviceObject("new", benchAddress(addresses)))
			p.Plan(time.Now())
			v.SetService(name, nil)
			p.Plan(time.Now())
		}
	})
}
