package loadbalancer

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// What follows is the naive reader of the rules. It has no index and no memory but the world's.

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

// contested reports whether a stranger answers for an address.
func (w *world) contested(addr netip.Addr) bool {
	return slices.ContainsFunc(w.conflicts, func(c ContestedAddress) bool { return c.Address == addr })
}

// reservedBy says what keeps an address from being handed out: somebody's own or contested, or a reservation.
func (w *world) reservedBy(addr netip.Addr) (own bool, kept *Reservation) {
	if w.contested(addr) {
		return true, nil
	}
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
		wished, asked := wish[addr.Is4()]
		if asked && wished != addr || named != "" && named != p.Name {
			return false
		}
		if w.contested(addr) && !asked {
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
