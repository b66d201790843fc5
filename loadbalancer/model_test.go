package loadbalancer

import (
	"cmp"
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
		p.CreationTimestamp = metav1.NewTime(w.now.Truncate(time.Second))
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

// ---- The naive reader of the rules. It has no index and no memory but the world's.

type poolSet []*v1alpha1.IPAddressPool

// usable are the pools in the order in which they are tried.
func (w *world) usable() poolSet {
	byAge := slices.SortedFunc(maps.Values(w.pools), func(a, b *v1alpha1.IPAddressPool) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	var list poolSet
	taken := map[netip.Addr]bool{}
next:
	for _, p := range byAge {
		if slices.Contains(p.Spec.Addresses, "10.0.0.300") {
			continue
		}
		mine := map[netip.Addr]bool{}
		for i, entry := range p.Spec.Addresses {
			for _, addr := range universe {
				if !covers(entry, addr) {
					continue
				}
				for _, other := range p.Spec.Addresses[:i] {
					if covers(other, addr) {
						continue next
					}
				}
				if !slices.ContainsFunc(p.Spec.Exclude, func(x string) bool { return covers(x, addr) }) {
					mine[addr] = true
				}
			}
		}
		for addr := range mine {
			if taken[addr] {
				continue next
			}
		}
		maps.Copy(taken, mine)
		list = append(list, p)
	}
	rank := func(p *v1alpha1.IPAddressPool) (selected int, priority int32) {
		selected, priority = 1, 1<<30
		if s := p.Spec.ServiceAllocation; s != nil {
			if s.Namespaces != nil || s.NamespaceSelectors != nil || s.ServiceSelectors != nil {
				selected = 0
			}
			if s.Priority > 0 {
				priority = s.Priority
			}
		}
		return selected, priority
	}
	slices.SortFunc(list, func(a, b *v1alpha1.IPAddressPool) int {
		as, ap := rank(a)
		bs, bp := rank(b)
		return cmp.Or(cmp.Compare(as, bs), cmp.Compare(ap, bp), cmp.Compare(a.Name, b.Name))
	})
	return list
}

func covers(entry string, addr netip.Addr) bool {
	if from, to, ok := strings.Cut(entry, "-"); ok {
		return addr.Compare(netip.MustParseAddr(from)) >= 0 && addr.Compare(netip.MustParseAddr(to)) <= 0
	}
	if prefix, err := netip.ParsePrefix(entry); err == nil {
		return prefix.Contains(addr)
	}
	return entry == addr.String()
}

// has reports whether a pool hands out an address.
func has(p *v1alpha1.IPAddressPool, addr netip.Addr) bool {
	if p.Spec.AvoidBuggyIPs && addr == netip.MustParseAddr("10.0.0.0") {
		return false
	}
	covered := func(x string) bool { return covers(x, addr) }
	return slices.ContainsFunc(p.Spec.Addresses, covered) && !slices.ContainsFunc(p.Spec.Exclude, covered)
}

func (list poolSet) poolOf(addr netip.Addr) *v1alpha1.IPAddressPool {
	for _, p := range list {
		if has(p, addr) {
			return p
		}
	}
	return nil
}

func (w *world) admits(p *v1alpha1.IPAddressPool, svc *corev1.Service) bool {
	s := p.Spec.ServiceAllocation
	if s == nil {
		return true
	}
	namespace := s.Namespaces == nil && s.NamespaceSelectors == nil || slices.Contains(s.Namespaces, svc.Namespace)
	for _, selector := range s.NamespaceSelectors {
		namespace = namespace || w.namespaces[svc.Namespace]["team"] == selector.MatchLabels["team"]
	}
	service := s.ServiceSelectors == nil
	for _, selector := range s.ServiceSelectors {
		service = service || svc.Labels["tier"] == selector.MatchLabels["tier"]
	}
	return namespace && service
}

func (w *world) reservedBy(addr netip.Addr) (own bool, kept *Reservation) {
	for _, r := range w.reserved {
		if r.Prefix.IsSingleIP() && r.Prefix.Addr() == addr {
			return true, nil
		}
	}
	for i := range w.reservations {
		for _, r := range w.reservations[i].Addresses {
			if addr.Compare(r.From) >= 0 && addr.Compare(r.To) <= 0 {
				return false, &w.reservations[i]
			}
		}
	}
	return false, nil
}

// understood are a Service's wishes; ok is false if they contradict themselves.
func understood(svc *corev1.Service) (wish map[bool]netip.Addr, ok bool) {
	wish = map[bool]netip.Addr{}
	text := svc.Annotations["clarionlb.io/addresses"]
	if text == "" {
		return wish, true
	}
	for _, item := range strings.Split(text, ",") {
		addr := netip.MustParseAddr(item)
		if _, twice := wish[addr.Is4()]; twice || !slices.Contains(families4(svc), addr.Is4()) {
			return map[bool]netip.Addr{}, false
		}
		wish[addr.Is4()] = addr
	}
	return wish, true
}

// families4 lists the families of a Service; true is IPv4.
func families4(svc *corev1.Service) (list []bool) {
	for _, f := range svc.Spec.IPFamilies {
		list = append(list, f == corev1.IPv4Protocol)
	}
	return list
}

func clash(p *v1alpha1.IPAddressPool, a, b *corev1.Service) bool {
	key := "clarionlb.io/allow-shared-ip"
	if a.Annotations[key] == "" || a.Annotations[key] != b.Annotations[key] {
		return true
	}
	if p.Spec.Sharing == v1alpha1.SharingNamespace && a.Namespace != b.Namespace {
		return true
	}
	behind := func(s *corev1.Service) string {
		if s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
			return s.Namespace + s.Spec.Selector["app"]
		}
		return ""
	}
	if behind(a) != behind(b) {
		return true
	}
	for _, x := range a.Spec.Ports {
		for _, y := range b.Spec.Ports {
			if x.Port == y.Port && x.Protocol == y.Protocol {
				return true
			}
		}
	}
	return false
}

// mayHave reports whether the rules let a Service have an address at all; keeping says that it has it already.
func (w *world) mayHave(svc *corev1.Service, addr netip.Addr, keeping bool) bool {
	p := w.usable().poolOf(addr)
	wish, ok := understood(svc)
	named := svc.Annotations["clarionlb.io/address-pool"]
	if p == nil || !w.admits(p, svc) || !slices.Contains(families4(svc), addr.Is4()) {
		return false
	}
	if ok {
		if w, asked := wish[addr.Is4()]; asked && w != addr || named != "" && named != p.Name {
			return false
		}
	}
	for _, key := range w.owners[addr] {
		// Who has an address counts as it was when it was last asked.
		if key != keyOf(svc) && clash(p, svc, w.seen[key]) {
			return false
		}
	}
	if keeping {
		return true
	}
	if !ok {
		return false
	}
	own, kept := w.reservedBy(addr)
	mine := kept != nil && kept.Service != nil && kept.Service.String() == keyOf(svc)
	if own || kept != nil && !mine {
		return false
	}
	_, asked := wish[addr.Is4()]
	return asked || named == p.Name || mine || p.Spec.AutoAssign == nil || *p.Spec.AutoAssign
}

// before is what the world knows about a Service before it is asked.
type before struct {
	had   []netip.Addr
	known bool
	// next is the address that each family would get if it needed one and nothing special applied; by family, true is IPv4.
	next    map[bool]netip.Addr
	may     map[netip.Addr]bool // could have it, does not have it
	keeps   map[netip.Addr]bool // has it and may keep it
	owners  map[netip.Addr][]string
	resting map[netip.Addr]rest
}

func (w *world) before(svc *corev1.Service) before {
	seen := w.seen[keyOf(svc)]
	if seen != nil && seen.UID != svc.UID {
		// Its namesake is gone.
		owners := map[netip.Addr][]string{}
		for addr, names := range w.owners {
			left := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == keyOf(svc) })
			if len(left) > 0 {
				owners[addr] = left
			} else {
				w.rest(addr, keyOf(svc))
			}
		}
		w.owners, seen = owners, nil
		delete(w.seen, keyOf(svc))
	}
	b := before{
		known: seen != nil, next: map[bool]netip.Addr{},
		may: map[netip.Addr]bool{}, keeps: map[netip.Addr]bool{},
		owners: w.owners, resting: maps.Clone(w.resting),
	}
	for _, addr := range universe {
		if !slices.Contains(w.owners[addr], keyOf(svc)) {
			b.may[addr] = w.mayHave(svc, addr, false)
			continue
		}
		b.had = append(b.had, addr)
		b.keeps[addr] = w.mayHave(svc, addr, true)
	}
	for _, v4 := range families4(svc) {
		b.next[v4] = w.next(svc, v4)
	}
	return b
}

// next is the address that a Service without any privilege would get.
func (w *world) next(svc *corev1.Service, v4 bool) netip.Addr {
	for _, p := range w.usable() {
		named := svc.Annotations["clarionlb.io/address-pool"]
		auto := p.Spec.AutoAssign == nil || *p.Spec.AutoAssign
		if !w.admits(p, svc) || named != "" && named != p.Name || named == "" && !auto {
			continue
		}
		var fresh, rested []netip.Addr
		for _, entry := range p.Spec.Addresses {
			for _, addr := range universe {
				own, kept := w.reservedBy(addr)
				if addr.Is4() != v4 || !covers(entry, addr) || !has(p, addr) || len(w.owners[addr]) > 0 || own || kept != nil {
					continue
				}
				if w.resting[addr].until.After(w.now) {
					rested = append(rested, addr)
				} else {
					fresh = append(fresh, addr)
				}
			}
		}
		if len(fresh) > 0 {
			return fresh[0]
		}
		slices.SortFunc(rested, func(a, b netip.Addr) int {
			return cmp.Or(w.resting[a].until.Compare(w.resting[b].until), a.Compare(b))
		})
		if len(rested) > 0 {
			return rested[0]
		}
	}
	return netip.Addr{}
}

// judge checks one answer.
func (w *world) judge(svc *corev1.Service, r Request, b before, out Outcome, err error) {
	key := keyOf(svc)
	fail := func(format string, args ...any) {
		w.t.Fatalf("%s: %s\n  before %v, answer %v %v", key, fmt.Sprintf(format, args...), b.had, answer(svc, out, err), out.Conflicts)
	}
	addresses, known := w.a.Lookup(r.Service)
	if !known || !slices.Equal(addresses, out.Addresses) {
		fail("has %v", addresses)
	}
	for i, addr := range out.Addresses {
		if i > 0 && (families4(svc)[0] != out.Addresses[0].Is4() || addr.Is4() == out.Addresses[0].Is4()) {
			fail("addresses are not ordered by family")
		}
		if p := w.usable().poolOf(addr); p == nil || out.Pools[addr] != p.Name {
			fail("%v is said to be from pool %q", addr, out.Pools[addr])
		}
	}
	if slices.Contains(out.Poke, r.Service) {
		fail("pokes itself")
	}

	both := requiresBoth(svc)
	if both && err == nil && len(out.Addresses) != 2 || both && r.Invalid == nil && len(out.Addresses) == 1 {
		fail("requires both families")
	}
	if err == nil && len(out.Addresses) == 0 || err != nil && r.Invalid == nil && len(out.Addresses) > 0 {
		fail("an error and addresses, or neither")
	}

	// Nothing that may be kept is lost.
	for _, addr := range b.had {
		if b.known && b.keeps[addr] && !slices.Contains(out.Addresses, addr) && !(both && err != nil) {
			fail("loses %v without a reason", addr)
		}
	}
	// Nothing is had that may not be.
	for _, addr := range out.Addresses {
		if slices.Contains(b.had, addr) {
			continue // judged by checkServed, when the world has settled
		}
		claimed := !b.known && slices.Contains(r.Current, addr) && w.mayHave(svc, addr, true)
		if !b.may[addr] && !claimed {
			fail("may not have %v", addr)
		}
		// It is the one that comes first, unless something speaks for another.
		wish, _ := understood(svc)
		_, asked := wish[addr.Is4()]
		_, kept := w.reservedBy(addr)
		formerly := b.resting[addr].who == key
		sharing := len(b.owners[addr]) > 0
		if !claimed && !asked && kept == nil && !formerly && !sharing && addr != b.next[addr.Is4()] {
			fail("gets %v, should get %v", addr, b.next[addr.Is4()])
		}
	}
	// Others lose nothing, unless a claim is older than theirs.
	for addr, names := range b.owners {
		for _, other := range names {
			if other == key || slices.Contains(w.owners[addr], other) {
				continue
			}
			told := Conflict{Address: addr, Winner: r.Service, Loser: types.NamespacedName{Namespace: w.services[other].Namespace, Name: w.services[other].Name}}
			if b.known || !slices.Contains(out.Conflicts, told) || !slices.Contains(out.Poke, told.Loser) {
				fail("takes %v from %s, and says %v %v", addr, other, out.Conflicts, out.Poke)
			}
			o := w.services[other]
			if !olderThan(svc, o) {
				fail("takes %v from the older %s", addr, other)
			}
		}
	}
	for _, c := range out.Conflicts {
		if !slices.Contains(w.owners[c.Address], c.Winner.String()) || slices.Contains(w.owners[c.Address], c.Loser.String()) {
			fail("reports %v, but %v has it", c, w.owners[c.Address])
		}
	}
}

func olderThan(a, b *corev1.Service) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID)) < 0
}

// checkServed checks, in a settled world, that a Service has only what it may have, and misses only what cannot be had.
func (w *world) checkServed(svc *corev1.Service, out Outcome, err error) {
	for _, addr := range out.Addresses {
		if !w.mayHave(svc, addr, true) {
			w.t.Fatalf("%s may not keep %v", keyOf(svc), addr)
		}
	}
	if err != nil && err.(*Error).Reason == InvalidRequest {
		return
	}
	missing, possible := 0, 0
	for _, v4 := range families4(svc) {
		if slices.ContainsFunc(out.Addresses, func(a netip.Addr) bool { return a.Is4() == v4 }) {
			continue
		}
		missing++
		if slices.ContainsFunc(universe, func(a netip.Addr) bool { return a.Is4() == v4 && w.mayHave(svc, a, false) }) {
			possible++
		}
	}
	both := requiresBoth(svc)
	if both && missing > 0 && possible == missing || !both && possible > 0 {
		w.t.Fatalf("%s waits (%v) for what it could have", keyOf(svc), answer(svc, out, err))
	}
}

func (w *world) checkCounts() {
	usable := w.usable()
	statuses := w.a.PoolStatuses(w.now)
	for name, p := range w.pools {
		status := statuses[name]
		if status.Ready != slices.Contains(usable, p) {
			w.t.Fatalf("pool %s: ready %v (%s)", name, status.Ready, status.Message)
		}
		var total, assigned, rests int64
		for _, addr := range universe {
			if !addr.Is4() || !status.Ready || !has(p, addr) {
				continue
			}
			own, kept := w.reservedBy(addr)
			if len(w.owners[addr]) > 0 {
				assigned++
				total++
			} else if !own && (kept == nil || kept.Service != nil) {
				total++
			}
			if w.resting[addr].until.After(w.now) {
				rests++
			}
		}
		got := v1alpha1.AddressCounts{}
		if status.IPv4 != nil {
			got = *status.IPv4
		}
		if got.Total != total || got.Assigned != assigned || status.QuarantinedIPv4 != rests {
			w.t.Fatalf("pool %s: counts %+v and %d resting, should be %d, %d and %d", name, got, status.QuarantinedIPv4, total, assigned, rests)
		}
	}
}
