package announce

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/heartbeat"
	"github.com/clarionlb/clarion/announce/kube"
	"github.com/clarionlb/clarion/announce/liveness"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/notify"
)

// BenchmarkTurn is a turn of the loop of one announcer of ever larger clusters, from a change that the API tells to what is to be
// written: without the network, and without what it takes to read the change and to write. MiB is what the announcer holds for
// layer 2: the objects and what it makes of them.
func BenchmarkTurn(b *testing.B) {
	var all []*still // so that none goes while the next one is measured
	for _, size := range []struct{ nodes, services int }{{3, 999}, {3, 9_999}, {200, 10_000}, {5000, 50_000}} {
		b.Run(fmt.Sprintf("nodes=%d/services=%d", size.nodes, size.services), func(b *testing.B) {
			before := heap()
			c := newStill(size.nodes, size.services)
			all = append(all, c)
			c.turn(b.Context())
			held := heap() - before
			if got, want := len(c.planner.Status().Addresses), (size.services+size.nodes-1)/size.nodes; got != want {
				b.Fatalf("the node has %d addresses, want %d", got, want)
			}
			for _, change := range []struct {
				name string
				make func(n int)
			}{
				{"nothing", func(int) {}},
				{"endpoints", func(n int) { c.setEndpoints(1, n%2) }},
				{"own-endpoints", func(n int) { c.setEndpoints(0, n%2) }},
				{"claim", func(n int) { c.announcers[1].Status.Layer2.Addresses[0].Epoch = int64(2 + n); c.setAnnouncer(1) }},
				{"node", func(n int) { c.setNode(1, n%2 == 0) }},
				{"death", func(n int) { c.setAlive(1, n%2 == 1) }},
			} {
				b.Run("change="+change.name, func(b *testing.B) {
					n, began := 0, processorTime()
					for b.Loop() {
						change.make(n)
						c.turn(b.Context())
						n++
					}
					b.ReportMetric(float64((processorTime()-began).Nanoseconds())/float64(n), "cpu-ns/op")
					b.ReportMetric(float64(held)/(1<<20), "MiB")
				})
			}
		})
	}
	runtime.KeepAlive(all)
}

// heap is how much memory is in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first one has finalized
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// still is the first node of a cluster in which nothing happens by itself: every address is claimed.
type still struct {
	*Announcer
	nodes      []string
	announcers []*v1alpha1.Announcer
	services   []*corev1.Service
}

func newStill(nodes, services int) *still {
	host := hollowHost{address: stillAddress(0), mac: net.HardwareAddr{2, 0, 0, 0, 0, 0}, ready: make(chan struct{}), never: notify.New()}
	c := &still{}
	api := stillAPI{c}
	c.Announcer = newAnnouncer(Config{Node: stillName(0), Registry: prometheus.NewRegistry(), Logger: klog.Logger{}}, parts{
		api: apiParts{
			watcher: api, cacheSync: kube.NewCacheSync(nil, api), status: stillWriter{}, events: fakeEvents{"", &journal{}},
			reachable: func(context.Context) bool { return true },
		},
		lan:    lanParts{links: host, responder: hollowResponder{host}, prober: hollowProber{host}, relayer: host, rejects: hollowRejects{}},
		checks: hollowChecks{host},
		health: &fakeHealth{changed: notify.New()},
		pauses: hollowPauses{liveness.NewPauseWatch(heartbeat.DefaultInterval)},
	})
	c.view.SetPool("lan", &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "lan"}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: []string{"10.200.0.0/16"}}})
	c.view.SetL2Advertisement("all", &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "all"}})
	for i := range nodes {
		c.nodes = append(c.nodes, stillName(i))
		c.setNode(i, true)
		a := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: stillName(i)}}
		a.Status.Layer2.Interfaces = []v1alpha1.Layer2Interface{{Name: "eth0", MAC: fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&255), Prefixes: []string{"10.0.0.0/8"}}}
		for s := i; s < services; s += nodes {
			a.Status.Layer2.Addresses = append(a.Status.Layer2.Addresses, v1alpha1.Layer2Address{IP: stillService(s), Interfaces: []string{"eth0"}, Epoch: 1, Since: metav1.Now()})
		}
		c.announcers = append(c.announcers, a)
		c.setAnnouncer(i)
	}
	for s := range services {
		name := types.NamespacedName{Namespace: "default", Name: fmt.Sprint("app-", s)}
		service := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, UID: types.UID(name.Name)},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
			Status: corev1.ServiceStatus{
				Conditions:   []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue}},
				LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: stillService(s)}}},
			},
		}
		c.services = append(c.services, service)
		c.view.SetService(name, service)
		c.setEndpoints(s, 0)
	}
	c.others.watch.heartbeats = noHeartbeats{}
	c.setAlive(0, true)
	c.updatePeers()
	return c
}

// setAlive has the gossip see one of the nodes or not, and all others.
func (c *still) setAlive(i int, alive bool) {
	names := slices.Clone(c.nodes)
	if !alive {
		names = slices.Delete(names, i, i+1)
	}
	c.others.members = stillMembers{names: names}
}

func stillName(i int) string        { return fmt.Sprintf("node-%04d", i) }
func stillAddress(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 100, byte(i >> 8), byte(i)}) }
func stillService(i int) string     { return fmt.Sprintf("10.200.%d.%d", i>>8, i&255) }

func (c *still) setAnnouncer(i int) { c.view.SetAnnouncer(stillName(i), c.announcers[i]) }

func (c *still) setNode(i int, ready bool) {
	n := nodeObject(stillName(i), stillAddress(i).String())
	if !ready {
		n.Status.Conditions[0].Status = corev1.ConditionFalse
	}
	c.view.SetNode(n.Name, n)
}

// setEndpoints gives a Service an endpoint on one of two nodes.
func (c *still) setEndpoints(s, on int) {
	name := types.NamespacedName{Namespace: "default", Name: fmt.Sprint("app-", s)}
	c.view.SetEndpointSlice(name, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, Labels: map[string]string{discoveryv1.LabelServiceName: name.Name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{NodeName: &c.nodes[on]}},
	})
}

// stillAPI has what it was given.
type stillAPI struct{ *still }

func (s stillAPI) Run(context.Context) error { return nil }

func (stillAPI) Problem() error { return nil }

func (s stillAPI) Announcer(name string) *v1alpha1.Announcer {
	if name == s.node {
		return s.announcers[0]
	}
	return nil
}

type stillWriter struct{ statusWriter }

func (stillWriter) Write(v1alpha1.AnnouncerStatus) {}
func (stillWriter) Recheck()                       {}

// stillMembers are all alive.
type stillMembers struct {
	members
	names []string
}

func (s stillMembers) Alive() []string              { return s.names }
func (stillMembers) Left(string) bool               { return false }
func (stillMembers) LastSeen(string) (at time.Time) { return at }
func (stillMembers) Tell(string, []byte)            {}
func (stillMembers) Broadcast([]byte)               {}
func (stillMembers) SetPeers(map[string]netip.Addr) {}
func (stillMembers) SetNodes([]netip.Addr)          {}
