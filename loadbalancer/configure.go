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

// ReservedRange is a range that something other than Services uses. A single address is somebody's own, a node's for
// example, and is not handed out. A wider range (the cluster's Service CIDR, say) is only reported by the pools that overlap
// it. What says what it is, as it goes into a sentence: `the address of node "n1"`.
type ReservedRange struct {
	Prefix netip.Prefix
	What   string
}

// ContestedAddress is an address for which a stranger on the network answers: neither a node nor any Service of ours. What is
// a half sentence that says who and by whom it was heard: "the host 52:54:00:12:34:56 on the network answers for it (heard by
// node-1)".
type ContestedAddress struct {
	Address netip.Addr
	What    string
}

// Reservation keeps addresses for one Service, whether it exists or not, or for nobody. It says who may get an address, not
// who may keep one: a Service that has it already stays. Of reservations that overlap the first one counts.
type Reservation struct {
	Name      string
	Addresses []Range
	Service   *types.NamespacedName // nil: nobody
}

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

// SetReserved takes the full set of ranges that something other than Services uses.
func (a *Allocator) SetReserved(now time.Time, ranges []ReservedRange) (poke []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.reserved = slices.DeleteFunc(slices.Clone(ranges), func(r ReservedRange) bool { return !r.Prefix.IsValid() })
	return a.carve(now)
}

// SetConflicts takes the full set of addresses for which strangers answer; of several conflicts about one address the first
// counts. Such an address is not handed out, and who has it loses it and gets another one or waits, except a Service that
// asks for that very address: it keeps it if it has it, and is refused with AddressConflict if it has not. A claim made after a
// restart is treated the same, so that conflicts that are known should be told before Restore.
func (a *Allocator) SetConflicts(now time.Time, conflicts []ContestedAddress) (poke []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.conflicts = slices.DeleteFunc(slices.Clone(conflicts), func(c ContestedAddress) bool { return !c.Address.IsValid() })
	return a.carve(now)
}

// SetReservations takes the full set of reservations.
func (a *Allocator) SetReservations(now time.Time, reservations []Reservation) (poke []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.reservations = slices.Clone(reservations)
	return a.carve(now)
}

// carve makes one list of everything that is not for everybody. Where two claim one address, a stranger's comes before an own
// address, because only it is taken away from who has it, that before a reservation, and then the first one counts.
func (a *Allocator) carve(now time.Time) []types.NamespacedName {
	var carvings []carving
	a.keepsFor = map[types.NamespacedName]bool{}
	add := func(c carving) {
		for _, rest := range subtract(c.Range, carvings) {
			piece := c
			piece.Range = rest
			i := firstReaching(carvings, rest.From)
			carvings = slices.Insert(carvings, i, piece)
		}
	}
	for _, c := range a.conflicts {
		add(carving{Range: Range{c.Address, c.Address}, zone: forNone, what: c.What, contested: true})
	}
	for _, r := range a.reserved {
		if r.Prefix.IsSingleIP() {
			add(carving{Range: rangeOf(r.Prefix), zone: forNone, what: r.What})
		}
	}
	for _, r := range a.reservations {
		for _, addresses := range r.Addresses {
			c := carving{Range: addresses, zone: forNone, reservation: r.Name}
			if r.Service != nil {
				c.zone, c.service = forOne, *r.Service
				a.keepsFor[*r.Service] = true
			}
			add(c)
		}
	}
	if slices.Equal(carvings, a.carvings) {
		return nil
	}
	a.carvings = carvings
	return a.rearrange(now)
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

// carvedFrom clips the carvings to a pool.
func (a *Allocator) carvedFrom(p *pool) []carving {
	var list []carving
	for _, e := range p.effective {
		for _, c := range a.carvings[firstReaching(a.carvings, e.From):] {
			r, ok := c.intersect(e.Range)
			if !ok {
				break
			}
			c.Range = r
			list = append(list, c)
		}
	}
	return list
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

// carvingOf is what keeps an address from being for everybody.
func (a *Allocator) carvingOf(addr netip.Addr) (carving, bool) {
	i := firstReaching(a.carvings, addr)
	if i == len(a.carvings) || !a.carvings[i].Contains(addr) {
		return carving{}, false
	}
	return a.carvings[i], true
}

func (a *Allocator) zoneOf(addr netip.Addr) zone {
	c, _ := a.carvingOf(addr)
	return c.zone
}
