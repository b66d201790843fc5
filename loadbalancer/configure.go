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
	return a.rearrange(now)
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
	op.reconsider(func(rec *record) bool { return rec.request.Service.Namespace == name })
	return op.settle()
}

// rearrange derives from the pools and carvings which pools are used, in what order, and what is in their spaces; then it
// looks at everybody whom that may concern.
func (a *Allocator) rearrange(now time.Time) []types.NamespacedName {
	a.order, a.index = nil, nil
	rebuilt := map[*pool]bool{}
	for _, p := range slices.SortedFunc(maps.Values(a.pools), (*pool).compareAge) {
		usedBefore := p.built
		p.reason, p.message = p.ownReason, p.ownMessage
		if p.usable() {
			a.enter(p)
		}
		p.established = p.usable()
		if !p.usable() {
			p.built, p.spaces, p.carved = false, [families]*space{}, nil
			continue
		}
		a.order = append(a.order, p)
		carved := a.carvedFrom(p)
		if !usedBefore || !slices.Equal(carved, p.carved) {
			p.carved = carved
			p.buildSpaces()
			rebuilt[p] = true
		}
	}
	slices.SortFunc(a.order, (*pool).compareOrder)
	for i, p := range a.order {
		p.rank = i
	}

	moved := map[*holding]bool{}
	for _, h := range a.table.addresses {
		if p := a.poolOf(h.addr); p != h.pool || rebuilt[p] {
			a.attach(h, p)
			moved[h] = true
		}
	}

	op := &operation{a: a, now: now}
	op.reconsider(func(rec *record) bool {
		return rec.waits() || slices.ContainsFunc(rec.held[:], func(h *holding) bool { return moved[h] })
	})
	return op.settle()
}

// enter puts a pool's ranges into the index, unless another pool has any of them.
func (a *Allocator) enter(p *pool) {
	for _, e := range p.effective {
		i := firstReaching(a.index, e.From)
		if i < len(a.index) && a.index[i].overlaps(e.Range) {
			other := a.index[i]
			p.reason, p.message = v1alpha1.ReasonOverlaps, poolsOverlap(e.Range, other.Range, other.pool.name)
			return
		}
	}
	for _, e := range p.effective {
		a.index = slices.Insert(a.index, firstReaching(a.index, e.From), indexed{e.Range, p})
	}
}

// attach gives a holding to the pool that has its address now; nil if none has.
func (a *Allocator) attach(h *holding, p *pool) {
	resting := len(h.owners) == 0
	h.pool, h.zone = p, forAll
	if p != nil {
		h.zone = a.zoneOf(h.addr)
	}
	if resting && (p == nil || h.zone != forAll) {
		a.table.forget(h)
		return
	}
	if p == nil {
		return
	}
	s := p.spaces[familyOf(h.addr)]
	if h.zone == forAll {
		s.remove(h.addr)
	}
	if resting {
		s.resting.ReplaceOrInsert(h)
	} else {
		s.held[h.zone]++
	}
}

// reconsider looks at Services after a change of the configuration: those that may not keep what they have, that are told
// something that is no longer true, or that can be served now. It changes nothing but what they wait for.
func (op *operation) reconsider(concerns func(*record) bool) {
	a := op.a
	var list []*record
	for _, rec := range a.table.services {
		if rec.live && rec.asked && concerns(rec) {
			list = append(list, rec)
		}
	}
	slices.SortFunc(list, compareAge)
	for _, rec := range list {
		for _, h := range rec.held {
			if h != nil && !a.stands(h, &rec.request, rec) {
				op.poke(rec)
			}
		}
		if rec.describe() != rec.message {
			op.poke(rec)
		}
		if rec.waits() {
			op.requeue(rec)
		}
	}
}

// requeue finds out anew what a Service waits for. What is there for it already is offered to the queue that it joins, in
// which older ones may come first.
func (op *operation) requeue(rec *record) {
	a, r := op.a, &rec.request
	op.unqueue(rec)
	d := a.decide(op.now, r, rec, [families]taken{})
	if !rec.problem.equal(d.problem) && d.problem != nil {
		op.poke(rec)
	}
	waits := d.waits
	var served []family
	for _, f := range r.wanted() {
		t := d.take[f]
		switch {
		case d.told[f] != nil && !d.told[f].equal(rec.told[f]):
			op.poke(rec)
		case !t.addr.IsValid() || rec.held[f] != nil:
		case t.zone == forOne || rec.rests[f] != nil && rec.rests[f].addr == t.addr:
			op.poke(rec) // nobody else is after it
		default:
			served = append(served, f)
			if told := rec.told[f]; told != nil && told.Reason != PoolExhausted && !r.wish(f).IsValid() {
				op.poke(rec) // it was told that there is nothing for it at all
			}
		}
	}
	if r.requiresBoth() && len(served) > 1 {
		// One queue is enough, and the shorter supply says how many can be served.
		served = []family{slices.MinFunc(served, func(f, g family) int { return a.supply(r, f).compare(a.supply(r, g)) })}
	}
	for _, f := range served {
		waits = a.wants(waits, r, f)
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

// indexed is a range of addresses and the pool that has it.
type indexed struct {
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
