package loadbalancer

import (
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// maxReuseRecorded is how many addresses that await their reuse are in the status of a pool. The
// schema has the same number.
const maxReuseRecorded = 256

// Reclaim ends the wait of addresses that are reusable now. It returns the Services to requeue, and
// when there is something to reclaim again: the zero time if nothing awaits its reuse. Reclaim is to
// be called then; the other methods only notice the time when they are called.
func (a *Allocator) Reclaim(now time.Time) (requeue []types.NamespacedName, next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()

	for _, p := range a.order {
		for _, s := range p.spaces {
			if s == nil {
				continue
			}
			s.reclaim(now, a.table)
			if first, ok := s.awaitingReuse.Min(); ok && (next.IsZero() || first.reusableAt.Before(next)) {
				next = first.reusableAt
			}
		}
	}
	op := &operation{a: a, now: now}
	return op.notifyWaiters(), next
}

// keptFrom reports whether Services of a namespace may not ask for an address by name because it
// awaits its reuse and another namespace had it.
func (alloc *allocation) keptFrom(now time.Time, namespace string) bool {
	return len(alloc.owners) == 0 && alloc.reusableAt.After(now) && alloc.formerNamespace != namespace
}

// recordReuse is what a new Allocator has to know of a pool's addresses that await their reuse.
func (p *pool) recordReuse() []v1alpha1.AddressAwaitingReuse {
	var last []*allocation
	for _, s := range p.spaces {
		if s == nil {
			continue
		}
		n := len(last)
		s.awaitingReuse.Descend(func(alloc *allocation) bool {
			last = append(last, alloc)
			return len(last) < n+maxReuseRecorded
		})
	}
	slices.SortFunc(last, compareReuse)
	var list []v1alpha1.AddressAwaitingReuse
	for _, alloc := range last[max(0, len(last)-maxReuseRecorded):] {
		recorded := v1alpha1.AddressAwaitingReuse{
			Address:   alloc.addr.String(),
			Namespace: alloc.formerNamespace,
			Until:     metav1.NewTime(wholeSecond(alloc.reusableAt)),
		}
		if alloc.formerOwner != nil {
			recorded.Service = alloc.formerOwner.request.Service.Name
		}
		list = append(list, recorded)
	}
	return list
}

// restoreReuse takes over what is recorded of pools that this Allocator did not know. What does not
// fit any more is passed over.
func (a *Allocator) restoreReuse(now time.Time) {
	for _, p := range a.order {
		for _, recorded := range p.reuse {
			addr, err := netip.ParseAddr(recorded.Address)
			if err == nil && a.poolOf(addr) == p && a.audienceOf(addr) == forAll && a.table.addresses[addr] == nil && recorded.Until.After(now) {
				a.table.awaitReuse(addr, p, recorded)
			}
		}
		p.reuse = nil
	}
}

// awaitReuse has a free address await its reuse as an earlier Allocator has recorded it.
func (t *table) awaitReuse(addr netip.Addr, p *pool, recorded v1alpha1.AddressAwaitingReuse) {
	f := familyOf(addr)
	alloc := &allocation{addr: addr, pool: p, formerNamespace: recorded.Namespace, reusableAt: recorded.Until.Time}
	if recorded.Service != "" {
		name := types.NamespacedName{Namespace: recorded.Namespace, Name: recorded.Service}
		if t.services[name] == nil {
			t.services[name] = &record{request: Request{Service: name}}
		}
		if rec := t.services[name]; rec.former[f] == nil {
			alloc.formerOwner, rec.former[f] = rec, alloc
		}
	}
	t.addresses[addr] = alloc
	p.spaces[f].remove(addr)
	p.spaces[f].awaitingReuse.ReplaceOrInsert(alloc)
}

// wholeSecond is the first whole second that is not before a time. What is told and recorded has no
// fractions.
func wholeSecond(t time.Time) time.Time {
	whole := t.UTC().Truncate(time.Second)
	if whole.Before(t) {
		whole = whole.Add(time.Second)
	}
	return whole
}
