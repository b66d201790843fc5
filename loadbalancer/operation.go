package loadbalancer

import (
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// operation is one call that changes the table. It gathers what the change may concern:
// notifyWaiters looks at it when the change is done.
type operation struct {
	a    *Allocator
	now  time.Time
	self *record // the Service that the call is about; nil if it is about none

	touchedQueues    []*queue
	touchedAddresses []netip.Addr
	touchedKeys      []sharingKey

	doubleClaims []DoubleClaim
	evictions    []Eviction
	requeues     []types.NamespacedName
	requeued     map[*record]bool // who is in requeues
}

// apply changes the table to what a Service is to have. An address that the Service keeps concerns
// others only if the Service shares it in another way than before.
func (op *operation) apply(rec *record, choices [families]choice, sharingChanged bool) {
	t := op.a.table
	t.setSince(rec, op.sinceWhen(rec, choices))
	for f := range families {
		old, c := rec.owned[f], choices[f]
		switch {
		case old != nil && old.addr == c.addr:
			if sharingChanged {
				op.evict(rec, old)
				op.touch(old)
			}
			continue
		case c.addr.IsValid():
			alloc := t.addOwner(rec, c)
			op.evictByClaim(rec, alloc)
			op.touch(alloc)
		}
		if old != nil {
			t.removeOwner(rec, old, op.now)
			op.touch(old)
		}
	}
}

// sinceWhen is record.since of a Service that is to have choices. A joiner comes after those that are
// there, also if the clock was set back.
func (op *operation) sinceWhen(rec *record, choices [families]choice) time.Time {
	now, since := asRecorded(op.now), rec.since
	claims := slices.ContainsFunc(choices[:], func(c choice) bool { return c.claimed })
	if rec.owned == [families]*allocation{} && !claims {
		since = now
	}
	for f, c := range choices {
		if c.claimed || rec.owned[f] != nil && rec.owned[f].addr == c.addr {
			continue
		}
		for _, o := range op.a.table.owners(c.addr) {
			since = slices.MaxFunc([]time.Time{since, now, o.since}, time.Time.Compare)
		}
	}
	return since
}

// evict takes an address from the owners that came later than rec and cannot share it with rec any
// more, as rec's request is another one now.
func (op *operation) evict(rec *record, alloc *allocation) {
	for _, o := range op.inConflict(rec, alloc) {
		why := sharingConflict(alloc.addr, alloc.pool, &o.request, rec)
		op.evictions = append(op.evictions, Eviction{alloc.addr, o.request.Service, keptByFirst(why, rec.request.Service)})
		op.takeFrom(o, alloc)
	}
}

// evictByClaim takes an address from the owners with whom a new owner does not share it. There are
// some only if the new owner claimed the address.
func (op *operation) evictByClaim(rec *record, alloc *allocation) {
	for _, o := range op.inConflict(rec, alloc) {
		claim := DoubleClaim{Address: alloc.addr, Winner: rec.request.Service, Loser: o.request.Service}
		op.doubleClaims = append(op.doubleClaims, claim)
		op.takeFrom(o, alloc)
	}
}

// inConflict are the other owners of an address with whom rec cannot share it.
func (op *operation) inConflict(rec *record, alloc *allocation) []*record {
	return slices.DeleteFunc(slices.Clone(alloc.owners), func(o *record) bool {
		return o == rec || sharingConflict(alloc.addr, alloc.pool, &rec.request, o) == nil
	})
}

// takeFrom takes an address from one of several owners. Its status says for a while that it has the
// address, which is no double claim.
func (op *operation) takeFrom(o *record, alloc *allocation) {
	op.a.table.removeOwner(o, alloc, op.now)
	o.request.Current = append(slices.Clone(o.request.Current), alloc.addr)
	op.requeue(o)
}

// release takes everything from a Service and forgets it.
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

// leaveQueues takes a Service out of all queues. If the Service was requeued because there is
// something for it, it may not take that now, and then others in its queues can have it.
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

// touch notes that an address has other owners now, or is shared in another way.
func (op *operation) touch(alloc *allocation) {
	op.touchedAddresses = append(op.touchedAddresses, alloc.addr)
}

// requeue has a Service asked for again, unless the call is about it.
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
