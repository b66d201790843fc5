package loadbalancer

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// queue of a want; it is made if there is none.
func (a *Allocator) queue(w want) *queue {
	switch {
	case w.space != nil:
		return w.space.waiting
	case w.addr.IsValid():
		if a.wishes[w.addr] == nil {
			a.wishes[w.addr] = newQueue(w)
		}
		return a.wishes[w.addr]
	default:
		if a.sharers[w.room] == nil {
			a.sharers[w.room] = newQueue(w)
		}
		return a.sharers[w.room]
	}
}

func (a *Allocator) discardIfEmpty(q *queue) {
	switch {
	case q.records.Len() > 0 || q.space != nil:
	case q.addr.IsValid():
		delete(a.wishes, q.addr)
	default:
		delete(a.sharers, q.room)
	}
}

// settle finds out who else the operation concerns: Services that wait for what is there now, and those whose sentence is
// no longer true.
func (op *operation) settle() []types.NamespacedName {
	a := op.a
	for _, q := range op.touchedQueues {
		switch {
		case q.space != nil:
			op.offerSpace(q.space)
		case q.addr.IsValid():
			op.touchedAddresses = append(op.touchedAddresses, q.addr)
		default:
			op.touchedRooms = append(op.touchedRooms, q.room)
		}
	}
	for _, r := range op.touchedRooms {
		if g := a.table.shared[r.key]; g != nil && a.sharers[r] != nil {
			for h := range g.owners {
				op.touchedAddresses = append(op.touchedAddresses, h.addr)
			}
		}
	}
	slices.SortFunc(op.touchedAddresses, netip.Addr.Compare)
	for _, addr := range slices.Compact(op.touchedAddresses) {
		h := a.table.addresses[addr]
		op.offerAddress(addr)
		op.offerKept(addr)
		if h != nil {
			op.refresh(h)
			op.offerRoom(h)
		}
		if p := a.poolOf(addr); p != nil {
			op.offerSpace(p.spaces[familyOf(addr)])
		}
	}
	return op.pokes
}

// offerSpace tells as many Services as there are addresses, the oldest first.
func (op *operation) offerSpace(s *space) {
	q := s.waiting
	enough := func() bool { return s.available().compare(size{lo: uint64(q.poked)}) <= 0 }
	if q.records.Len() == q.poked || enough() {
		return
	}
	q.records.Ascend(func(rec *record) bool {
		if !rec.poked {
			op.poke(rec)
		}
		return !enough()
	})
}

// offerAddress tells those who can have the address together, the oldest first, and those to whom its owner was named who
// is another one now.
func (op *operation) offerAddress(addr netip.Addr) {
	q := op.a.wishes[addr]
	if q == nil {
		return
	}
	takers := slices.Clone(op.a.table.owners(addr))
	q.records.Ascend(func(rec *record) bool {
		problem := op.a.grant(addr, &rec.request, rec, takers)
		if problem == nil {
			takers = append(takers, rec)
			op.poke(rec)
			return true
		}
		now := op.a.grant(addr, &rec.request, rec, op.a.table.owners(addr))
		if now != nil && rec.asked && !rec.poked && !now.equal(rec.told[familyOf(addr)]) {
			op.poke(rec)
		}
		return true
	})
}

// offerKept tells the Service for which a reservation keeps the address, if it can have it now.
func (op *operation) offerKept(addr netip.Addr) {
	c, ok := op.a.carvingOf(addr)
	if !ok || c.zone != forOne {
		return
	}
	rec := op.a.table.services[c.service]
	if rec == nil || !rec.live || !rec.asked || !rec.waits() {
		return
	}
	d := op.a.decide(op.now, &rec.request, rec, [families]taken{})
	if d.take[familyOf(addr)].zone == forOne && rec.held[familyOf(addr)] == nil {
		op.poke(rec)
	}
}

// offerRoom tells those who fit in with the owners of a shared address, the oldest first.
func (op *operation) offerRoom(h *holding) {
	if len(h.owners) == 0 {
		return
	}
	q := op.a.sharers[room{h.owners[0].request.SharingKey, familyOf(h.addr)}]
	if q == nil {
		return
	}
	takers := slices.Clone(h.owners)
	q.records.Ascend(func(rec *record) bool {
		if op.a.fitsIn(h, &rec.request, rec, takers) {
			takers = append(takers, rec)
			op.poke(rec)
		}
		return true
	})
}

// refresh tells the owners of an address whose sentence is no longer true.
func (op *operation) refresh(h *holding) {
	for _, o := range h.owners {
		if o != op.self && o.asked && o.describe() != o.message {
			op.poke(o)
		}
	}
}
