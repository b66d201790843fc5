package announce

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/bfd"
	"github.com/clarionlb/clarion/announce/heartbeat"
	"github.com/clarionlb/clarion/announce/kube"
	"github.com/clarionlb/clarion/announce/liveness"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/notify"
)

// journal is what nodes have done, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(node, what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, node+" "+what)
}

// take returns what was done since the last call.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

// has says whether a line since the last take has all these words.
func (j *journal) has(words ...string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.lines, func(line string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
	})
}

// cluster is some nodes on one LAN, with one API and one gossip.
type cluster struct {
	t       *testing.T
	journal *journal
	api     *fakeAPI
	lan     *fakeLAN
	gossip  *fakeGossip
	// heartless are nodes without heartbeats, as those of an earlier version.
	heartless map[string]bool
	// wire carries real heartbeats; without it they are fake.
	wire    *bfd.Wire
	running map[string]*running
}

// running is one run of an announcer.
type running struct {
	*Announcer
	connection *connection
	station    *station
	registry   *prometheus.Registry
	machine    *machine
	pauses     *liveness.PauseWatch
	checks     *fakeChecks
	health     *fakeHealth
	logged     *journal
	cancel     context.CancelFunc
	ended      chan struct{}
	err        error
}

// inCluster runs a test in a cluster with nodes of these names, whose announcers are not started,
// in time of its own.
func inCluster(t *testing.T, names []string, test func(t *testing.T, c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		c := &cluster{t: t, journal: j, api: newFakeAPI(j), lan: newFakeLAN(j), gossip: newFakeGossip(j), heartless: map[string]bool{}, running: map[string]*running{}}
		for _, name := range names {
			c.api.setNode(nodeObject(name, addressOf(name).String()))
		}
		c.api.set(func(v *plan.View) {
			v.SetL2Advertisement("all", &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "all"}})
			v.SetPool("pool", &v1alpha1.IPAddressPool{
				ObjectMeta: metav1.ObjectMeta{Name: "pool"},
				Spec:       v1alpha1.IPAddressPoolSpec{Addresses: []string{"192.168.10.100-192.168.10.200"}},
			})
		})
		test(t, c)
		for _, r := range c.running {
			r.cancel()
			<-r.ended
		}
	})
}

// machine has a clock that goes on while its processes do not run.
type machine struct {
	began     time.Time
	suspended atomic.Int64
}

func (m *machine) clock() time.Duration {
	return time.Since(m.began) + time.Duration(m.suspended.Load())
}

// numberOf is n for the node named nN.
func numberOf(name string) byte {
	n, err := strconv.ParseUint(name[1:], 10, 8)
	if err != nil {
		panic(err)
	}
	return byte(n)
}

func addressOf(name string) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 168, 10, 10 + numberOf(name)})
}

func nodeObject(name, address string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)},
		Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
}

// prepare makes the announcer of a node, which start runs. In between, a test can have things go
// wrong.
func (c *cluster) prepare(name string) *running {
	r := &running{
		connection: c.api.connect(name),
		station:    c.lan.plug(name, addressOf(name), net.HardwareAddr{2, 0, 0, 0, 0, numberOf(name)}),
		registry:   prometheus.NewRegistry(),
		checks:     &fakeChecks{changed: notify.New()},
		health:     &fakeHealth{changed: notify.New()},
		logged:     &journal{},
		ended:      make(chan struct{}),
	}
	r.machine = &machine{began: time.Now()}
	r.pauses = liveness.NewPauseWatchOn(heartbeat.DefaultInterval, r.machine.clock)
	r.station.fit, r.station.hold = r.pauses.Fit, r.pauses.Hold
	logger := funcr.New(func(_, line string) { r.logged.add(name, line) }, funcr.Options{})
	r.Announcer = newAnnouncer(Config{Node: name, Registry: r.registry, Logger: logger}, parts{
		api: apiParts{
			watcher:    r.connection,
			layer2:     r.connection,
			keys:       keyConnection{r.connection},
			cacheSync:  kube.NewCacheSync(r.connection, r.connection),
			status:     kube.NewStatusWriter(name, r.connection, r.connection, logger),
			events:     fakeEvents{name, c.journal},
			unanswered: nobodyWaits{},
			reachable:  func(ctx context.Context) bool { return kube.Answers(ctx, r.connection, name) },
		},
		lan: lanParts{
			links: fakeLinks{r.station}, responder: fakeResponder{r.station}, prober: fakeProber{r.station},
			relayer: fakeRelayer{r.station}, rejects: fakeRejects{r.station},
		},
		checks:     r.checks,
		health:     r.health,
		peering:    idle{},
		pauses:     r.pauses,
		newMembers: func(_ netip.Addr, key []byte) members { return c.gossip.newMember(name, key) },
		newHeartbeats: func(address netip.Addr, keys func() [][]byte) heartbeats {
			switch {
			case c.heartless[name]:
				return noHeartbeats{}
			case c.wire != nil:
				return heartbeat.NewOn(heartbeat.Config{Address: address, Keys: keys}, c.wire.NewSpeaker(address))
			}
			return newFakeHeartbeats(r.station)
		},
	})
	c.running[name] = r
	return r
}

// idle is a part that has nothing to do.
type idle struct{}

func (idle) Stuck() error { return nil }

func (idle) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// start runs the announcer of a node.
func (c *cluster) start(name string) *running {
	r := c.prepare(name)
	r.run(c.t.Context())
	return r
}

func (r *running) run(ctx context.Context) {
	ctx, r.cancel = context.WithCancel(ctx)
	go func() {
		defer close(r.ended)
		r.err = r.Run(ctx)
	}()
}

// stop tells an announcer to end and returns what Run does.
func (r *running) stop() error {
	r.cancel()
	<-r.ended
	return r.err
}

// service gives a Service an address and endpoints that serve.
func (c *cluster) service(name, ip string) {
	c.serviceOf(name, ip, "", func(*corev1.Service) {})
}

// serviceOf is service for one that is changed, and whose endpoint is on a node.
func (c *cluster) serviceOf(name, ip, node string, change func(*corev1.Service)) {
	key := types.NamespacedName{Namespace: "default", Name: name}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
		Status: corev1.ServiceStatus{
			Conditions:   []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue}},
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: ip}}},
		},
	}
	change(service)
	c.api.set(func(v *plan.View) {
		v.SetService(key, service)
		v.SetEndpointSlice(key, &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: key.Namespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{NodeName: &node}},
		})
	})
}

// after lets time pass until nothing happens any more but by time alone.
func (c *cluster) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// expectOwners checks who answers for an address.
func (c *cluster) expectOwners(ip string, nodes ...string) {
	c.t.Helper()
	if is := c.lan.owners(netip.MustParseAddr(ip)); !slices.Equal(is, nodes) {
		c.t.Errorf("%s answer for %s, want %s", is, ip, nodes)
	}
}

// expectInOrder checks that the journal has these lines in this order, others in between, and takes
// it.
func (c *cluster) expectInOrder(lines ...string) {
	c.t.Helper()
	all, i := c.journal.take(), 0
	for _, line := range all {
		if i < len(lines) && line == lines[i] {
			i++
		}
	}
	if i < len(lines) {
		c.t.Errorf("did not find %q in its place in\n%s", lines[i], strings.Join(all, "\n"))
	}
}

// condition is what an Announcer says about one of its conditions.
func (c *cluster) condition(node, kind string) string {
	a := c.api.announcer(node)
	if a == nil {
		return "no Announcer"
	}
	condition := meta.FindStatusCondition(a.Status.Conditions, kind)
	if condition == nil {
		return "none"
	}
	return fmt.Sprintf("%s %s: %s", condition.Status, condition.Reason, condition.Message)
}

// expectLogged checks that an announcer has logged a line with all these words.
func (c *cluster) expectLogged(r *running, words ...string) {
	c.t.Helper()
	if !r.logged.has(words...) {
		c.t.Errorf("no line has %q:\n%s", words, strings.Join(r.logged.take(), "\n"))
	}
}

func (c *cluster) expectNotLogged(r *running, words ...string) {
	c.t.Helper()
	if r.logged.has(words...) {
		c.t.Errorf("a line has %q:\n%s", words, strings.Join(r.logged.take(), "\n"))
	}
}

// expectReady checks what an Announcer says of itself.
func (c *cluster) expectReady(node, prefix string) {
	c.t.Helper()
	c.expectCondition(node, v1alpha1.ConditionReady, prefix)
}

func (c *cluster) expectCondition(node, kind, prefix string) {
	c.t.Helper()
	if is := c.condition(node, kind); !strings.HasPrefix(is, prefix) {
		c.t.Errorf("%s says %q, want %q", node, is, prefix)
	}
}
