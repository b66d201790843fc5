package loadbalancer

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

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// TestAnyHistoryKeepsThePromises drives an allocator as a cloud-controller-manager does, through anything that users,
// operators and failures can do, and compares each answer with what a naive reader of the rules would say. More of it:
// -rapid.checks=10000 -rapid.steps=100.
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
		"label namespace":    w.labelNamespace,
		"reserve":            w.reserve,
		"conflict":           w.conflict,
		"work":               func(*rapid.T) { w.workOne() },
		"work more":          func(*rapid.T) { w.workOne(); w.workOne(); w.workOne() },
		"wait":               w.wait,
		"restart":            w.restart,
		"hand over":          w.handOver,
		"late write":         w.lateWrite,
		"settle and inspect": func(*rapid.T) { w.inspect() },
	})
	w.inspect()
}

// world is an API server, the queue of a service controller and the allocator under test.
type world struct {
	t    *rapid.T
	a    *Allocator
	now  time.Time
	uids int

	services     map[string]*corev1.Service
	pools        map[string]*v1alpha1.IPAddressPool
	namespaces   map[string]map[string]string
	reserved     []ReservedRange
	reservations []Reservation
	conflicts    []ContestedAddress

	queue []string
	// gone are Services whose deletion the allocator has not heard of.
	gone []*corev1.Service
	// seen are the Services that the allocator knows, as they were when it was last asked about them.
	seen map[string]*corev1.Service
	// answers are what they were told.
	answers map[string]string
	// owners is who has which address, as far as the allocator has said; resting is until when an address rests, and for whom.
	owners  map[netip.Addr][]string
	resting map[netip.Addr]rest
	// late are status writes of a former leader that have not arrived.
	late []lateStatus
}

type rest struct {
	until time.Time
	who   string
}

type lateStatus struct {
	service   string
	addresses []netip.Addr
}

func newWorld(t *rapid.T) *world {
	w := &world{
		t: t, now: epoch,
		answers:  map[string]string{},
		services: map[string]*corev1.Service{},
		pools:    map[string]*v1alpha1.IPAddressPool{},
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
	w.seen, w.resting, w.owners = map[string]*corev1.Service{}, map[netip.Addr]rest{}, map[netip.Addr][]string{}
	w.configure(w.a)
	var requests []Request
	for _, svc := range w.services {
		r, _ := NewRequest(svc)
		requests = append(requests, r)
	}
	w.a.Restore(w.now, requests)
	for key, svc := range w.services {
		if len(svc.Status.LoadBalancer.Ingress) > 0 {
			w.seen[key] = svc.DeepCopy()
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

// Drawing from a small universe makes everything collide.

var universe = func() (list []netip.Addr) {
	for i := range 20 {
		list = append(list, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	for i := range 10 {
		list = append(list, netip.MustParseAddr(fmt.Sprintf("fd00::%x", i)))
	}
	return list
}()

var anyAddress = rapid.SampledFrom(universe)

func oneOf(t *rapid.T, label string, values ...string) string {
	return rapid.SampledFrom(values).Draw(t, label)
}

func drawEntries(t *rapid.T, label string, most int) []string {
	entries := []string{
		"10.0.0.0/30", "10.0.0.4-10.0.0.6", "10.0.0.7", "10.0.0.8/30", "10.0.0.12-10.0.0.19",
		"10.0.0.2-10.0.0.9", "fd00::/126", "fd00::4-fd00::6", "fd00::7-fd00::9", "10.0.0.5", "10.0.0.16", "fd00::1",
	}
	return rapid.SliceOfNDistinct(rapid.SampledFrom(entries), min(1, most-1), most, rapid.ID).Draw(t, label)
}

func (w *world) changePool(t *rapid.T) {
	name := oneOf(t, "pool", "p1", "p2", "p3")
	old := w.pools[name]
	p := newPool(name)
	if old != nil {
		p = old.DeepCopy()
	} else {
		w.uids++
		p.UID = types.UID(fmt.Sprint("pool-", w.uids))
		// Each in a second of its own: which of two of one second counts as the older has a test of its own.
		p.CreationTimestamp = metav1.NewTime(epoch.Add(time.Duration(w.uids) * time.Second))
	}
	if old == nil || rapid.Bool().Draw(t, "other addresses") {
		p.Spec.Addresses = drawEntries(t, "addresses", 3)
		p.Spec.Exclude = drawEntries(t, "exclude", 1)
		if rapid.IntRange(0, 15).Draw(t, "mistake") == 0 {
			p.Spec.Addresses = append(p.Spec.Addresses, "10.0.0.300")
		}
	}
	if rapid.Bool().Draw(t, "other settings") {
		auto := rapid.IntRange(0, 3).Draw(t, "auto") > 0
		p.Spec.AutoAssign = &auto
		p.Spec.AvoidBuggyIPs = rapid.Bool().Draw(t, "avoid buggy")
		p.Spec.ReuseAfter = &metav1.Duration{Duration: rapid.SampledFrom([]time.Duration{0, 30 * time.Second, time.Minute}).Draw(t, "reuse")}
		p.Spec.Sharing = rapid.SampledFrom([]v1alpha1.SharingScope{"", v1alpha1.SharingCluster, v1alpha1.SharingNamespace}).Draw(t, "sharing")
	}
	if rapid.IntRange(0, 2).Draw(t, "other selection") == 1 {
		p.Spec.ServiceAllocation = rapid.SampledFrom([]*v1alpha1.ServiceAllocation{
			nil,
			{Priority: 1},
			{Namespaces: []string{"one"}},
			{Priority: 2},
			{Namespaces: []string{}},
			{NamespaceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"team": "blue"}}}},
			{ServiceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"tier": "web"}}}, Priority: 3},
		}).Draw(t, "selection")
	}
	w.pools[name] = p
	w.setPools()
}

func (w *world) deletePool(t *rapid.T) {
	delete(w.pools, oneOf(t, "pool", "p1", "p2", "p3"))
	w.setPools()
}

func (w *world) setPools() {
	w.forgetRests()
	w.enqueue(w.a.SetPools(w.now, slices.Collect(maps.Values(w.pools))))
}

// forgetRests drops what rests in pools that do not have it any more.
func (w *world) forgetRests() {
	usable := w.usable()
	for addr := range w.resting {
		p := usable.poolOf(addr)
		own, kept := w.reservedBy(addr)
		if p == nil || own || kept != nil {
			delete(w.resting, addr)
		}
	}
}

func (w *world) labelNamespace(t *rapid.T) {
	name := oneOf(t, "namespace", "one", "two")
	switch team := oneOf(t, "team", "red", "blue", "gone"); team {
	case "gone":
		delete(w.namespaces, name)
		w.enqueue(w.a.DeleteNamespace(w.now, name))
	default:
		w.namespaces[name] = map[string]string{"team": team}
		w.enqueue(w.a.SetNamespace(w.now, name, w.namespaces[name]))
	}
}

func (w *world) reserve(t *rapid.T) {
	if rapid.Bool().Draw(t, "own") {
		w.reserved = []ReservedRange{{Prefix: netip.MustParsePrefix("10.0.0.0/28"), What: "the cluster's Service CIDR"}}
		for _, addr := range rapid.SliceOfN(anyAddress, 0, 2).Draw(t, "own addresses") {
			w.reserved = append(w.reserved, ReservedRange{netip.PrefixFrom(addr, addr.BitLen()), `the address of a node`})
		}
		w.forgetRests()
		w.enqueue(w.a.SetReserved(w.now, w.reserved))
		return
	}
	w.reservations = nil
	for i := range rapid.IntRange(0, 2).Draw(t, "reservations") {
		r := Reservation{Name: fmt.Sprint("r", i)}
		addr := anyAddress.Draw(t, "reserved address")
		r.Addresses = []Range{{addr, addr}}
		if next := addr.Next(); slices.Contains(universe, next) {
			r.Addresses[0].To = next
		}
		if rapid.IntRange(0, 2).Draw(t, "for whom") > 0 {
			ns, name, _ := strings.Cut(drawName(t), "/")
			r.Service = &types.NamespacedName{Namespace: ns, Name: name}
		}
		w.reservations = append(w.reservations, r)
	}
	w.forgetRests()
	w.enqueue(w.a.SetReservations(w.now, w.reservations))
}

// conflict lets strangers on the network answer for addresses.
func (w *world) conflict(t *rapid.T) {
	w.conflicts = nil
	for _, addr := range rapid.SliceOfN(anyAddress, 0, 3).Draw(t, "contested addresses") {
		w.conflicts = append(w.conflicts, ContestedAddress{addr, oneOf(t, "by whom", "a printer answers for it", "a camera answers for it")})
	}
	w.forgetRests()
	w.enqueue(w.a.SetConflicts(w.now, w.conflicts))
}

func drawName(t *rapid.T) string {
	return oneOf(t, "namespace", "one", "two") + "/" + oneOf(t, "name", "a", "b", "c", "d", "e", "f", "g")
}

func (w *world) drawService(t *rapid.T) *corev1.Service {
	names := slices.Sorted(maps.Keys(w.services))
	if len(names) == 0 {
		t.Skip("no services")
	}
	return w.services[rapid.SampledFrom(names).Draw(t, "service")]
}

func keyOf(svc *corev1.Service) string { return svc.Namespace + "/" + svc.Name }

func (w *world) create(t *rapid.T) {
	if key := drawName(t); w.services[key] == nil {
		w.add(t, key)
	}
}

func (w *world) add(t *rapid.T, key string) {
	w.uids++
	ns, name, _ := strings.Cut(key, "/")
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Namespace: ns, Name: name, UID: types.UID(fmt.Sprint("service-", w.uids)),
		CreationTimestamp: metav1.NewTime(w.now.Truncate(time.Second)),
		Annotations:       map[string]string{},
	}}
	svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	svc.Spec.Ports = []corev1.ServicePort{{Protocol: corev1.ProtocolTCP, Port: 80}}
	w.services[key] = svc
	if rapid.Bool().Draw(t, "shares") {
		svc.Annotations["clarionlb.io/allow-shared-ip"] = "k"
		w.change(t, svc, "ports")
	}
	for range rapid.IntRange(0, 3).Draw(t, "settings") {
		w.change(t, svc, "")
	}
	w.enqueueNames(key)
}

func (w *world) edit(t *rapid.T) {
	svc := w.drawService(t)
	w.change(t, svc, "")
	w.enqueueNames(keyOf(svc))
}

// change changes one thing that a user may change: what, or anything.
func (w *world) change(t *rapid.T, svc *corev1.Service, what string) {
	if what == "" {
		what = oneOf(t, "what", "address", "families", "ports", "key", "pool", "policy", "labels")
	}
	switch what {
	case "families":
		v4, v6 := corev1.IPv4Protocol, corev1.IPv6Protocol
		svc.Spec.IPFamilies = rapid.SampledFrom([][]corev1.IPFamily{{v4, v6}, {v6, v4}, {v6}, {v4}}).Draw(t, "families")
		policy := corev1.IPFamilyPolicySingleStack
		if len(svc.Spec.IPFamilies) == 2 {
			policy = rapid.SampledFrom([]corev1.IPFamilyPolicy{corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack}).Draw(t, "policy")
		} else if rapid.Bool().Draw(t, "prefer") {
			policy = corev1.IPFamilyPolicyPreferDualStack
		}
		svc.Spec.IPFamilyPolicy = &policy
	case "pool":
		svc.Annotations["clarionlb.io/address-pool"] = oneOf(t, "pool", "p1", "", "p2", "", "p3")
	case "address":
		wish := ""
		switch rapid.IntRange(0, 4).Draw(t, "wish") {
		case 4:
		case 3:
			wish = anyAddress.Draw(t, "address").String() + "," + anyAddress.Draw(t, "address").String()
		default:
			wish = anyAddress.Draw(t, "address").String()
		}
		svc.Annotations["clarionlb.io/addresses"] = wish
	case "key":
		svc.Annotations["clarionlb.io/allow-shared-ip"] = oneOf(t, "key", "k", "other", "")
	case "ports":
		svc.Spec.Ports = nil
		for _, n := range rapid.SliceOfNDistinct(rapid.Int32Range(80, 84), 1, 2, rapid.ID).Draw(t, "ports") {
			svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Port: n, Protocol: rapid.SampledFrom([]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP}).Draw(t, "protocol")})
		}
	case "policy":
		svc.Spec.ExternalTrafficPolicy = rapid.SampledFrom([]corev1.ServiceExternalTrafficPolicy{corev1.ServiceExternalTrafficPolicyLocal, corev1.ServiceExternalTrafficPolicyCluster}).Draw(t, "policy")
		svc.Spec.Selector = map[string]string{"app": oneOf(t, "app", "x", "y")}
	case "labels":
		svc.Labels = map[string]string{"tier": oneOf(t, "tier", "web", "db")}
	}
}

func (w *world) delete(t *rapid.T) {
	svc := w.drawService(t)
	delete(w.services, keyOf(svc))
	w.gone = append(w.gone, svc)
	w.hear()
}

// recreate deletes and creates a Service so fast that the deletion is heard of only later.
func (w *world) recreate(t *rapid.T) {
	svc := w.drawService(t)
	delete(w.services, keyOf(svc))
	w.gone = append(w.gone, svc)
	w.add(t, keyOf(svc))
}

// hear tells the allocator of the Services that are gone.
func (w *world) hear() {
	for _, svc := range w.gone {
		w.enqueue(w.a.Release(w.now, types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name}, svc.UID))
		if seen := w.seen[keyOf(svc)]; seen != nil && seen.UID == svc.UID {
			delete(w.seen, keyOf(svc))
		}
		w.learn()
	}
	w.gone = nil
}

func (w *world) editStatus(t *rapid.T) {
	svc := w.drawService(t)
	var addresses []netip.Addr
	if rapid.Bool().Draw(t, "not cleared") {
		addresses = rapid.SliceOfNDistinct(anyAddress, 1, 2, rapid.ID).Draw(t, "status")
	}
	setStatus(svc, addresses)
	w.enqueueNames(keyOf(svc))
}

// cloneStatus gives a Service another one's status, as a careless restore of a backup does.
func (w *world) cloneStatus(t *rapid.T) {
	from, to := w.drawService(t), w.drawService(t)
	to.Status = *from.Status.DeepCopy()
	w.enqueueNames(keyOf(to))
}

func setStatus(svc *corev1.Service, addresses []netip.Addr) {
	svc.Status.LoadBalancer.Ingress = nil
	for _, addr := range addresses {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: addr.String()})
	}
}

func (w *world) wait(t *rapid.T) {
	w.now = w.now.Add(time.Duration(rapid.IntRange(1, 45).Draw(t, "seconds")) * time.Second)
}

func (w *world) restart(*rapid.T) { w.start() }

// handOver lets a new leader begin while the former one still answers a few requests, whose writes arrive later.
func (w *world) handOver(t *rapid.T) {
	former := w.a
	w.start()
	for range rapid.IntRange(0, 4).Draw(t, "writes of the former leader") {
		if len(w.services) == 0 {
			return
		}
		svc := w.drawService(t)
		r, _ := NewRequest(svc)
		out, _ := former.Ensure(w.now, r)
		w.late = append(w.late, lateStatus{keyOf(svc), out.Addresses})
	}
}

func (w *world) lateWrite(t *rapid.T) {
	if len(w.late) == 0 {
		t.Skip("nothing under way")
	}
	write := w.late[0]
	w.late = w.late[1:]
	if svc := w.services[write.service]; svc != nil {
		setStatus(svc, write.addresses)
		w.enqueueNames(write.service)
	}
}

func (w *world) enqueue(poked []types.NamespacedName) {
	for _, name := range poked {
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
	w.enqueue(out.Poke)
	setStatus(svc, out.Addresses)
	return out, err
}

// learn takes over from the allocator who has what, and keeps account of what rests.
func (w *world) learn() {
	owners := map[netip.Addr][]string{}
	for key, svc := range w.services {
		addresses, _ := w.a.Lookup(types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name})
		for _, addr := range addresses {
			owners[addr] = append(owners[addr], key)
			slices.Sort(owners[addr])
		}
	}
	for addr, had := range w.owners {
		if len(owners[addr]) == 0 {
			w.rest(addr, had[0])
		}
	}
	for addr := range owners {
		delete(w.resting, addr)
	}
	w.owners = owners
}

// rest notes that an address was given back.
func (w *world) rest(addr netip.Addr, who string) {
	p := w.usable().poolOf(addr)
	own, kept := w.reservedBy(addr)
	if p == nil || p.Spec.ReuseAfter != nil && p.Spec.ReuseAfter.Duration == 0 || own || kept != nil {
		return
	}
	reuse := 30 * time.Second
	if p.Spec.ReuseAfter != nil {
		reuse = p.Spec.ReuseAfter.Duration
	}
	// A Service remembers the last address of a family.
	for other, r := range w.resting {
		if r.who == who && other.Is4() == addr.Is4() {
			r.who = ""
			w.resting[other] = r
		}
	}
	w.resting[addr] = rest{w.now.Add(reuse), who}
}

func (w *world) checkAlways() {
	if problem := broken(w.a); problem != "" {
		w.t.Fatal(problem)
	}
}

// inspect lets everything settle and compares the state with what it should be.
func (w *world) inspect() {
	w.hear()
	for range 2000 {
		if len(w.queue) == 0 {
			break
		}
		w.workOne()
	}
	if len(w.queue) > 0 {
		w.t.Fatalf("never settles: %v", w.queue)
	}
	names := slices.Sorted(maps.Keys(w.services))
	answers := maps.Clone(w.answers)
	for _, key := range names {
		svc := w.services[key]
		out, err := w.ask(svc)
		if answers[key] != answer(svc, out, err) {
			w.t.Fatalf("%s was told %s and not poked, now it is %s", key, answers[key], answer(svc, out, err))
		}
		w.checkServed(svc, out, err)
		if len(w.queue) > 0 || len(out.Conflicts) > 0 {
			w.t.Fatalf("asking %s again pokes %v and finds conflicts %v", key, w.queue, out.Conflicts)
		}
	}
	w.checkCounts()

	// The same answers after a restart, whatever the order.
	restarted := New()
	w.configure(restarted)
	var requests []Request
	for _, svc := range w.services {
		r, _ := NewRequest(svc)
		requests = append(requests, r)
	}
	if conflicts := restarted.Restore(w.now, requests); len(conflicts) > 0 {
		w.t.Fatalf("conflicts after a restart: %v", conflicts)
	}
	for _, key := range rapid.Permutation(names).Draw(w.t, "order after restart") {
		r, _ := NewRequest(w.services[key])
		out, err := restarted.Ensure(w.now, r)
		if svc := w.services[key]; answer(svc, out, err) != answers[key] {
			w.t.Fatalf("%s: %s, after a restart %s", key, answers[key], answer(svc, out, err))
		}
	}
	if problem := broken(restarted); problem != "" {
		w.t.Fatal("after a restart: ", problem)
	}
}

// answer is what must not depend on history. A Service that waits for any address is told once which pools are full, and
// not again when one more has filled up; so these sentences are left out. One that requires both families is told of one
// that is missing, and not again when the other is missing too.
func answer(svc *corev1.Service, out Outcome, err error) string {
	if err == nil {
		text, _, _ := strings.Cut(out.Message, "; no ")
		return fmt.Sprint(out.Addresses, text)
	}
	problem := err.(*Error)
	switch {
	case problem.Reason == InvalidRequest:
	case requiresBoth(svc):
		return "not both"
	case problem.Reason == PoolExhausted, problem.Reason == FamilyUnavailable, problem.Reason == NoMatchingPool:
		return fmt.Sprint(problem.Reason)
	}
	return fmt.Sprint(out.Addresses, problem.Reason, problem.Message)
}

func requiresBoth(svc *corev1.Service) bool {
	return svc.Spec.IPFamilyPolicy != nil && *svc.Spec.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack
}
