package loadbalancer

import (
	"net/netip"

	"k8s.io/utils/third_party/forked/golang/btree"
)

// queue has the Services that wait for one thing, the oldest first: any address of a space, one address, or room under a
// sharing key. A Service waits only for what it would take if it were there; so a Service that is told that it is there
// either takes it or leaves the queue.
type queue struct {
	records *btree.BTree[*record]
	// requeued counts the records that have been told to ask again and have not yet.
	requeued int

	awaited
}

// awaited is something that a Service waits for: one of the three.
type awaited struct {
	space      *space
	addr       netip.Addr
	sharingKey sharingKey
}

// sharingKey is a place beside the Services that share addresses of a family under a key.
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
