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

// SetPools takes the full set of pools. Pools that did not change cost nothing. A pool that cannot be used is ignored alone,
// and PoolStatuses says why; of two that overlap the older one is used.
func (a *Allocator) SetPools(now time.Time, objects []*v1alpha1.IPAddressPool) (poke []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	pools := make(map[string]*pool, len(objects))
	same := len(objects) == len(a.pools)
	for _, object := range objects {
		p := a.pools[object.Name]
		if p == nil || !p.sameObject(object) {
			p = readPool(object)
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

// SetNamespace takes the labels of a namespace.
func (a *Allocator) SetNamespace(now time.Time, name string, set map[string]string) (poke []types.NamespacedName) {
	known := make(labels.Set, len(set))
	maps.Copy(known, set)
	return a.setNamespace(now, name, known)
}

// DeleteNamespace forgets a namespace.
func (a *Allocator) DeleteNamespace(now time.Time, name string) (poke []types.NamespacedName) {
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

// rebuildPools derives from the pools and carvings which pools are used, in what order, and what is in their spaces; then it
// looks at everybody whom that may concern.
func (a *Allocator) rebuildPools(now time.Time) []types.NamespacedName {
	a.order, a.index = nil, nil
	rebuilt := map[*pool]bool{}
	for _, p := range slices.SortedFunc(maps.Values(a.pools), (*pool).compareAge) {
		usedBefore := p.built
		p.reason, p.message = p.ownReason, p.ownMessage
		if p.usable() {
			a.indexPool(p)
		}
		p.established = p.usable()
		if !p.usable() {
			p.built, p.spaces, p.restrictions = false, [families]*space{}, nil
			continue
		}
		a.order = append(a.order, p)
		carved := a.restrictionsOf(p)
		if !usedBefore || !slices.Equal(carved, p.restrictions) {
			p.restrictions = carved
			p.buildSpaces()
			rebuilt[p] = true
		}
	}
	slices.SortFunc(a.order, (*pool).compareOrder)
	for i, p := range a.order {
		p.rank = i
	}

	moved := map[*allocation]bool{}
	for _, alloc := range a.table.addresses {
		if p := a.poolOf(alloc.addr); p != alloc.pool || rebuilt[p] {
			a.moveAllocation(alloc, p)
			moved[alloc] = true
		}
	}

	op := &operation{a: a, now: now}
	op.reevaluate(func(rec *record) bool {
		return rec.waits() || slices.ContainsFunc(rec.owned[:], func(alloc *allocation) bool { return moved[alloc] })
	})
	return op.notifyWaiters()
}

// indexPool puts a pool's ranges into the index, unless another pool has any of them.
func (a *Allocator) indexPool(p *pool) {
	for _, e := range p.effective {
		i := firstReaching(a.index, e.From)
		if i < len(a.index) && a.index[i].overlaps(e.Range) {
			other := a.index[i]
			p.reason, p.message = v1alpha1.ReasonOverlaps, poolsOverlap(e.Range, other.Range, other.pool.name)
			return
		}
	}
	for _, e := range p.effective {
		a.index = slices.Insert(a.index, firstReaching(a.index, e.From), poolRange{e.Range, p})
	}
}

// moveAllocation gives a holding to the pool that has its address now; nil if none has.
func (a *Allocator) moveAllocation(alloc *allocation, p *pool) {
	resting := len(alloc.owners) == 0
	alloc.pool, alloc.audience = p, forAll
	if p != nil {
		alloc.audience = a.audienceOf(alloc.addr)
	}
	if resting && (p == nil || alloc.audience != forAll) {
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
	if resting {
		s.awaitingReuse.ReplaceOrInsert(alloc)
	} else {
		s.allocated[alloc.audience]++
	}
}

// reevaluate looks at Services after a change of the configuration: those that may not keep what they have, that are told
// something that is no longer true, or that can be served now. It changes nothing but what they wait for.
func (op *operation) reevaluate(concerns func(*record) bool) {
	a := op.a
	var list []*record
	for _, rec := range a.table.services {
		if rec.live && rec.answered && concerns(rec) {
			list = append(list, rec)
		}
	}
	slices.SortFunc(list, compareAge)
	for _, rec := range list {
		for _, alloc := range rec.owned {
			if alloc != nil && !a.mayKeep(alloc, &rec.request, rec) {
				op.requeue(rec)
			}
		}
		if rec.describe() != rec.message {
			op.requeue(rec)
		}
		if rec.waits() {
			op.rejoinQueues(rec)
		}
	}
}

// rejoinQueues finds out anew what a Service waits for. What is there for it already is offered to the queue that it joins, in
// which older ones may come first.
func (op *operation) rejoinQueues(rec *record) {
	a, r := op.a, &rec.request
	op.leaveQueues(rec)
	d := a.decide(op.now, r, rec, [families]choice{})
	if !rec.problem.equal(d.problem) && d.problem != nil {
		op.requeue(rec)
	}
	waits := d.waits
	var served []family
	for _, f := range r.wanted() {
		t := d.choices[f]
		switch {
		case d.problems[f] != nil && !d.problems[f].equal(rec.problems[f]):
			op.requeue(rec)
		case !t.addr.IsValid() || rec.owned[f] != nil:
		case t.audience == forOne || rec.former[f] != nil && rec.former[f].addr == t.addr:
			op.requeue(rec) // nobody else is after it
		default:
			served = append(served, f)
			if told := rec.problems[f]; told != nil && told.Reason != PoolExhausted && !r.wish(f).IsValid() {
				op.requeue(rec) // it was told that there is nothing for it at all
			}
		}
	}
	if r.requiresBoth() && len(served) > 1 {
		// One queue is enough, and the shorter supply says how many can be served.
		served = []family{slices.MinFunc(served, func(f, g family) int { return a.supply(r, f).compare(a.supply(r, g)) })}
	}
	for _, f := range served {
		waits = a.waitsFor(waits, r, f)
	}
	for _, w := range waits {
		q := a.queue(w)
		q.join(rec)
		op.touchedQueues = append(op.touchedQueues, q)
	}
}

// supply is how many addresses there are of a family for Services like this one.
func (a *Allocator) supply(r *Request, f family) size {
	var n size
	for _, p := range a.order {
		if s := p.spaces[f]; s != nil && a.serves(p, r) {
			n = n.plus(s.available())
		}
	}
	return n
}

// poolRange is a range of addresses and the pool that has it.
type poolRange struct {
	Range
	pool *pool
}

// poolOf is the usable pool that has an address; nil if none has.
func (a *Allocator) poolOf(addr netip.Addr) *pool {
	i := firstReaching(a.index, addr)
	if i == len(a.index) || !a.index[i].Contains(addr) || a.index[i].pool.skipBuggy && buggy(addr) {
		return nil
	}
	return a.index[i].pool
}
