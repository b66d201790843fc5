package loadbalancer

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
)

// broken recomputes everything that follows from the table and says what does not agree with it; "" if all is well.
func broken(a *Allocator) string {
	a.mu.Lock()
	defer a.mu.Unlock()

	held := map[*space]map[audience]int{}
	resting := map[*space]int{}
	for addr, alloc := range a.table.addresses {
		if alloc.addr != addr {
			return fmt.Sprintf("%v is filed under %v", alloc.addr, addr)
		}
		f := familyOf(addr)
		for i, o := range alloc.owners {
			if !o.live || o.owned[f] != alloc || a.table.services[o.request.Service] != o {
				return fmt.Sprintf("%v is owned by %v, which does not own it", addr, o.request.Service)
			}
			if i > 0 && compareAge(alloc.owners[i-1], o) >= 0 {
				return fmt.Sprintf("owners of %v are out of order", addr)
			}
			for _, other := range alloc.owners[:i] {
				if sharingConflict(addr, nil, &o.request, other) != nil {
					return fmt.Sprintf("%v and %v cannot share %v", other.request.Service, o.request.Service, addr)
				}
			}
		}
		if alloc.pool != a.poolOf(addr) {
			return fmt.Sprintf("%v is filed under the wrong pool", addr)
		}
		if alloc.pool == nil {
			if len(alloc.owners) == 0 {
				return fmt.Sprintf("%v is leaked: neither pool nor owner", addr)
			}
			continue
		}
		if alloc.audience != a.audienceOf(addr) {
			return fmt.Sprintf("%v is in the wrong zone", addr)
		}
		s := alloc.pool.spaces[f]
		if len(alloc.owners) > 0 {
			if held[s] == nil {
				held[s] = map[audience]int{}
			}
			held[s][alloc.audience]++
		} else {
			resting[s]++
			if !s.awaitingReuse.Has(alloc) {
				return fmt.Sprintf("%v is leaked: nobody has it and it does not rest", addr)
			}
			if alloc.formerOwner != nil && alloc.formerOwner.former[f] != alloc {
				return fmt.Sprintf("%v rests for %v, which does not know", addr, alloc.formerOwner.request.Service)
			}
		}
	}
	shared := newTable()
	for _, alloc := range a.table.addresses {
		for _, o := range alloc.owners {
			shared.indexSharing(o, alloc)
		}
	}
	if !reflect.DeepEqual(shared.groups, a.table.groups) {
		return fmt.Sprintf("sharing keys lead to %v, should lead to %v", a.table.groups, shared.groups)
	}
	for name, rec := range a.table.services {
		if rec.request.Service != name {
			return fmt.Sprintf("%v is filed under %v", rec.request.Service, name)
		}
		if !rec.live && rec.former == [families]*allocation{} {
			return fmt.Sprintf("%v is leaked", name)
		}
		for f, alloc := range rec.owned {
			if alloc != nil && (a.table.addresses[alloc.addr] != alloc || !slices.Contains(alloc.owners, rec) || familyOf(alloc.addr) != family(f)) {
				return fmt.Sprintf("%v believes it owns %v", name, alloc.addr)
			}
		}
		for _, alloc := range rec.former {
			if alloc != nil && (a.table.addresses[alloc.addr] != alloc || alloc.formerOwner != rec || len(alloc.owners) > 0) {
				return fmt.Sprintf("%v believes that %v rests for it", name, alloc.addr)
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
	}
	queues := []*queue{}
	for _, q := range a.waitingForAddress {
		queues = append(queues, q)
	}
	for _, q := range a.waitingToShare {
		queues = append(queues, q)
	}
	for _, q := range queues {
		if q.records.Len() == 0 {
			return fmt.Sprintf("empty queue for %v", q.awaited)
		}
	}
	for _, p := range a.order {
		for f, s := range p.spaces {
			if s == nil {
				continue
			}
			queues = append(queues, s.waiting)
			for z := range audiences {
				if s.allocated[z] != held[s][z] {
					return fmt.Sprintf("pool %s counts %d held in zone %d, has %d", p.name, s.allocated[z], z, held[s][z])
				}
			}
			if s.awaitingReuse.Len() != resting[s] {
				return fmt.Sprintf("pool %s has %d resting, should have %d", p.name, s.awaitingReuse.Len(), resting[s])
			}
			if s.forAllSize.compare(size{lo: 1 << 12}) < 0 {
				if problem := brokenRuns(a, p, s, family(f)); problem != "" {
					return problem
				}
			}
		}
	}
	for _, q := range queues {
		poked := 0
		q.records.Ascend(func(rec *record) bool {
			if !slices.Contains(rec.queues, q) || a.table.services[rec.request.Service] != rec {
				poked = -1
				return false
			}
			if rec.requeued {
				poked++
			}
			return true
		})
		if poked != q.requeued {
			return fmt.Sprintf("queue for %v counts %d poked, has %d", q.awaited, q.requeued, poked)
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
