package loadbalancer

import (
	"cmp"
	"slices"
	"time"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// PoolStatus is the condition of a pool and what is in it.
type PoolStatus struct {
	// IPv4 and IPv6 count the addresses of each family; nil if the pool has none or cannot be used.
	// Addresses that are reserved for a Service are in Total but not in Available.
	IPv4, IPv6 *v1alpha1.AddressCounts
	// AwaitingReuseIPv4 and AwaitingReuseIPv6 count the addresses that were freed less than
	// spec.reuseAfter ago. Available includes them.
	AwaitingReuseIPv4, AwaitingReuseIPv6 int64
	// Ready, Reason and Message are the pool's Ready condition. A pool that is ready has a message
	// too, which says what of it is not handed out, and what entries stand for that may be mistaken.
	Ready   bool
	Reason  string
	Message string
}

// PoolStatuses returns the status of every pool, by name.
func (a *Allocator) PoolStatuses(now time.Time) map[string]PoolStatus {
	a.mu.Lock()
	defer a.mu.Unlock()

	statuses := make(map[string]PoolStatus, len(a.pools))
	for name, p := range a.pools {
		if !p.usable() {
			statuses[name] = PoolStatus{Reason: p.problem.reason, Message: p.problem.message}
			continue
		}
		status := PoolStatus{Ready: true, Reason: v1alpha1.ReasonValid, Message: a.remarks(p)}
		if s := p.spaces[ipv4]; s != nil {
			s.reclaim(now, a.table)
			status.IPv4, status.AwaitingReuseIPv4 = s.counts(), int64(s.awaitingReuse.Len())
		}
		if s := p.spaces[ipv6]; s != nil {
			s.reclaim(now, a.table)
			status.IPv6, status.AwaitingReuseIPv6 = s.counts(), int64(s.awaitingReuse.Len())
		}
		statuses[name] = status
	}
	return statuses
}

func (s *space) counts() *v1alpha1.AddressCounts {
	// An address that is for nobody counts only while a Service has it, which had it before.
	total := s.forAllSize.plus(s.forOneSize).plus(size{lo: uint64(s.allocated[forNone])})
	assigned := s.allocated[forAll] + s.allocated[forOne] + s.allocated[forNone]
	return &v1alpha1.AddressCounts{
		Total:     total.int64(),
		Assigned:  int64(assigned),
		Available: s.available().int64(),
	}
}

// remarks is the message of a usable pool: what its entries stand for, where that may not be what
// their author means, and which of its addresses others use.
func (a *Allocator) remarks(p *pool) string {
	var list []string
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
		if !r.Prefix.IsSingleIP() && slices.ContainsFunc(p.effective, overlaps) {
			list = append(list, overlapsReserved(r.Prefix, r.What))
		}
	}
	return cmp.Or(sentences(enumerate(p.ownRemarks, "; "), enumerate(list, "; ")), poolInUse)
}
