package loadbalancer

import (
	"net/netip"

	"k8s.io/utils/third_party/forked/golang/btree"
)

// queue has the Services that wait for the same, the oldest first. A Service waits only for what it
// would take if it were there. So a Service that is requeued because it is there either takes it or
// leaves the queue.
type queue struct {
	awaited
	records *btree.BTree[*record]
	// requeued counts the records that were requeued and not asked for again yet.
	requeued int
}

// awaited is what a Service waits for, one of four.
type awaited struct {
	use        use        // that its namespace has less of a space
	space      *space     // any address of a space
	addr       netip.Addr // this address
	sharingKey sharingKey // an address that Services with this key share with it
}

// sharingKey is a sharing key in one family.
type sharingKey struct {
	key    string
	family family
}

func newQueue(w awaited) *queue {
	return &queue{awaited: w, records: btree.New(degree, func(a, b *record) bool { return compareAge(a, b) < 0 })}
}

// waits reports whether the Service misses anything that it may get later.
func (rec *record) waits() bool {
	return rec.problem != nil || rec.missing != ""
}

func (q *queue) join(rec *record) {
	q.records.ReplaceOrInsert(rec)
	rec.queues = append(rec.queues, q)
	if rec.requeued {
		q.requeued++
	}
}

func (q *queue) leave(rec *record) {
	q.records.Delete(rec)
	if rec.requeued {
		q.requeued--
	}
}

// queue is where Services wait for something. It is made if there is none.
func (a *Allocator) queue(w awaited) *queue {
	switch {
	case w.use != use{}:
		if a.waitingForUse[w.use] == nil {
			a.waitingForUse[w.use] = newQueue(w)
		}
		return a.waitingForUse[w.use]
	case w.space != nil:
		return w.space.waiting
	case w.addr.IsValid():
		if a.waitingForAddress[w.addr] == nil {
			a.waitingForAddress[w.addr] = newQueue(w)
		}
		return a.waitingForAddress[w.addr]
	default:
		if a.waitingToShare[w.sharingKey] == nil {
			a.waitingToShare[w.sharingKey] = newQueue(w)
		}
		return a.waitingToShare[w.sharingKey]
	}
}

func (a *Allocator) discardIfEmpty(q *queue) {
	switch {
	case q.records.Len() > 0 || q.space != nil:
	case q.use != use{}:
		delete(a.waitingForUse, q.use)
	case q.addr.IsValid():
		delete(a.waitingForAddress, q.addr)
	default:
		delete(a.waitingToShare, q.sharingKey)
	}
}
