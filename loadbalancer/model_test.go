package loadbalancer

import (
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

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// TestAnyHistoryKeepsThePromises drives an allocator as a cloud-controller-manager does, through
// anything that users, operators and failures can do, and compares each answer with what a naive
// reader of the rules would say. More of it: -rapid.checks=10000 -rapid.steps=100.
func TestAnyHistoryKeepsThePromises(t *testing.T) {
	rounds := 8
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		rapid.Check(t, liveOn)
	}
}

func liveOn(t *rapid.T) {
	w := newWorld(t)
	t.Repeat(map[string]func(*rapid.T){
		"":                   func(*rapid.T) { w.checkAlways() },
		"create":             w.create,
		"delete":             w.delete,
		"recreate":           w.recreate,
		"hear":               func(*rapid.T) { w.hear() },
		"edit":               w.edit,
		"edit status":        w.editStatus,
		"clone status":       w.cloneStatus,
		"change pool":        w.changePool,
		"delete pool":        w.deletePool,
		"lose pool":          w.losePool,
		"label namespace":    w.labelNamespace,
		"reserve":            w.reserve,
		"conflict":           w.conflict,
		"work":               func(*rapid.T) { w.workOne() },
		"work more":          func(*rapid.T) { w.workOne(); w.workOne(); w.workOne() },
		"wait":               w.wait,
		"restart":            w.restart,
		"hand over":          w.handOver,
		"late write":         w.lateWrite,
		"finish and inspect": func(*rapid.T) { w.inspect() },
	})
	w.inspect()
}

// world is an API server, the queue of a service controller and the allocator under test.
type world struct {
	t    *rapid.T
	a    *Allocator
	now  time.Time
	uids int

	services map[string]*corev1.Service
	pools    map[string]*v1alpha1.IPAddressPool
	poolRules
	namespaces   map[string]map[string]string
	reserved     []ReservedRange
	reservations []Reservation
	conflicts    []ConflictingAddress

	queue []string
	// gone are Services whose deletion the allocator has not heard of.
	gone []*corev1.Service
	// seen are the Services that the allocator knows, as they were when it was last asked about them.
	seen map[string]*corev1.Service
	// answers are what they were told, and since when they have their addresses.
	answers map[string]string
	since   map[string]time.Time
	// owners is who has which address, as far as the allocator has said. awaitingReuse has the
	// addresses that were freed.
	owners        map[netip.Addr][]string
	awaitingReuse map[netip.Addr]reuse
	// late are status writes of a former leader that have not arrived.
	late []lateStatus
}

// reuse is until when an address awaits its reuse, who may have it back, and who may name it.
type reuse struct {
	until     time.Time
	who       string
	namespace string
}

type lateStatus struct {
	service   string
	addresses []netip.Addr
	since     time.Time
}

func newWorld(t *rapid.T) *world {
	w := &world{
		t: t, now: epoch,
		answers:   map[string]string{},
		since:     map[string]time.Time{},
		services:  map[string]*corev1.Service{},
		pools:     map[string]*v1alpha1.IPAddressPool{},
		poolRules: newPoolRules(),
		namespaces: map[string]map[string]string{
			"one": {"team": "red"}, "two": {"team": "blue"},
		},
	}
	w.start()
	for range rapid.IntRange(1, 3).Draw(t, "pools") {
		w.changePool(t)
	}
	for range rapid.IntRange(2, 6).Draw(t, "services") {
		w.create(t)
	}
	return w
}

// start gives the world a new allocator, as a restart does.
func (w *world) start() {
	w.a = New()
	w.seen, w.owners = map[string]*corev1.Service{}, map[netip.Addr][]string{}
	w.restarted()
	w.awaitingReuse = w.recordedReuse()
	w.configure(w.a)
	w.forgetReuse()
	var requests []Request
	for _, svc := range w.services {
		r, _ := NewRequest(svc)
		requests = append(requests, r)
	}
	w.a.Restore(w.now, requests)
	for key, svc := range w.services {
		if len(svc.Status.LoadBalancer.Ingress) > 0 {
			w.seen[key] = svc.DeepCopy()
			w.since[key] = w.recordedSince(svc)
		}
	}
	w.learn()
	w.queue = slices.Sorted(maps.Keys(w.services))
	w.queue = rapid.Permutation(w.queue).Draw(w.t, "order of the first pass")
}

func (w *world) configure(a *Allocator) {
	a.SetPools(w.now, slices.Collect(maps.Values(w.pools)))
	for name, set := range w.namespaces {
		a.SetNamespace(w.now, name, set)
	}
	a.SetReserved(w.now, w.reserved)
	a.SetReservations(w.now, w.reservations)
	a.SetConflicts(w.now, w.conflicts)
}

func (w *world) enqueue(requeued []types.NamespacedName) {
	for _, name := range requeued {
		w.enqueueNames(name.String())
	}
}

func (w *world) enqueueNames(names ...string) {
	for _, name := range names {
		if !slices.Contains(w.queue, name) {
			w.queue = append(w.queue, name)
		}
	}
}

// hear tells the allocator of the Services that are gone.
func (w *world) hear() {
	for len(w.gone) > 0 {
		svc := w.gone[0]
		w.gone = w.gone[1:]
		w.enqueue(w.a.Release(w.now, types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name}, svc.UID))
		if seen := w.seen[keyOf(svc)]; seen != nil && seen.UID == svc.UID {
			delete(w.seen, keyOf(svc))
		}
		w.learn()
	}
}

// workOne does what the service controller does for one Service, and checks the answer.
func (w *world) workOne() {
	if len(w.queue) == 0 {
		return
	}
	key := w.queue[0]
	w.queue = w.queue[1:]
	svc := w.services[key]
	if svc == nil {
		return
	}
	w.ask(svc)
}

func (w *world) ask(svc *corev1.Service) (Outcome, error) {
	before := w.before(svc)
	r, _ := NewRequest(svc)
	out, err := w.a.Ensure(w.now, r)
	w.learn()
	w.judge(svc, r, before, out, err)
	w.seen[keyOf(svc)] = svc.DeepCopy()
	w.answers[keyOf(svc)] = answer(svc, out, err)
	w.since[keyOf(svc)] = out.Since
	w.enqueue(out.Requeue)
	setStatus(svc, out.Addresses, sinceOf(out, err))
	return out, err
}

// learn takes over from the allocator who has what, and notes what awaits its reuse.
func (w *world) learn() {
	owners := map[netip.Addr][]string{}
	known := maps.Clone(w.services)
	for _, svc := range w.gone { // it has what it had until the allocator hears of it
		known[keyOf(svc)] = svc
	}
	for key, svc := range known {
		addresses, _ := w.a.Lookup(types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name})
		for _, addr := range addresses {
			owners[addr] = append(owners[addr], key)
			slices.Sort(owners[addr])
		}
	}
	for addr, had := range w.owners {
		if len(owners[addr]) == 0 {
			w.awaitReuse(addr, had[0])
		}
	}
	for addr := range owners {
		delete(w.awaitingReuse, addr)
	}
	w.owners = owners
	w.forgetLost()
}

// forgetLost forgets that addresses were taken out of their pools which nobody has any more.
func (w *world) forgetLost() {
	maps.DeleteFunc(w.lost, func(addr netip.Addr, _ bool) bool { return len(w.owners[addr]) == 0 })
}

// awaitReuse notes that an address was given back.
func (w *world) awaitReuse(addr netip.Addr, who string) {
	p := w.poolOf(addr)
	own, kept := w.reservedBy(addr)
	if p == nil || p.Spec.ReuseAfter != nil && p.Spec.ReuseAfter.Duration == 0 || own || kept != nil {
		return
	}
	reuseAfter := 30 * time.Second
	if p.Spec.ReuseAfter != nil {
		reuseAfter = p.Spec.ReuseAfter.Duration
	}
	// A Service remembers the last address of a family.
	for other, r := range w.awaitingReuse {
		if r.who == who && other.Is4() == addr.Is4() {
			r.who = ""
			w.awaitingReuse[other] = r
		}
	}
	namespace, _, _ := strings.Cut(who, "/")
	w.awaitingReuse[addr] = reuse{w.now.Add(reuseAfter), who, namespace}
}

// recordedReuse is what the statuses of pools say that awaits its reuse.
func (w *world) recordedReuse() map[netip.Addr]reuse {
	list := map[netip.Addr]reuse{}
	for _, p := range w.pools {
		for _, r := range p.Status.AwaitingReuse {
			who := ""
			if r.Service != "" {
				who = r.Namespace + "/" + r.Service
			}
			addr := netip.MustParseAddr(r.Address)
			if mine := w.poolOf(addr); mine != nil && mine.UID == p.UID && r.Until.After(w.now) {
				list[addr] = reuse{r.Until.Time, who, r.Namespace}
			}
		}
	}
	return list
}

// forgetReuse drops what awaits its reuse in pools that do not have it any more.
func (w *world) forgetReuse() {
	for addr := range w.awaitingReuse {
		p := w.poolOf(addr)
		own, kept := w.reservedBy(addr)
		if p == nil || own || kept != nil {
			delete(w.awaitingReuse, addr)
		}
	}
}

func keyOf(svc *corev1.Service) string { return svc.Namespace + "/" + svc.Name }

// sinceOf is since when a Service has what it asks for; zero if it does not.
func sinceOf(out Outcome, err error) time.Time {
	if err != nil {
		return time.Time{}
	}
	return out.Since
}

// recordedSince is since when a Service has its addresses if only its status says so.
func (w *world) recordedSince(svc *corev1.Service) time.Time {
	if r, _ := NewRequest(svc); !r.Since.IsZero() {
		return r.Since
	}
	return w.now
}

// setStatus writes an answer.
func setStatus(svc *corev1.Service, addresses []netip.Addr, since time.Time) {
	condition := metav1.Condition{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionFalse}
	if !since.IsZero() {
		condition.Status, condition.LastTransitionTime = metav1.ConditionTrue, metav1.NewTime(since)
	}
	svc.Status.Conditions = []metav1.Condition{condition}
	svc.Status.LoadBalancer.Ingress = nil
	for _, addr := range addresses {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: addr.String()})
	}
}
