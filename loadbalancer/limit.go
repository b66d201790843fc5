package loadbalancer

import (
	"maps"
	"slices"
)

// use is what a namespace has of a space.
type use struct {
	space     *space
	namespace string
}

// limits reports whether a pool gives the namespace of a Service no further address of a family: it
// has as many as it may, without the one that only this Service has. What the namespace has already
// can be shared all the same, and what a reservation keeps for the Service is given to it.
func (p *pool) limits(r *Request, rec *record, f family) bool {
	return p.maxPerNamespace > 0 && p.spaces[f] != nil && p.spaces[f].usedBeside(r, rec) >= p.maxPerNamespace
}

// usedBeside is how many addresses the namespace of a Service has, without the one that only this
// Service has.
func (s *space) usedBeside(r *Request, rec *record) int {
	namespace := r.Service.Namespace
	n := s.used[namespace]
	for f, alloc := range rec.owned {
		others := func(o *record) bool { return o != rec && o.request.Service.Namespace == namespace }
		if alloc != nil && alloc.pool == s.pool && s.pool.spaces[f] == s && !slices.ContainsFunc(alloc.owners, others) {
			n--
		}
	}
	return n
}

// hasNamespace reports whether a Service of a namespace is among owners.
func hasNamespace(owners []*record, namespace string) bool {
	return slices.ContainsFunc(owners, func(o *record) bool { return o.request.Service.Namespace == namespace })
}

// countUse counts an address of which the first Service of a namespace is about to be an owner, or of
// which the last one is none any more.
func (t *table) countUse(alloc *allocation, namespace string, n int) {
	if alloc.pool == nil || hasNamespace(alloc.owners, namespace) {
		return
	}
	s := alloc.pool.spaces[familyOf(alloc.addr)]
	if s.used[namespace] += n; s.used[namespace] == 0 {
		delete(s.used, namespace)
	}
	if alloc.pool.maxPerNamespace > 0 {
		t.usesChanged = append(t.usesChanged, use{s, namespace})
	}
}

// offerUse requeues as many Services that wait for their namespace to have less as there are addresses
// that it may have, the oldest first. If it may have none, it requeues those that were told something
// else.
func (op *operation) offerUse(u use) {
	waiting := op.a.waitingForUse[u]
	if left := u.space.pool.maxPerNamespace - u.space.used[u.namespace]; left > 0 {
		if waiting != nil && waiting.requeued < min(left, waiting.records.Len()) {
			op.requeueOldest(waiting, func() bool { return waiting.requeued >= left })
		}
		return
	}
	for _, q := range []*queue{waiting, u.space.waiting} {
		if q == nil {
			continue
		}
		q.records.Ascend(func(rec *record) bool {
			if rec.request.Service.Namespace != u.namespace || !rec.answered || rec.requeued {
				return true
			}
			d := op.a.decide(op.now, &rec.request, rec, [families]choice{})
			if !slices.EqualFunc(d.problems[:], rec.problems[:], (*Error).equal) {
				op.requeue(rec)
			}
			return true
		})
	}
}

// atLimit has a sentence for each namespace that has as many addresses of a pool as it may, or more.
func (p *pool) atLimit() (list []string) {
	if p.maxPerNamespace == 0 {
		return nil
	}
	for f, s := range p.spaces {
		if s == nil {
			continue
		}
		for _, namespace := range slices.Sorted(maps.Keys(s.used)) {
			if n := s.used[namespace]; n >= p.maxPerNamespace {
				list = append(list, atLimit(namespace, n, p.maxPerNamespace, family(f)))
			}
		}
	}
	return list
}
