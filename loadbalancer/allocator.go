package loadbalancer

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Allocator decides who has which address. It is safe for concurrent use. The times handed to its methods must come from
// one clock; they decide how long addresses rest after use and nothing else.
//
// Many methods return the Services to poke: those whose answer may be another one now and who should be asked again with
// Ensure. It is never the Service that the call was about. Of the Services that wait for an address of a full pool it names,
// the oldest first, as many as there are addresses, and it counts on each being asked again or released.
type Allocator struct {
	mu sync.Mutex

	table *table

	// pools has every IPAddressPool by name; order has the usable ones in the order in which they are tried, and index
	// their ranges by address.
	pools map[string]*pool
	order []*pool
	index []poolRange

	// namespaces has the labels of every namespace that is known.
	namespaces map[string]labels.Set

	// carvings are what conflicts, reserved and reservations keep from everybody, sorted and without overlap.
	conflicts      []ConflictingAddress
	reserved       []ReservedRange
	reservations   []Reservation
	restrictions   []restriction
	hasReservation map[types.NamespacedName]bool // Services that a reservation names

	// waitingForAddress has the Services that wait for one address, sharers those that wait for room beside others.
	waitingForAddress map[netip.Addr]*queue
	waitingToShare    map[sharingKey]*queue
}

// Outcome is the answer to a Request.
type Outcome struct {
	// Addresses of the Service, ordered by its families. With an error there are none, with one exception: a Service whose
	// request is invalid keeps what it had until the request can be understood.
	Addresses []netip.Addr
	// Pools says which pool each address is from.
	Pools map[netip.Addr]string
	// Message says in a sentence what the Service has, with whom it shares it, and why a second family is missing if it is
	// merely preferred. It changes only with these facts.
	Message string
	// DoubleClaims are addresses that the Service believes it has and that another Service has too. Each is reported once.
	DoubleClaims []DoubleClaim
	// Requeue are other Services whose answer may have changed. It is filled in with an error too.
	Requeue []types.NamespacedName
}

// DoubleClaim is an address that two Services claim without sharing it. The older one keeps it, unless the younger had it from
// this allocator.
type DoubleClaim struct {
	Address netip.Addr
	Winner  types.NamespacedName
	Loser   types.NamespacedName
}

// New returns an Allocator without pools.
func New() *Allocator {
	return &Allocator{
		table:             newTable(),
		pools:             map[string]*pool{},
		namespaces:        map[string]labels.Set{},
		waitingForAddress: map[netip.Addr]*queue{},
		waitingToShare:    map[sharingKey]*queue{},
	}
}

// Ensure gives a Service the addresses that it asks for, or says why not. It is idempotent: the same request gets the same
// answer for as long as nothing else changes. The error is an *Error.
//
// A Service keeps what it has if that is compatible with what it asks for now, if the pool still admits it, and if it still
// gets on with those it shares with. Otherwise it gets something else or, with an error, nothing: a Service that asks for an
// address that another one has waits without any. A Service that requires both families has both or none.
//
// The first time that a Service is seen, it is taken at its word about the addresses in its status: it keeps those that its
// request allows, even if a younger Service has been given one since.
func (a *Allocator) Ensure(now time.Time, r Request) (Outcome, error) {
	a.mu.Lock()
	defer a.mu.Unlock()

	op := &operation{a: a, now: now}
	rec := a.table.services[r.Service]
	if rec != nil && rec.live && rec.request.UID != r.UID {
		op.release(rec)
		rec = a.table.services[r.Service]
	}
	known := rec != nil && rec.live
	if rec == nil {
		rec = &record{}
		a.table.services[r.Service] = rec
	}
	op.self = rec
	op.leaveQueues(rec)
	rec.requeued = false

	believed, had := rec.request.Current, rec.owned
	var claims [families]choice
	if !known {
		believed = nil
		*rec = record{live: true, former: rec.former, request: r}
		claims = a.claims(rec)
	}
	d := a.decide(now, &r, rec, claims)
	sameSharing := r.sharesLike(&rec.request)
	a.table.update(rec, r)
	rec.answered, rec.problem, rec.problems, rec.missing = true, d.problem, d.problems, d.missing
	op.apply(rec, d.choices, !sameSharing)
	for _, w := range d.waits {
		a.queue(w).join(rec)
	}

	out := Outcome{DoubleClaims: op.conflicts}
	for _, addr := range r.Current {
		if c, lost := a.doubleClaim(rec, addr); lost && !slices.Contains(believed, addr) && !owns(had, addr) {
			out.DoubleClaims = append(out.DoubleClaims, c)
		}
	}
	rec.message = rec.describe()
	out.Addresses = rec.addresses()
	out.Pools = make(map[netip.Addr]string, len(out.Addresses))
	for _, addr := range out.Addresses {
		if alloc := a.table.addresses[addr]; alloc.pool != nil {
			out.Pools[addr] = alloc.pool.name
		}
	}
	if d.problem == nil {
		out.Message = rec.message
	}
	out.Requeue = op.notifyWaiters()
	if d.problem != nil {
		return out, d.problem
	}
	return out, nil
}

// Release takes everything from a Service. It is idempotent; a uid that is not that of the Service does nothing, and an
// empty one stands for any.
func (a *Allocator) Release(now time.Time, service types.NamespacedName, uid types.UID) (poke []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	rec := a.table.services[service]
	if rec == nil || !rec.live || uid != "" && uid != rec.request.UID {
		return nil
	}
	op := &operation{a: a, now: now, self: rec}
	op.release(rec)
	return op.notifyWaiters()
}

// Lookup returns the addresses of a Service, ordered by its families, and whether the allocator knows the Service at all: it
// does from the first Ensure or Restore until Release, also while the Service has no address.
func (a *Allocator) Lookup(service types.NamespacedName) ([]netip.Addr, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()

	rec := a.table.services[service]
	if rec == nil || !rec.live {
		return nil, false
	}
	return rec.addresses(), true
}

// Restore learns, before anything is served, what Services have according to their status. Of two that claim one address
// without sharing it, the older keeps it. It hands out nothing new: a Service that loses its claim gets another address when
// it is asked for with Ensure.
func (a *Allocator) Restore(now time.Time, requests []Request) []DoubleClaim {
	a.mu.Lock()
	defer a.mu.Unlock()

	var claimants []*record
	for _, r := range requests {
		if known := a.table.services[r.Service]; len(r.Current) > 0 && (known == nil || !known.live) {
			claimants = append(claimants, &record{live: true, request: r})
		}
	}
	slices.SortFunc(claimants, compareAge)
	op := &operation{a: a, now: now}
	for _, rec := range claimants {
		a.table.services[rec.request.Service] = rec
		op.apply(rec, a.claims(rec), false)
	}
	conflicts := op.conflicts
	for _, rec := range claimants {
		for _, addr := range rec.request.Current {
			if c, lost := a.doubleClaim(rec, addr); lost {
				conflicts = append(conflicts, c)
			}
		}
	}
	op.notifyWaiters()
	return conflicts
}

// Waiting counts, by reason, the Services that do not have what they ask for.
func (a *Allocator) Waiting() map[Reason]int {
	a.mu.Lock()
	defer a.mu.Unlock()

	counts := map[Reason]int{}
	for _, rec := range a.table.services {
		if rec.live && rec.problem != nil {
			counts[rec.problem.Reason]++
		}
	}
	return counts
}

// addresses of the Service, ordered by its families; whatever it has of a family that it does not want comes last.
func (rec *record) addresses() []netip.Addr {
	var list []netip.Addr
	for _, name := range rec.request.Families {
		if f, ok := familyFrom(name); ok && rec.owned[f] != nil && !slices.Contains(list, rec.owned[f].addr) {
			list = append(list, rec.owned[f].addr)
		}
	}
	return list
}

func owns(held [families]*allocation, addr netip.Addr) bool {
	alloc := held[familyOf(addr)]
	return alloc != nil && alloc.addr == addr
}

// doubleClaim reports whether a Service believes in an address that others have and would not share with it.
func (a *Allocator) doubleClaim(rec *record, addr netip.Addr) (DoubleClaim, bool) {
	if owns(rec.owned, addr) {
		return DoubleClaim{}, false
	}
	alloc := a.table.addresses[addr]
	if alloc == nil {
		return DoubleClaim{}, false
	}
	for _, o := range alloc.owners {
		if sharingConflict(addr, alloc.pool, &rec.request, o) != nil {
			return DoubleClaim{Address: addr, Winner: o.request.Service, Loser: rec.request.Service}, true
		}
	}
	return DoubleClaim{}, false
}

// operation is one call that changes the table. It gathers what must be looked at again when the change is done.
type operation struct {
	a    *Allocator
	now  time.Time
	self *record

	touchedQueues    []*queue
	touchedAddresses []netip.Addr
	touchedKeys      []sharingKey

	conflicts []DoubleClaim
	requeues  []types.NamespacedName
	requeued  map[*record]bool
}

// claims are the addresses that a Service which is seen for the first time has according to its status, and may have. Those
// of younger Services are among them.
func (a *Allocator) claims(rec *record) (claims [families]choice) {
	r := &rec.request
	for _, addr := range r.Current {
		f := familyOf(addr)
		p := a.poolOf(addr)
		if p == nil || claims[f].addr.IsValid() || !r.wants(f) || !r.allows(addr, p) || a.yields(r, addr) || a.refusal(p, r) != "" {
			continue
		}
		if !slices.ContainsFunc(a.table.owners(addr), func(o *record) bool {
			return compareAge(o, rec) < 0 && sharingConflict(addr, p, r, o) != nil
		}) {
			claims[f] = choice{addr, p, a.audienceOf(addr)}
		}
	}
	return claims
}

// apply changes the table to what a Service is to have. What it keeps concerns others only if it shares it in another way.
func (op *operation) apply(rec *record, take [families]choice, sharingChanged bool) {
	t := op.a.table
	for f := range families {
		old := rec.owned[f]
		switch {
		case old != nil && old.addr == take[f].addr:
			if sharingChanged {
				op.touch(old)
			}
			continue
		case take[f].addr.IsValid():
			alloc := t.addOwner(rec, take[f].addr, take[f].pool, take[f].audience)
			op.evict(rec, alloc)
			op.touch(alloc)
		}
		if old != nil {
			t.removeOwner(rec, old, op.now)
			op.touch(old)
		}
	}
}

// evict takes an address from those with whom its new owner does not share it. There are some only if it claimed it.
func (op *operation) evict(rec *record, alloc *allocation) {
	for _, o := range slices.Clone(alloc.owners) {
		if o == rec || sharingConflict(alloc.addr, alloc.pool, &rec.request, o) == nil {
			continue
		}
		op.conflicts = append(op.conflicts, DoubleClaim{Address: alloc.addr, Winner: rec.request.Service, Loser: o.request.Service})
		op.a.table.removeOwner(o, alloc, op.now)
		op.requeue(o)
	}
}

func (op *operation) release(rec *record) {
	op.leaveQueues(rec)
	for _, alloc := range rec.owned {
		if alloc != nil {
			op.a.table.removeOwner(rec, alloc, op.now)
			op.touch(alloc)
		}
	}
	rec.live, rec.requeued = false, false
	op.a.table.discardIfUnused(rec)
}

// leaveQueues takes a Service out of all queues. If it was told that there is something for it, and might not take it, others
// must be told.
func (op *operation) leaveQueues(rec *record) {
	for _, q := range rec.queues {
		q.leave(rec)
		if rec.requeued {
			op.touchedQueues = append(op.touchedQueues, q)
		}
	}
	for _, q := range rec.queues {
		op.a.discardIfEmpty(q)
	}
	rec.queues = nil
}

func (op *operation) touch(alloc *allocation) {
	op.touchedAddresses = append(op.touchedAddresses, alloc.addr)
}

func (op *operation) requeue(rec *record) {
	if rec == op.self || op.requeued[rec] {
		return
	}
	if !rec.requeued {
		rec.requeued = true
		for _, q := range rec.queues {
			q.requeued++
		}
	}
	if op.requeued == nil {
		op.requeued = map[*record]bool{}
	}
	op.requeued[rec] = true
	op.requeues = append(op.requeues, rec.request.Service)
}

// allows reports whether the request's own wishes allow an address.
func (r *Request) allows(addr netip.Addr, p *pool) bool {
	wish := r.wish(familyOf(addr))
	return r.Invalid != nil || (r.Pool == "" || r.Pool == p.name) && (!wish.IsValid() || wish == addr)
}

// requiresBoth reports whether the Service wants addresses of both families or none.
func (r *Request) requiresBoth() bool {
	return r.Policy == corev1.IPFamilyPolicyRequireDualStack
}
