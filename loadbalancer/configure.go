package loadbalancer

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// SetPools takes the full set of pools and returns the Services to requeue. If no pool changed, it
// costs next to nothing.
//
// Of a pool that cannot be used as it is written, the last good version stays in force, and
// PoolStatuses says what is wrong. One that was never good hands out nothing. An address that two
// pools have belongs to the one that had it first. An address that a pool loses by an edit is taken
// from the Services that have it; but when a pool is gone, they keep its addresses.
func (a *Allocator) SetPools(now time.Time, objects []*v1alpha1.IPAddressPool) (requeue []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	pools := make(map[string]*pool, len(objects))
	same := len(objects) == len(a.pools)
	for _, object := range objects {
		p := a.pools[object.Name]
		if p == nil || !p.sameObject(object) {
			p = readPool(object, p)
			same = false
		}
		pools[object.Name] = p
	}
	if same {
		return nil
	}
	a.pools = pools
	return a.rebuildPools(now)
}

// SetNamespace takes the labels of a namespace and returns the Services to requeue.
func (a *Allocator) SetNamespace(now time.Time, name string, set map[string]string) (requeue []types.NamespacedName) {
	known := make(labels.Set, len(set))
	maps.Copy(known, set)
	return a.setNamespace(now, name, known)
}

// DeleteNamespace forgets a namespace and returns the Services to requeue.
func (a *Allocator) DeleteNamespace(now time.Time, name string) (requeue []types.NamespacedName) {
	return a.setNamespace(now, name, nil)
}

func (a *Allocator) setNamespace(now time.Time, name string, set labels.Set) []types.NamespacedName {
	a.mu.Lock()
	defer a.mu.Unlock()

	old := a.namespaces[name]
	if set == nil {
		delete(a.namespaces, name)
	} else {
		a.namespaces[name] = set
	}
	if !slices.ContainsFunc(a.order, func(p *pool) bool {
		return p.selection.admitsNamespace(name, old) != p.selection.admitsNamespace(name, set)
	}) {
		return nil
	}
	op := &operation{a: a, now: now}
	op.reevaluate(func(rec *record) bool { return rec.request.Service.Namespace == name })
	return op.notifyWaiters()
}

// rebuildPools derives from the pools and the restrictions which pools are used, in what order, and
// what is in their spaces. Then it looks at every Service that this may concern.
func (a *Allocator) rebuildPools(now time.Time) []types.NamespacedName {
	rebuilt := a.orderPools()
	moved := map[*allocation]bool{}
	for _, alloc := range a.table.addresses {
		if p := a.poolOf(alloc.addr); p != alloc.pool || rebuilt[p] {
			a.moveAllocation(alloc, p)
			moved[alloc] = true
		}
	}

	a.restoreReuse(now)

	op := &operation{a: a, now: now}
	op.reevaluate(func(rec *record) bool {
		return rec.waits() || slices.ContainsFunc(rec.owned[:], func(alloc *allocation) bool {
			return alloc != nil && (moved[alloc] || alloc.pool == nil || rec.request.Pool != "" && !alloc.pool.is(rec.request.Pool))
		})
	})
	return op.notifyWaiters()
}

// orderPools finds the usable pools, their order, and the index of their ranges. It returns the
// pools whose spaces were built again, without anything that is allocated in them.
func (a *Allocator) orderPools() (rebuilt map[*pool]bool) {
	usable := slices.SortedFunc(maps.Values(a.pools), (*pool).compareAge)
	usable = slices.DeleteFunc(usable, func(p *pool) bool { return !p.usable() })
	changed := a.divide(usable)
	rebuilt = map[*pool]bool{}
	for _, p := range usable {
		restrictions := a.restrictionsOf(p)
		if unbuilt := p.spaces == [families]*space{}; unbuilt || changed[p] || !slices.Equal(restrictions, p.restrictions) {
			p.restrictions = restrictions
			p.buildSpaces()
			rebuilt[p] = true
		}
	}
	a.order = usable
	slices.SortFunc(a.order, (*pool).compareOrder)
	for i, p := range a.order {
		p.rank = i
	}
	return rebuilt
}

// moveAllocation gives an allocation to the pool that has its address now; nil if none has. An
// address that awaits its reuse is forgotten if no pool has it or if it is not for everybody any
// more.
func (a *Allocator) moveAllocation(alloc *allocation, p *pool) {
	awaitsReuse := len(alloc.owners) == 0
	alloc.takenOut = p == nil && (alloc.takenOut || a.isThere(alloc.pool))
	alloc.pool, alloc.audience = p, forAll
	if p != nil {
		alloc.audience = a.audienceOf(alloc.addr)
	}
	if awaitsReuse && (p == nil || alloc.audience != forAll) {
		a.table.forget(alloc)
		return
	}
	if p == nil {
		return
	}
	s := p.spaces[familyOf(alloc.addr)]
	if alloc.audience == forAll {
		s.remove(alloc.addr)
	}
	if awaitsReuse {
		s.awaitingReuse.ReplaceOrInsert(alloc)
	} else {
		s.allocated[alloc.audience]++
		for i, o := range alloc.owners {
			if namespace := o.request.Service.Namespace; !hasNamespace(alloc.owners[:i], namespace) {
				s.used[namespace]++
			}
		}
	}
}

// poolRange is a range of addresses and the pool that has it.
type poolRange struct {
	Range
	pool *pool
}

// poolOf is the usable pool that has an address; nil if none has.
func (a *Allocator) poolOf(addr netip.Addr) *pool {
	i := firstReaching(a.index, addr)
	if i == len(a.index) || !a.index[i].Contains(addr) || a.index[i].pool.skipBuggy && Buggy(addr) {
		return nil
	}
	return a.index[i].pool
}
