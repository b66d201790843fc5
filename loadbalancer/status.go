package loadbalancer

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/lastgood"
)

// PoolStatus is the condition of a pool and what is in it.
type PoolStatus struct {
	// IPv4 and IPv6 count the addresses of each family; nil if the pool has none or cannot be used.
	// Addresses that are reserved for a Service are in Total but not in Available.
	IPv4, IPv6 *v1alpha1.AddressCounts
	// AwaitingReuseIPv4 and AwaitingReuseIPv6 count the addresses that were freed less than
	// spec.reuseAfter ago. Available includes them.
	AwaitingReuseIPv4, AwaitingReuseIPv6 int64
	// InUse says that Services have addresses of the pool.
	InUse bool
	// AwaitingReuse are these addresses, the last maxReuseRecorded of them, in the order in which they
	// become reusable. A new Allocator reads them from the pool.
	AwaitingReuse []v1alpha1.AddressAwaitingReuse
	// AppliedSpec is the spec that is in force; nil if no version of it was ever valid. It must not be
	// written to.
	AppliedSpec *v1alpha1.IPAddressPoolSpec
	// Contested are addresses of the pool that another pool had first.
	Contested []v1alpha1.ContestedAddresses
	// Ready, Reason and Message are the pool's Ready condition. A pool that is ready has a message
	// too, which says what of it is not handed out, and what entries stand for that may be mistaken.
	Ready   bool
	Reason  string
	Message string
	// Remarks are what the message says beside that; "" if there is nothing to say.
	Remarks string
}

// PoolStatuses returns the status of every pool, by name.
func (a *Allocator) PoolStatuses(now time.Time) map[string]PoolStatus {
	a.mu.Lock()
	defer a.mu.Unlock()

	contests := a.contests()
	statuses := make(map[string]PoolStatus, len(a.pools))
	for name, p := range a.pools {
		status := PoolStatus{AppliedSpec: p.inForce}
		for _, c := range p.contested {
			status.Contested = append(status.Contested, v1alpha1.ContestedAddresses{Addresses: c.Range.String(), Pool: c.with.name})
		}
		if s := p.spaces[ipv4]; s != nil {
			s.reclaim(now, a.table)
			status.IPv4, status.AwaitingReuseIPv4 = s.counts(), int64(s.awaitingReuse.Len())
		}
		if s := p.spaces[ipv6]; s != nil {
			s.reclaim(now, a.table)
			status.IPv6, status.AwaitingReuseIPv6 = s.counts(), int64(s.awaitingReuse.Len())
		}
		status.AwaitingReuse = p.recordReuse()
		status.InUse = p.inUse()
		status.Remarks = a.remarks(p, contests[p])
		status.Reason, status.Message = a.judge(p, status.Remarks)
		status.Ready = status.Reason == v1alpha1.ReasonValid
		statuses[name] = status
	}
	return statuses
}

// judge is the reason and the message of a pool's Ready condition.
func (a *Allocator) judge(p *pool, remarks string) (reason, message string) {
	var lost []string
	for _, c := range p.contested {
		lost = append(lost, contestedWith(c.Range, c.with.name))
	}
	switch {
	case p.deleting():
		return v1alpha1.ReasonDeleting, sentences(waitsForServices(a.ownersIn(p)), p.problem.message)
	case p.problem != poolProblem{} && p.usable():
		return p.problem.reason, sentences(p.problem.message, lastgood.Sentence, enumerate(lost, "; "))
	case p.problem != poolProblem{}:
		return p.problem.reason, p.problem.message
	case len(lost) > 0:
		return v1alpha1.ReasonOverlaps, sentences(enumerate(lost, "; "), remarks)
	}
	return v1alpha1.ReasonValid, cmp.Or(remarks, poolInUse)
}

// contests are the ranges that pools leave to others, by the pool that they are left to.
func (a *Allocator) contests() map[*pool][]contest {
	contests := map[*pool][]contest{}
	for _, p := range a.order {
		for _, c := range p.contested {
			contests[c.with] = append(contests[c.with], contest{c.Range, p})
		}
	}
	return contests
}

// inUse reports whether Services have addresses of the pool.
func (p *pool) inUse() bool {
	return slices.ContainsFunc(p.spaces[:], func(s *space) bool { return s != nil && s.allocated != [audiences]int{} })
}

// ownersIn names the Services that have addresses of a pool, as many as a sentence names.
func (a *Allocator) ownersIn(p *pool) []string {
	owners := map[string]bool{}
	for _, alloc := range a.table.addresses {
		if alloc.pool == p {
			for _, o := range alloc.owners {
				owners[o.request.Service.String()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(owners))
}

func (s *space) counts() *v1alpha1.AddressCounts {
	// An address that is for nobody counts only while a Service has it, which had it before.
	total := s.forAllSize.plus(s.forOneSize).plus(size{lo: uint64(s.allocated[forNone])})
	assigned := s.allocated[forAll] + s.allocated[forOne] + s.allocated[forNone]
	counts := &v1alpha1.AddressCounts{Total: total.int64(), Assigned: int64(assigned)}
	if !s.pool.deleting() {
		counts.Available = s.available().int64()
	}
	return counts
}

// remarks is what there is to say of a pool that can be used: what its entries stand for, where that
// may not be what their author means, which of its addresses others use, and whom it is for in vain.
// contests are the ranges that other pools leave to it.
func (a *Allocator) remarks(p *pool, contests []contest) string {
	var list []string
	for _, c := range contests {
		list = append(list, contestedBy(c.Range, c.with.name))
	}
	for _, c := range p.restrictions {
		switch {
		case c.conflict:
			list = append(list, conflictOn(c.From, c.what))
		case c.what != "":
			list = append(list, overlapsOwn(c.From, c.what))
		}
	}
	for _, r := range a.reserved {
		overlaps := func(e entry) bool { return e.overlaps(RangeOf(r.Prefix)) }
		if !r.Prefix.IsSingleIP() && slices.ContainsFunc(p.own, overlaps) {
			list = append(list, overlapsReserved(r.Prefix, r.What))
		}
	}
	unknown := slices.Concat(
		a.unknownNamespaces("namespaces", p.selection.namespaces),
		a.unknownNamespaces("excludedNamespaces", p.selection.excluded),
	)
	return sentences(enumerate(p.ownRemarks, "; "), enumerate(unknown, "; "), enumerate(list, "; "), enumerate(p.atLimit(), "; "))
}

func (a *Allocator) unknownNamespaces(field string, namespaces map[string]bool) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(namespaces)) {
		if a.namespaces[name] == nil {
			list = append(list, namespaceUnknown(field, name))
		}
	}
	return list
}
