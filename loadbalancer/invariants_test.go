package loadbalancer

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// broken recomputes everything that follows from the table and says what does not agree with it; ""
// if all is well.
func broken(a *Allocator) string {
	a.mu.Lock()
	defer a.mu.Unlock()

	for addr, alloc := range a.table.addresses {
		if alloc.addr != addr {
			return fmt.Sprintf("%v is filed under %v", alloc.addr, addr)
		}
		if problem := brokenAllocation(a, alloc); problem != "" {
			return problem
		}
	}
	for name, rec := range a.table.services {
		if problem := brokenRecord(a, name, rec); problem != "" {
			return problem
		}
	}
	return cmp.Or(brokenGroups(a), brokenSpaces(a), brokenQueues(a))
}

// brokenAllocation checks one allocation against its owners, its pool and its former owner.
func brokenAllocation(a *Allocator, alloc *allocation) string {
	addr, f := alloc.addr, familyOf(alloc.addr)
	for i, o := range alloc.owners {
		if !o.live || o.owned[f] != alloc || a.table.services[o.request.Service] != o {
			return fmt.Sprintf("%v is owned by %v, which does not own it", addr, o.request.Service)
		}
		if i > 0 && compareSeniority(alloc.owners[i-1], o) >= 0 {
			return fmt.Sprintf("owners of %v are out of order", addr)
		}
		for _, other := range alloc.owners[:i] {
			if sharingConflict(addr, nil, &o.request, other) != nil {
				return fmt.Sprintf("%v and %v cannot share %v", other.request.Service, o.request.Service, addr)
			}
		}
	}
	switch {
	case alloc.pool != a.poolOf(addr):
		return fmt.Sprintf("%v is filed under the wrong pool", addr)
	case alloc.pool == nil && len(alloc.owners) == 0:
		return fmt.Sprintf("%v is leaked: neither pool nor owner", addr)
	case alloc.pool == nil:
		return ""
	case alloc.audience != a.audienceOf(addr):
		return fmt.Sprintf("%v has the wrong audience", addr)
	case len(alloc.owners) > 0:
		return ""
	case !alloc.pool.spaces[f].awaitingReuse.Has(alloc):
		return fmt.Sprintf("%v is leaked: nobody has it and it does not await its reuse", addr)
	case alloc.formerOwner != nil && alloc.formerOwner.former[f] != alloc:
		return fmt.Sprintf("%v was last owned by %v, which does not know", addr, alloc.formerOwner.request.Service)
	}
	return ""
}

// brokenRecord checks one Service against its allocations and its queues.
func brokenRecord(a *Allocator, name types.NamespacedName, rec *record) string {
	if rec.request.Service != name {
		return fmt.Sprintf("%v is filed under %v", rec.request.Service, name)
	}
	if !rec.live && rec.former == [families]*allocation{} {
		return fmt.Sprintf("%v is leaked", name)
	}
	filed := func(alloc *allocation) bool { return a.table.addresses[alloc.addr] == alloc }
	for f, alloc := range rec.owned {
		if alloc != nil && (!filed(alloc) || !slices.Contains(alloc.owners, rec) || familyOf(alloc.addr) != family(f)) {
			return fmt.Sprintf("%v believes it owns %v", name, alloc.addr)
		}
	}
	for _, alloc := range rec.former {
		if alloc != nil && (!filed(alloc) || alloc.formerOwner != rec || len(alloc.owners) > 0) {
			return fmt.Sprintf("%v believes it may have %v back", name, alloc.addr)
		}
	}
	for _, q := range rec.queues {
		if !q.records.Has(rec) || a.queue(q.awaited) != q {
			return fmt.Sprintf("%v waits in a queue that is gone", name)
		}
	}
	if !rec.live && len(rec.queues) > 0 {
		return fmt.Sprintf("%v is gone and waits", name)
	}
	return ""
}

func brokenGroups(a *Allocator) string {
	recomputed := newTable()
	for _, alloc := range a.table.addresses {
		for _, o := range alloc.owners {
			recomputed.indexSharing(o, alloc)
		}
	}
	if !reflect.DeepEqual(recomputed.groups, a.table.groups) {
		return fmt.Sprintf("sharing keys lead to %v, should lead to %v", a.table.groups, recomputed.groups)
	}
	return ""
}

// brokenSpaces checks what the spaces count and which runs are free in them.
func brokenSpaces(a *Allocator) string {
	allocated := map[*space]*[audiences]int{}
	awaitingReuse := map[*space]int{}
	for addr, alloc := range a.table.addresses {
		if alloc.pool == nil {
			continue
		}
		s := alloc.pool.spaces[familyOf(addr)]
		if allocated[s] == nil {
			allocated[s] = &[audiences]int{}
		}
		if len(alloc.owners) > 0 {
			allocated[s][alloc.audience]++
		} else {
			awaitingReuse[s]++
		}
	}
	for _, p := range a.order {
		for f, s := range p.spaces {
			if s == nil {
				continue
			}
			if want := usedOf(a, s, family(f)); !maps.Equal(s.used, want) {
				return fmt.Sprintf("pool %s counts %v used by namespaces, should be %v", p.name, s.used, want)
			}
			want := cmp.Or(allocated[s], &[audiences]int{})
			if s.allocated != *want {
				return fmt.Sprintf("pool %s counts %v allocated, by audience, has %v", p.name, s.allocated, *want)
			}
			if s.awaitingReuse.Len() != awaitingReuse[s] {
				return fmt.Sprintf("pool %s has %d awaiting reuse, should have %d", p.name, s.awaitingReuse.Len(), awaitingReuse[s])
			}
			if s.forAllSize.compare(size{lo: 1 << 12}) < 0 {
				if problem := brokenRuns(a, p, s, family(f)); problem != "" {
					return problem
				}
			}
		}
	}
	return ""
}

// usedOf counts what each namespace has of a space.
func usedOf(a *Allocator, s *space, f family) map[string]int {
	used := map[string]int{}
	for addr, alloc := range a.table.addresses {
		if familyOf(addr) != f || alloc.pool == nil || alloc.pool != s.pool {
			continue
		}
		namespaces := map[string]bool{}
		for _, o := range alloc.owners {
			namespaces[o.request.Service.Namespace] = true
		}
		for namespace := range namespaces {
			used[namespace]++
		}
	}
	return used
}

// brokenQueues checks the queues against the Services that wait in them.
func brokenQueues(a *Allocator) string {
	queues := append(slices.Collect(maps.Values(a.waitingForAddress)), slices.Collect(maps.Values(a.waitingToShare))...)
	queues = slices.AppendSeq(queues, maps.Values(a.waitingForUse))
	for _, q := range queues {
		if q.records.Len() == 0 {
			return fmt.Sprintf("empty queue for %v", q.awaited)
		}
	}
	for _, p := range a.order {
		for _, s := range p.spaces {
			if s != nil {
				queues = append(queues, s.waiting)
			}
		}
	}
	for _, q := range queues {
		requeued := 0
		q.records.Ascend(func(rec *record) bool {
			if !slices.Contains(rec.queues, q) || a.table.services[rec.request.Service] != rec {
				requeued = -1
				return false
			}
			if rec.requeued {
				requeued++
			}
			return true
		})
		if requeued != q.requeued {
			return fmt.Sprintf("queue for %v counts %d requeued, has %d", q.awaited, q.requeued, requeued)
		}
	}
	return ""
}

// brokenRuns walks over every address of a small space.
func brokenRuns(a *Allocator, p *pool, s *space, f family) string {
	free := map[netip.Addr]bool{}
	s.free.Ascend(func(r *run) bool {
		for addr := r.from; addr.IsValid() && !r.to.Less(addr); addr = addr.Next() {
			if !s.skips(addr) {
				free[addr] = true
			}
		}
		return true
	})
	total := 0
	for _, e := range p.effective {
		if e.family() != f {
			continue
		}
		for addr := e.From; !e.To.Less(addr); addr = addr.Next() {
			if a.poolOf(addr) != p || a.audienceOf(addr) != forAll {
				if free[addr] {
					return fmt.Sprintf("%v is free and must not be", addr)
				}
				continue
			}
			total++
			if free[addr] == (a.table.addresses[addr] != nil) {
				return fmt.Sprintf("%v: free %v, in the table %v", addr, free[addr], !free[addr])
			}
			delete(free, addr)
		}
	}
	if len(free) > 0 {
		return fmt.Sprintf("free addresses that pool %s does not have: %v", p.name, free)
	}
	if s.forAllSize != (size{lo: uint64(total)}) {
		return fmt.Sprintf("pool %s counts %v addresses, has %d", p.name, s.forAllSize, total)
	}
	return ""
}
