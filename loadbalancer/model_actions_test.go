package loadbalancer

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

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

// mistakenAnnotation is one that users write and nobody reads.
const mistakenAnnotation = "clarionlb.io/adresses"

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

func (w *world) changePool(t *rapid.T) {
	name := oneOf(t, "pool", "p1", "p2", "p3")
	old := w.pools[name]
	p := newPool(name)
	if old != nil {
		p = old.DeepCopy()
	} else {
		w.uids++
		p.UID = types.UID(fmt.Sprint("pool-", w.uids))
		p.CreationTimestamp = metav1.NewTime(epoch.Add(time.Duration(w.uids/2) * time.Second))
	}
	if old == nil || rapid.Bool().Draw(t, "other addresses") {
		p.Spec.Addresses = drawEntries(t, "addresses", 3)
		p.Spec.Exclude = drawEntries(t, "exclude", 1)
		if rapid.IntRange(0, 5).Draw(t, "mistake") == 0 {
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
			{ExcludedNamespaces: []string{"two"}},
			{Namespaces: []string{"one", "two"}, ExcludedNamespaces: []string{"one"}},
			{MaxAddressesPerNamespace: 1},
			{MaxAddressesPerNamespace: 2, Priority: 1},
			{MaxAddressesPerNamespace: 3, Namespaces: []string{"one"}},
			{Namespaces: []string{}},
			{NamespaceSelectors: []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"team": "blue"}}}},
			{ServiceSelectors: []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"tier": "web"}}}, Priority: 3},
		}).Draw(t, "selection")
	}
	w.pools[name] = p
	w.setPools()
}

// deletePool deletes a pool, which is gone when no Service has an address of it any more.
func (w *world) deletePool(t *rapid.T) {
	if p := w.pools[oneOf(t, "pool", "p1", "p2", "p3")]; p != nil {
		p = p.DeepCopy()
		p.DeletionTimestamp = &metav1.Time{Time: epoch}
		w.pools[p.Name] = p
	}
	for name, status := range w.a.PoolStatuses(w.now) {
		if w.pools[name].DeletionTimestamp != nil && !status.InUse {
			delete(w.pools, name)
		}
	}
	w.setPools()
}

// losePool deletes a pool by force.
func (w *world) losePool(t *rapid.T) {
	delete(w.pools, oneOf(t, "pool", "p1", "p2", "p3"))
	w.setPools()
}

func (w *world) setPools() {
	poolOf := w.poolsOf(w.owners)
	w.read(w.pools)
	w.noteLost(w.owners, poolOf)
	w.forgetReuse()
	w.enqueue(w.a.SetPools(w.now, slices.Collect(maps.Values(w.pools))))
	w.record()
}

// record writes the statuses of pools.
func (w *world) record() {
	for name, status := range w.a.PoolStatuses(w.now) {
		p := w.pools[name].DeepCopy()
		recordStatus(p, status)
		w.pools[name] = p
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
			w.reserved = append(w.reserved, ReservedRange{Prefix: netip.PrefixFrom(addr, addr.BitLen()), What: `the address of a node`})
		}
		w.forgetReuse()
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
	w.forgetReuse()
	w.enqueue(w.a.SetReservations(w.now, w.reservations))
}

// conflict lets hosts that are no nodes answer for addresses.
func (w *world) conflict(t *rapid.T) {
	w.conflicts = nil
	for _, addr := range rapid.SliceOfN(anyAddress, 0, 3).Draw(t, "conflicting addresses") {
		w.conflicts = append(w.conflicts, ConflictingAddress{addr, oneOf(t, "by whom", "a printer answers for it", "a camera answers for it")})
	}
	w.forgetReuse()
	w.enqueue(w.a.SetConflicts(w.now, w.conflicts))
}

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
		what = oneOf(t, "what", "address", "families", "ports", "key", "pool", "policy", "labels", "mistake")
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
	case "mistake":
		delete(svc.Annotations, mistakenAnnotation)
		if rapid.Bool().Draw(t, "made") {
			svc.Annotations[mistakenAnnotation] = "10.0.0.1"
		}
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

func (w *world) editStatus(t *rapid.T) {
	svc := w.drawService(t)
	var addresses []netip.Addr
	if rapid.Bool().Draw(t, "not cleared") {
		addresses = rapid.SliceOfNDistinct(anyAddress, 1, 2, rapid.ID).Draw(t, "status")
	}
	setStatus(svc, addresses, rapid.SampledFrom([]time.Time{{}, epoch, w.now}).Draw(t, "since"))
	w.enqueueNames(keyOf(svc))
}

// cloneStatus gives a Service another one's status, as a careless restore of a backup does.
func (w *world) cloneStatus(t *rapid.T) {
	from, to := w.drawService(t), w.drawService(t)
	to.Status = *from.Status.DeepCopy()
	w.enqueueNames(keyOf(to))
}

func (w *world) wait(t *rapid.T) {
	w.now = w.now.Add(time.Duration(rapid.IntRange(1, 45).Draw(t, "seconds")) * time.Second)
	requeued, _ := w.a.Reclaim(w.now)
	w.enqueue(requeued)
}

// restart may come before the statuses of pools are written.
func (w *world) restart(t *rapid.T) {
	if rapid.Bool().Draw(t, "recorded") {
		w.record()
	}
	w.start()
}

// handOver lets a new leader begin while the former one still answers a few requests, whose writes
// arrive later.
func (w *world) handOver(t *rapid.T) {
	former := w.a
	w.start()
	for range rapid.IntRange(0, 4).Draw(t, "writes of the former leader") {
		if len(w.services) == 0 {
			return
		}
		svc := w.drawService(t)
		r, _ := NewRequest(svc)
		out, err := former.Ensure(w.now, r)
		w.late = append(w.late, lateStatus{keyOf(svc), out.Addresses, sinceOf(out, err)})
	}
}

func (w *world) lateWrite(t *rapid.T) {
	if len(w.late) == 0 {
		t.Skip("nothing under way")
	}
	write := w.late[0]
	w.late = w.late[1:]
	if svc := w.services[write.service]; svc != nil {
		setStatus(svc, write.addresses, write.since)
		w.enqueueNames(write.service)
	}
}
