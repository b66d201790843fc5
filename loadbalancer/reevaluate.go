package loadbalancer

import "slices"

// reevaluate looks at Services after a change of pools, restrictions or namespaces. It requeues
// those that may not keep what they have, and those whose last answer is no longer true or may now
// be a better one. It changes nothing but what they wait for.
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
		if a.describe(rec) != rec.message {
			op.requeue(rec)
		}
		if rec.waits() {
			op.rejoinQueues(rec)
		}
	}
}

// rejoinQueues finds out anew what a Service waits for. If an address that it waits for is there
// already, it joins the queue for that address all the same, because older Services may be in it.
// notifyWaiters then offers the address to the oldest.
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
		c := d.choices[f]
		switch {
		case d.problems[f] != nil && !d.problems[f].equal(rec.problems[f]):
			op.requeue(rec)
		case !c.addr.IsValid() || rec.owned[f] != nil:
		case c.audience == forOne || rec.former[f] != nil && rec.former[f].addr == c.addr:
			op.requeue(rec) // nobody else waits for this address
		default:
			served = append(served, f)
			if last := rec.problems[f]; last != nil && last.Reason != PoolExhausted && !r.wish(f).IsValid() {
				op.requeue(rec) // its last answer was that no pool is for it
			}
		}
	}
	if r.requiresBoth() && len(served) > 1 {
		// One queue is enough: the family with fewer addresses says how many Services can be served.
		scarcer := func(f, g family) int { return a.supply(r, f).compare(a.supply(r, g)) }
		served = []family{slices.MinFunc(served, scarcer)}
	}
	for _, f := range served {
		waits = a.waitsFor(waits, r, rec, f)
	}
	for _, w := range waits {
		q := a.queue(w)
		q.join(rec)
		op.touchedQueues = append(op.touchedQueues, q)
	}
}

// supply is how many addresses of a family there are for a Service, in all pools that serve it.
func (a *Allocator) supply(r *Request, f family) size {
	var n size
	for _, p := range a.order {
		if s := p.spaces[f]; s != nil && a.serves(p, r) {
			n = n.plus(s.available())
		}
	}
	return n
}
