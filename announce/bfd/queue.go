package bfd

import (
	"container/heap"
	"time"
)

// queue is a heap of sessions, ordered by when there is something to do for them next. It leaves
// out those for which there is nothing to do.
type queue []*runningSession

// put adds a session, or moves or removes it after its wakeAt has changed.
func (q *queue) put(r *runningSession) {
	at, ok := r.wakeAt()
	switch {
	case !ok && r.index >= 0:
		heap.Remove(q, r.index)
	case ok && r.index >= 0:
		r.at = at
		heap.Fix(q, r.index)
	case ok:
		r.at = at
		heap.Push(q, r)
	}
}

// remove removes a session.
func (q *queue) remove(r *runningSession) {
	if r.index >= 0 {
		heap.Remove(q, r.index)
	}
}

// next is when there is something to do next; false if there is nothing.
func (q queue) next() (time.Time, bool) {
	if len(q) == 0 {
		return time.Time{}, false
	}
	return q[0].at, true
}

// Len and the methods that follow are those of heap.Interface.
func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	r := x.(*runningSession)
	r.index = len(*q)
	*q = append(*q, r)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	r := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	r.index = -1
	return r
}
