package loadbalancer

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// What follows is the naive reader of the rules. It has no index and no memory but the world's.

func (w *world) admits(p *v1alpha1.IPAddressPool, svc *corev1.Service) bool {
	s := p.Spec.ServiceAllocation
	if s == nil {
		return true
	}
	if slices.Contains(s.ExcludedNamespaces, svc.Namespace) {
		return false
	}
	namespace := s.Namespaces == nil && s.NamespaceSelectors == nil || slices.Contains(s.Namespaces, svc.Namespace)
	for _, selector := range s.NamespaceSelectors {
		namespace = namespace || w.namespaces[svc.Namespace]["team"] == string(selector.MatchLabels["team"])
	}
	service := s.ServiceSelectors == nil
	for _, selector := range s.ServiceSelectors {
		service = service || svc.Labels["tier"] == string(selector.MatchLabels["tier"])
	}
	return namespace && service
}

// limited reports whether a Service's namespace has as many addresses of a pool as it may, without
// those that only this Service has.
func (w *world) limited(p *v1alpha1.IPAddressPool, svc *corev1.Service, v4 bool) bool {
	if p.Spec.ServiceAllocation == nil || p.Spec.ServiceAllocation.MaxAddressesPerNamespace == 0 {
		return false
	}
	n := 0
	for _, addr := range universe {
		mine := w.poolOf(addr)
		if addr.Is4() == v4 && mine != nil && mine.Name == p.Name && w.hasBeside(addr, svc) {
			n++
		}
	}
	return n >= int(p.Spec.ServiceAllocation.MaxAddressesPerNamespace)
}

// hasBeside reports whether other Services of a Service's namespace have an address.
func (w *world) hasBeside(addr netip.Addr, svc *corev1.Service) bool {
	return slices.ContainsFunc(w.owners[addr], func(key string) bool {
		return key != keyOf(svc) && strings.HasPrefix(key, svc.Namespace+"/")
	})
}

// conflicting reports whether there is a conflict about an address.
func (w *world) conflicting(addr netip.Addr) bool {
	return slices.ContainsFunc(w.conflicts, func(c ConflictingAddress) bool { return c.Address == addr })
}

// reservedBy says why an address is not handed out: it is a node's own or there is a conflict, or a
// reservation keeps it.
func (w *world) reservedBy(addr netip.Addr) (own bool, kept *Reservation) {
	if w.conflicting(addr) {
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
		if _, twice := wish[addr.Is4()]; twice {
			return map[bool]netip.Addr{}, false
		}
		wish[addr.Is4()] = addr
	}
	// One that merely prefers both families may ask for an address of each and have one.
	if len(wish) == 2 && prefersBoth(svc) {
		return wish, true
	}
	for v4 := range wish {
		if !slices.Contains(families4(svc), v4) {
			return map[bool]netip.Addr{}, false
		}
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

func requiresBoth(svc *corev1.Service) bool {
	return svc.Spec.IPFamilyPolicy != nil && *svc.Spec.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack
}

func prefersBoth(svc *corev1.Service) bool {
	return svc.Spec.IPFamilyPolicy != nil && *svc.Spec.IPFamilyPolicy == corev1.IPFamilyPolicyPreferDualStack
}

func olderThan(a, b *corev1.Service) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID)) < 0
}

// cameFirst reports whether a Service that has an address, or claims it, has it since before another
// owner.
func (w *world) cameFirst(svc *corev1.Service, other string) bool {
	since, known := w.since[keyOf(svc)]
	if seen := w.seen[keyOf(svc)]; !known || seen == nil || seen.UID != svc.UID {
		since = w.recordedSince(svc)
	}
	if c := since.Compare(w.since[other]); c != 0 {
		return c < 0
	}
	return olderThan(svc, w.seen[other])
}

func clash(p *v1alpha1.IPAddressPool, a, b *corev1.Service) bool {
	key := "clarionlb.io/allow-shared-ip"
	if a.Annotations[key] == "" || a.Annotations[key] != b.Annotations[key] {
		return true
	}
	if p != nil && p.Spec.Sharing != v1alpha1.SharingCluster && a.Namespace != b.Namespace {
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

// mayHave reports whether the rules let a Service have an address at all; keeping says that it has
// it already.
func (w *world) mayHave(svc *corev1.Service, addr netip.Addr, keeping bool) bool {
	p := w.poolOf(addr)
	wish, ok := understood(svc)
	wished, asked := wish[addr.Is4()]
	if !slices.Contains(families4(svc), addr.Is4()) || w.lost[addr] || ok && asked && wished != addr || ok && w.conflicting(addr) && !asked {
		return false
	}
	for _, key := range w.owners[addr] {
		// Who has an address counts as it was when it was last asked.
		if key != keyOf(svc) && clash(p, svc, w.seen[key]) && !(keeping && w.cameFirst(svc, key)) {
			return false
		}
	}
	named := svc.Annotations["clarionlb.io/address-pool"]
	if keeping {
		return !ok || named == "" || p != nil && named == p.Name || w.unchanged(svc) && !w.handsOut(named)
	}
	if p == nil || !ok || !w.handsOut(p.Name) || !w.admits(p, svc) || named != "" && named != p.Name {
		return false
	}
	if was := w.awaitingReuse[addr]; asked && was.until.After(w.now) && was.namespace != svc.Namespace {
		return false
	}
	own, kept := w.reservedBy(addr)
	mine := kept != nil && kept.Service != nil && kept.Service.String() == keyOf(svc)
	if !mine && w.limited(p, svc, addr.Is4()) && !w.hasBeside(addr, svc) {
		return false
	}
	if own || kept != nil && !mine {
		return false
	}
	return asked || named == p.Name || mine || p.Spec.AutoAssign == nil || *p.Spec.AutoAssign
}

// unchanged reports whether a Service asks for the same pool as when it was last asked.
func (w *world) unchanged(svc *corev1.Service) bool {
	const pool = "clarionlb.io/address-pool"
	if seen := w.seen[keyOf(svc)]; seen != nil {
		return seen.Annotations[pool] == svc.Annotations[pool]
	}
	return wasAnswered(svc)
}

func wasAnswered(svc *corev1.Service) bool { return len(svc.Status.Conditions) > 0 }

// next is the address that a Service without any privilege would get.
func (w *world) next(svc *corev1.Service, v4 bool) netip.Addr {
	for _, p := range w.usable {
		named := svc.Annotations["clarionlb.io/address-pool"]
		auto := p.Spec.AutoAssign == nil || *p.Spec.AutoAssign
		if !w.admits(p, svc) || w.limited(p, svc, v4) || p.DeletionTimestamp != nil || named != "" && named != p.Name || named == "" && !auto {
			continue
		}
		var fresh, awaiting []netip.Addr
		for _, entry := range p.Spec.Addresses {
			for _, addr := range universe {
				own, kept := w.reservedBy(addr)
				if addr.Is4() != v4 || !covers(entry, addr) || w.poolOf(addr) != p || len(w.owners[addr]) > 0 || own || kept != nil {
					continue
				}
				if w.awaitingReuse[addr].until.After(w.now) {
					awaiting = append(awaiting, addr)
				} else {
					fresh = append(fresh, addr)
				}
			}
		}
		if len(fresh) > 0 {
			return fresh[0]
		}
		slices.SortFunc(awaiting, func(a, b netip.Addr) int {
			return cmp.Or(w.awaitingReuse[a].until.Compare(w.awaitingReuse[b].until), a.Compare(b))
		})
		if len(awaiting) > 0 {
			return awaiting[0]
		}
	}
	return netip.Addr{}
}
