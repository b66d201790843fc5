package peering

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bfd"
	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/bgp/speaker"
	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/notify"
)

// record has what was done, in order, by whoever did it.
type record struct {
	mu    sync.Mutex
	lines []string
}

func (r *record) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// take returns it, and begins anew.
func (r *record) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

// fakeBGP has the sessions that a test says. It takes a second to end.
type fakeBGP struct {
	*record
	signal notify.Signal
	err    error

	mu    sync.Mutex
	peers []bgp.PeerStatus
	bgpOrders
}

// bgpOrders is what BGP was told last. Its values do not change.
type bgpOrders struct {
	set    map[bgp.SessionKey]bgp.Peer
	host   bgp.Host
	reason string
	// rejected are the prefixes for which the kernel refuses what nobody serves.
	rejected map[netip.Prefix]struct{}
}

// told returns it.
func (f *fakeBGP) told() bgpOrders {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bgpOrders
}

// fakeRejects is the kernel that refuses what nobody serves.
type fakeRejects struct{ *fakeBGP }

func (f fakeRejects) Set(announced map[netip.Prefix]struct{}, _ time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rejected = maps.Clone(announced)
}

func (f fakeRejects) Step(time.Time) time.Time { return time.Time{} }
func (f fakeRejects) Leave()                   {}

func (f *fakeBGP) Run(ctx context.Context) error {
	<-ctx.Done()
	time.Sleep(time.Second)
	f.add("BGP ends: %s", f.told().reason)
	return f.err
}

func (f *fakeBGP) Changed() <-chan struct{} { return f.signal }

func (f *fakeBGP) Peers() []bgp.PeerStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.peers)
}

func (f *fakeBGP) Set(peers map[bgp.SessionKey]bgp.Peer, routes map[bgp.SessionKey][]bgp.Route) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var words []string
	for _, key := range slices.SortedFunc(maps.Keys(peers), bgp.SessionKey.Compare) {
		words = append(words, fmt.Sprintf("%s with %d routes", key, len(routes[key])))
		for _, route := range routes[key] {
			if _, rejected := f.rejected[route.Prefix]; !rejected {
				f.add("%s is announced before the kernel refuses what nobody serves of it", route.Prefix)
			}
		}
	}
	f.set = maps.Clone(peers)
	f.add("BGP: %s", strings.Join(words, ", "))
}

func (f *fakeBGP) Suspend(suspended map[bgp.SessionKey]bgp.Problem) {
	for _, key := range slices.SortedFunc(maps.Keys(suspended), bgp.SessionKey.Compare) {
		f.add("suspend %s: %s", key, suspended[key])
	}
}

func (f *fakeBGP) Reset(key bgp.SessionKey, why bgp.Problem) { f.add("reset %s: %s", key, why) }

func (f *fakeBGP) SetHost(host bgp.Host) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.host = host
}

func (f *fakeBGP) SetCloseReason(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reason = reason
}

func (f *fakeBGP) SetShutdownMessage(string) {}

// fakeBFD has the paths that a test says.
type fakeBFD struct {
	*record
	signal notify.Signal
	err    error

	mu       sync.Mutex
	statuses []bfd.Status
}

func (f *fakeBFD) Run(ctx context.Context) error {
	<-ctx.Done()
	f.add("BFD ends")
	return f.err
}

func (f *fakeBFD) Changed() <-chan struct{} { return f.signal }

func (f *fakeBFD) Sessions() []bfd.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.statuses)
}

func (f *fakeBFD) Set(sessions map[string]bfd.Session) {
	f.add("BFD: %s", strings.Join(slices.Sorted(maps.Keys(sessions)), ", "))
}

// fakeChecks is what a test knows of kube-proxy.
type fakeChecks struct {
	*record
	changed notify.Signal
	wanted  map[types.NamespacedName]plan.EndpointCheck

	mu     sync.Mutex
	served []types.NamespacedName
}

func (f *fakeChecks) Set(_ context.Context, wanted map[types.NamespacedName]plan.EndpointCheck) {
	for name := range wanted {
		if _, asked := f.wanted[name]; !asked {
			f.add("ask whether %s is served", name)
		}
	}
	f.wanted = wanted
}

func (f *fakeChecks) Changed() <-chan struct{} { return f.changed }
func (f *fakeChecks) Wait()                    {}

func (f *fakeChecks) Served() []types.NamespacedName {
	f.mu.Lock()
	defer f.mu.Unlock()
	served := f.served
	f.served = nil
	return served
}

// serves has kube-proxy serve a Service.
func (f *fakeChecks) serves(name types.NamespacedName) {
	f.mu.Lock()
	f.served = append(f.served, name)
	f.mu.Unlock()
	f.changed.Notify()
	synctest.Wait()
}

// fakeHost has the addresses that a test says.
type fakeHost struct {
	ready  chan struct{}
	signal notify.Signal

	mu   sync.Mutex
	host bgp.Host
}

func (f *fakeHost) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (f *fakeHost) Ready() <-chan struct{}   { return f.ready }
func (f *fakeHost) Changed() <-chan struct{} { return f.signal }

func (f *fakeHost) Host() bgp.Host {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.host
}

// world is all that Peering deals with. What it has to wait for is closed when it is there.
type world struct {
	*record
	t                              *testing.T
	synced, announcersKnown, links chan struct{}
	changed                        notify.Signal
	moved                          notify.Signal
	announcer                      *v1alpha1.Announcer

	mu         sync.Mutex
	changes    []func(*plan.View)
	interfaces []layer2.Interface
	// others are the Announcers of other nodes than n1.
	others map[string]*v1alpha1.Announcer

	bgp *fakeBGP
	bfd *fakeBFD
	// checks is kube-proxy.
	checks  *fakeChecks
	host    *fakeHost
	peering *Peering
	// end has Run end, and returns what it returned.
	end func() error
}

func (w *world) WaitAnnouncers(ctx context.Context) bool { return arrives(ctx, w.announcersKnown) }
func (w *world) Announcer(node string) *v1alpha1.Announcer {
	w.mu.Lock()
	defer w.mu.Unlock()
	if node == "n1" {
		return w.announcer
	}
	return w.others[node]
}
func (w *world) Wait(ctx context.Context) bool { return arrives(ctx, w.synced) }
func (w *world) Changed() <-chan struct{}      { return w.changed }
func (w *world) Ready() <-chan struct{}        { return w.links }
func (w *world) Watch() <-chan struct{}        { return w.moved }

func arrives(ctx context.Context, what <-chan struct{}) bool {
	select {
	case <-what:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *world) Apply(view *plan.View) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, change := range w.changes {
		change(view)
	}
	w.changes = nil
}

func (w *world) Interfaces() []layer2.Interface {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.interfaces
}

func (w *world) WriteBGP(status v1alpha1.BGPStatus) {
	var words []string
	for _, p := range status.Peers {
		words = append(words, strings.TrimSpace(fmt.Sprintf("%s %s %s", p.Name, p.State, p.LastError)))
	}
	w.add("write %s", strings.Join(words, ", "))
}

func (w *world) SessionEstablished(peer string, address netip.Addr) {
	w.add("event: %s (%s) established", peer, address)
}
func (w *world) SessionLost(peer string, address netip.Addr, why string) {
	w.add("event: %s (%s) lost: %s", peer, address, why)
}
func (w *world) SessionClosed(peer string, address netip.Addr, why string) {
	w.add("event: %s (%s) closed: %s", peer, address, why)
}
func (w *world) BFDUp(peer string, address netip.Addr) {
	w.add("event: BFD up with %s (%s)", peer, address)
}
func (w *world) Failed(services []plan.ServiceRef, f plan.Failure) {
	for _, s := range services {
		w.add("Clarion failed on %s of %s", f.On(), s.Name)
	}
}

func (w *world) BFDDown(peer string, address netip.Addr, why string) {
	w.add("event: BFD down with %s (%s): %s", peer, address, why)
}

// inWorld runs Peering of node n1, as it is after a boot, in a bubble of time. The test says when
// it gets to know what.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &record{}
		w := &world{
			record: r, t: t, changed: notify.New(), moved: notify.New(),
			synced: make(chan struct{}), announcersKnown: make(chan struct{}), links: make(chan struct{}),
			bgp: &fakeBGP{record: r, signal: notify.New()},
			bfd: &fakeBFD{record: r, signal: notify.New()},

			checks: &fakeChecks{record: r, changed: notify.New()},
			host:   &fakeHost{ready: make(chan struct{}), signal: notify.New()},
		}
		p := New(Config{
			Node: "n1", DrainTaints: []string{"drain"}, Cluster: w, Subscription: w, Links: w, Status: w, Events: w,
			Registry: prometheus.NewRegistry(), Logger: klog.Logger{},
		})
		p.rejects, p.checks = fakeRejects{w.bgp}, w.checks
		p.bootID = func() string { return "this boot" }
		p.newBGP = func(c speaker.Config) bgpSpeaker {
			w.add("begin, restarted %v", c.Restarted)
			return w.bgp
		}
		p.newBFD = func() bfdSpeaker { return w.bfd }
		p.host, w.peering = w.host, p
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		w.end = sync.OnceValue(func() error {
			stop()
			return <-done
		})
		test(w)
		_ = w.end()
	})
}

// began has all be there that it waits for.
func (w *world) began() {
	for _, c := range []chan struct{}{w.synced, w.announcersKnown, w.links, w.host.ready} {
		close(c)
	}
	synctest.Wait()
}

// change has the API say something else.
func (w *world) change(change func(*plan.View)) {
	w.mu.Lock()
	w.changes = append(w.changes, change)
	w.mu.Unlock()
	w.changed.Notify()
	synctest.Wait()
}

// session has BGP see this.
func (w *world) session(statuses ...bgp.PeerStatus) {
	w.bgp.mu.Lock()
	w.bgp.peers = statuses
	w.bgp.mu.Unlock()
	w.bgp.signal.Notify()
	synctest.Wait()
}

// addresses has the node have these, each with its network, and BGP hear of them.
func (w *world) addresses(prefixes ...string) []bgp.LocalAddress {
	var addresses []bgp.LocalAddress
	for _, text := range prefixes {
		prefix := netip.MustParsePrefix(text)
		addresses = append(addresses, bgp.LocalAddress{Addr: prefix.Addr(), Network: prefix.Masked(), Interface: 1})
	}
	w.host.mu.Lock()
	w.host.host = bgp.Host{Addresses: addresses}
	w.host.mu.Unlock()
	w.host.signal.Notify()
	synctest.Wait()
	return addresses
}

// planned is the revision of the session that is wanted.
func (w *world) planned(key bgp.SessionKey) string {
	synctest.Wait()
	return w.peering.plan.Revisions[key]
}

// path has BFD see this.
func (w *world) path(statuses ...bfd.Status) {
	w.bfd.mu.Lock()
	w.bfd.statuses = statuses
	w.bfd.mu.Unlock()
	w.bfd.signal.Notify()
	synctest.Wait()
}

// did compares what was done since it was called last.
func (w *world) did(when string, want ...string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.take(); !slices.Equal(got, want) {
		w.t.Errorf("%s: did\n%q, want\n%q", when, got, want)
	}
}
