package loadbalancer

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// notifyWaiters returns the Services to requeue after the operation: those that wait for what is
// there now, and those whose last answer is no longer true.
func (op *operation) notifyWaiters() []types.NamespacedName {
	a := op.a
	op.touchedAddresses = append(op.touchedAddresses, a.table.reusable...)
	a.table.reusable = nil
	for _, u := range a.table.usesChanged {
		op.offerUse(u)
	}
	a.table.usesChanged = nil
	for _, q := range op.touchedQueues {
		switch {
		case q.use != use{}:
			op.offerUse(q.use)
		case q.space != nil:
			op.offerSpace(q.space)
		case q.addr.IsValid():
			op.touchedAddresses = append(op.touchedAddresses, q.addr)
		default:
			op.touchedKeys = append(op.touchedKeys, q.sharingKey)
		}
	}
	for _, k := range op.touchedKeys {
		if g := a.table.groups[k.key]; g != nil && a.waitingToShare[k] != nil {
			for alloc := range g.owners {
				op.touchedAddresses = append(op.touchedAddresses, alloc.addr)
			}
		}
	}
	slices.SortFunc(op.touchedAddresses, netip.Addr.Compare)
	for _, addr := range slices.Compact(op.touchedAddresses) {
		alloc := a.table.addresses[addr]
		op.offerAddress(addr)
		op.offerReserved(addr)
		if alloc != nil {
			op.notifyOwners(alloc)
			op.offerShared(alloc)
		}
		if p := a.poolOf(addr); p != nil {
			op.offerSpace(p.spaces[familyOf(addr)])
		}
	}
	return op.requeues
}

// offerSpace requeues as many Services as there are addresses, the oldest first. Those that are
// requeued already count.
func (op *operation) offerSpace(s *space) {
	q := s.waiting
	enough := func() bool { return s.available().compare(size{lo: uint64(q.requeued)}) <= 0 }
	if q.records.Len() == q.requeued || enough() {
		return
	}
	op.requeueOldest(q, enough)
}

// requeueOldest requeues Services of a queue, the oldest first, until that is enough.
func (op *operation) requeueOldest(q *queue, enough func() bool) {
	q.records.Ascend(func(rec *record) bool {
		if !rec.requeued {
			op.requeue(rec)
		}
		return !enough()
	})
}

// offerAddress requeues the Services that wait for this address and can have it together, the
// oldest first. It also requeues those that were told why they cannot have it if the reason is
// another one now.
func (op *operation) offerAddress(addr netip.Addr) {
	q := op.a.waitingForAddress[addr]
	if q == nil {
		return
	}
	owners := slices.Clone(op.a.table.owners(addr))
	q.records.Ascend(func(rec *record) bool {
		problem := op.a.whyNot(op.now, addr, &rec.request, rec, owners)
		if problem == nil {
			owners = append(owners, rec)
			op.requeue(rec)
			return true
		}
		now := op.a.whyNot(op.now, addr, &rec.request, rec, op.a.table.owners(addr))
		if now != nil && rec.answered && !rec.requeued && !now.equal(rec.problems[familyOf(addr)]) {
			op.requeue(rec)
		}
		return true
	})
}

// offerReserved requeues the Service for which a reservation keeps the address, if the Service
// waits and can have it now.
func (op *operation) offerReserved(addr netip.Addr) {
	restriction, ok := op.a.restrictionOf(addr)
	if !ok || restriction.audience != forOne {
		return
	}
	rec := op.a.table.services[restriction.service]
	if rec == nil || !rec.live || !rec.answered || !rec.waits() {
		return
	}
	d := op.a.decide(op.now, &rec.request, rec, [families]choice{})
	if d.choices[familyOf(addr)].audience == forOne && rec.owned[familyOf(addr)] == nil {
		op.requeue(rec)
	}
}

// offerShared requeues the Services that can share the address with its owners and with each other,
// the oldest first.
func (op *operation) offerShared(alloc *allocation) {
	if len(alloc.owners) == 0 {
		return
	}
	q := op.a.waitingToShare[sharingKey{alloc.owners[0].request.SharingKey, familyOf(alloc.addr)}]
	if q == nil {
		return
	}
	owners := slices.Clone(alloc.owners)
	q.records.Ascend(func(rec *record) bool {
		if op.a.mayShare(alloc, &rec.request, rec, owners) {
			owners = append(owners, rec)
			op.requeue(rec)
		}
		return true
	})
}

// notifyOwners requeues the owners of an address whose message is no longer true.
func (op *operation) notifyOwners(alloc *allocation) {
	for _, o := range alloc.owners {
		if o != op.self && o.answered && op.a.describe(o) != o.message {
			op.requeue(o)
		}
	}
}
