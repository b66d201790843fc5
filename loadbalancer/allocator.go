package loadbalancer

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/internal/guard"
)

// Allocator decides which Service has which address. It is safe for concurrent use. The times
// handed to its methods must come from one clock. They decide when a freed address may be used
// again, and nothing else.
//
// Many methods return the Services to requeue. Their answer may be another one now, so they must be
// asked for again with Ensure. The Service that the call is about is never among them. Where
// addresses of a full pool become free, the Allocator requeues as many of the Services that wait
// for one as there are addresses, the oldest first. It counts on each of them being asked for again
// or released.
type Allocator struct {
	mu sync.Mutex

	table *table

	// pools has every IPAddressPool by name. order has the usable ones in the order in which they
	// are tried, and index the ranges of those by address.
	pools map[string]*pool
	order []*pool
	index []poolRange

	// namespaces has the labels of every namespace that is known.
	namespaces map[string]labels.Set

	// restrictions are what conflicts, reserved and reservations come to, sorted and without overlap.
	conflicts      []ConflictingAddress
	reserved       []ReservedRange
	reservations   []Reservation
	restrictions   []restriction
	hasReservation map[types.NamespacedName]bool // Services that a reservation names

	// waitingForAddress has the Services that wait for one address, waitingToShare those that wait
	// for an address that others share with them, and waitingForUse those whose namespace has as many
	// addresses as it may.
	waitingForAddress map[netip.Addr]*queue
	waitingToShare    map[sharingKey]*queue
	waitingForUse     map[use]*queue
}

// Outcome is the answer to a Request.
type Outcome struct {
	// Addresses of the Service, ordered by its families. With an error there are none, with one
	// exception: a Service whose request is invalid keeps what it had until the request can be
	// understood.
	Addresses []netip.Addr
	// Pools names the pool of each address.
	Pools map[netip.Addr]string
	// Message says in a sentence what the Service has, with whom it shares it, and why a second
	// family is missing if that is merely preferred. It names annotations that nobody reads. The
	// message changes only with these facts. It is empty with an error.
	Message string
	// Since is when the Service, which had no address, was given one, or when it last joined an address
	// that others had, in whole seconds. It decides who keeps an address that is shared, and is to be
	// recorded as Request.Since. Zero if there are no addresses.
	Since time.Time
	// Evictions are addresses that other Services shared with this one and have lost, because they
	// cannot be shared with what this one asks for now, and this one was there first.
	Evictions []Eviction
	// DoubleClaims are addresses that the status of the Service has and that another Service has
	// too. Each is reported once.
	DoubleClaims []DoubleClaim
	// Clashes are the addresses of the Service that something else uses too, as Message says as well.
	Clashes []Clash
	// Requeue are the other Services to ask for again. It is filled in with an error too.
	Requeue []types.NamespacedName
}

// Eviction is an address that a Service has lost to another one that was there first.
type Eviction struct {
	Address netip.Addr
	Service types.NamespacedName
	// Sentence says who keeps the address, and why the two cannot share it any more.
	Sentence string
}

// DoubleClaim is an address that two Services claim without sharing it. The one that has it since
// earlier keeps it, or else the older one, unless the other one got it from this Allocator.
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
		waitingForUse:     map[use]*queue{},
	}
}

// Ensure gives a Service the addresses that it asks for, or says why not. It is idempotent: the
// same request gets the same answer for as long as nothing else changes. The error is an *Error.
//
// A Service keeps its address if the request still allows it, if the pool still admits the Service,
// and if the Service can still share with the other owners. Otherwise the Service gets another
// address or, with an error, none: a Service that asks for an address that another one has waits
// without any. A Service that requires both families has both or none.
//
// A Service that is seen for the first time claims the addresses in its status. It keeps those that
// its request allows, even if a younger Service has been given one meanwhile.
//
// Of Services that share an address and cannot any more, whoever has changed, the one that was there
// first keeps it.
//
// If a fault of the program keeps it from answering, the Service has what it had. One that was not
// known is not known now either, and claims again what its status says.
func (a *Allocator) Ensure(now time.Time, r Request) (out Outcome, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()

	undo := a.remember(r.Service)
	failed := guard.Do("service", r.Service, func() { out, err = a.ensure(now, r) })
	if failed == nil {
		return out, err
	}
	undo()
	out = Outcome{Addresses: r.Current}
	if rec := a.table.services[r.Service]; rec != nil && rec.live {
		out.Addresses = rec.addresses()
	}
	return out, &Error{Reason: InternalError, Message: failed.Error()}
}

// remember returns what puts back what is known of a Service, if no address was given to it or taken
// from it since.
func (a *Allocator) remember(service types.NamespacedName) (undo func()) {
	before := a.table.services[service]
	var was record
	if before != nil {
		was = *before
	}
	return func() {
		switch rec := a.table.services[service]; {
		case rec == nil || rec.owned != was.owned:
		case before == nil:
			delete(a.table.services, service)
		default:
			was.queues = rec.queues
			*rec = was
		}
	}
}

func (a *Allocator) ensure(now time.Time, r Request) (Outcome, error) {
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
		*rec = record{live: true, former: rec.former, request: r, since: cmp.Or(r.Since, asRecorded(now))}
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
	for _, addr := range r.Current {
		if c, lost := a.doubleClaim(rec, addr); lost && !slices.Contains(believed, addr) && !owns(had, addr) {
			op.doubleClaims = append(op.doubleClaims, c)
		}
	}
	rec.message = a.describe(rec)
	out := a.outcome(rec)
	out.DoubleClaims, out.Evictions = op.doubleClaims, op.evictions
	out.Requeue = op.notifyWaiters()
	if d.problem != nil {
		return out, d.problem.with(r.remark())
	}
	return out, nil
}

// outcome is what a Service has now.
func (a *Allocator) outcome(rec *record) Outcome {
	out := Outcome{Addresses: rec.addresses(), Clashes: a.clashes(rec)}
	if len(out.Addresses) > 0 {
		out.Since = rec.since
	}
	out.Pools = make(map[netip.Addr]string, len(out.Addresses))
	for _, addr := range out.Addresses {
		if alloc := a.table.addresses[addr]; alloc.pool != nil {
			out.Pools[addr] = alloc.pool.name
		}
	}
	if rec.problem == nil {
		out.Message = sentences(rec.message, rec.request.remark())
	}
	return out
}

// Release takes everything from a Service and returns the Services to requeue. It is idempotent.
// With a uid that is not that of the Service it does nothing; an empty uid stands for any.
func (a *Allocator) Release(now time.Time, service types.NamespacedName, uid types.UID) (requeue []types.NamespacedName) {
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

// Lookup returns the addresses of a Service, ordered by its families, and whether the Allocator
// knows the Service at all. It does from the first Ensure or Restore until Release, also while the
// Service has no address.
func (a *Allocator) Lookup(service types.NamespacedName) ([]netip.Addr, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()

	rec := a.table.services[service]
	if rec == nil || !rec.live {
		return nil, false
	}
	return rec.addresses(), true
}

// Restore learns, before anything is served, what Services have according to their status. Of two
// that claim one address without sharing it, the one that has it since earlier keeps it, or else the
// older. Restore hands out nothing new: a
// Service that loses its claim gets another address when it is asked for with Ensure.
func (a *Allocator) Restore(now time.Time, requests []Request) []DoubleClaim {
	a.mu.Lock()
	defer a.mu.Unlock()

	var claimants []*record
	for _, r := range requests {
		rec := a.table.services[r.Service]
		switch {
		case len(r.Current) == 0 || rec != nil && rec.live:
			continue
		case rec == nil:
			rec = &record{}
		}
		*rec = record{live: true, former: rec.former, request: r, since: cmp.Or(r.Since, asRecorded(now))}
		claimants = append(claimants, rec)
	}
	slices.SortFunc(claimants, compareSeniority)
	op := &operation{a: a, now: now}
	for _, rec := range claimants {
		a.table.services[rec.request.Service] = rec
		op.apply(rec, a.claims(rec), false)
	}
	for _, rec := range claimants {
		for _, addr := range rec.request.Current {
			if c, lost := a.doubleClaim(rec, addr); lost {
				op.doubleClaims = append(op.doubleClaims, c)
			}
		}
	}
	op.notifyWaiters()
	return op.doubleClaims
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

// doubleClaim reports whether the status of a Service has an address that others own and would not
// share with it.
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
