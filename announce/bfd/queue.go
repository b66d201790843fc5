package bfd

import (
	"container/heap"
	"time"
)

// queue orders sessions by when there is something to do for them; those for which there never is are not in it.
type queue []*runningSession

// put moves a session to its place.
func (q *queue) put(s *runningSession) {
	at, ok := s.wakeAt()
	switch {
	case !ok && s.index >= 0:
		heap.Remove(q, s.index)
	case ok && s.index >= 0:
		s.at = at
		heap.Fix(q, s.index)
	case ok:
		s.at = at
		heap.Push(q, s)
	}
}

// remove takes a session out.
func (q *queue) remove(s *runningSession) {
	if s.index >= 0 {
		heap.Remove(q, s.index)
	}
}

// next is when there is something to do, if there is.
func (q queue) next() (time.Time, bool) {
	if len(q) == 0 {
		return time.Time{}, false
	}
	return q[0].at, true
}

// Len is for package heap, as are the others.
func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is for package heap.
func (q *queue) Push(x any) {
	s := x.(*runningSession)
	s.index = len(*q)
	*q = append(*q, s)
}

// Pop is for package heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	s.index = -1
	return s
}
