package layer2

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

// unfitDelay is when to try again what may not be said now.
const unfitDelay = 50 * time.Millisecond

// scheduled is the next announcement of an address.
type scheduled struct {
	address *servedAddress
	// step counts the packets sent so far: first those of one announcement in all its forms, then
	// those of the next.
	step int
	at   time.Time // when it is due
}

// schedule is when which announcements are to be sent.
type schedule struct {
	// later are those that are not due yet.
	later queue
	// due are those that are due and wait for the rate limit. The first announcement of an address
	// comes before all repeats: clients that had reached the address at another node cannot reach
	// it until then.
	due queue
}

// limits are how fast announcements leave: the first of an address, for which its clients wait, and those that repeat it.
type limits struct{ first, repeats *rate.Limiter }

func (l limits) of(s scheduled) *rate.Limiter {
	if s.step == 0 {
		return l.first
	}
	return l.repeats
}

func newSchedule() *schedule {
	return &schedule{
		later: queue{before: func(a, b scheduled) bool { return a.at.Before(b.at) }},
		due:   queue{before: func(a, b scheduled) bool { return a.step < b.step || a.step == b.step && a.at.Before(b.at) }},
	}
}

// advance moves what has become due.
func (s *schedule) advance(now time.Time) {
	for s.later.Len() > 0 && !s.later.items[0].at.After(now) {
		heap.Push(&s.due, heap.Pop(&s.later))
	}
}

// announce sends the announcements of the addresses that this node owns. It sends them when they
// are due and as fast as the rate allows, until sending fails or the context ends.
func (ir *ifaceResponder) announce(ctx context.Context, conn conn) error {
	limits := limits{
		first:   rate.NewLimiter(rate.Limit(ir.responder.FirstRate), ir.responder.FirstBurst),
		repeats: rate.NewLimiter(rate.Limit(ir.responder.Rate), ir.responder.Burst),
	}
	s := newSchedule()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ir.wake:
		case <-timer.C:
		}
		if err := ir.applyChanges(conn, s); err != nil {
			return err
		}
		s.advance(time.Now())
		wait, err := ir.announceDue(conn, s, limits)
		switch {
		case err != nil:
			return err
		case wait > 0:
			timer.Reset(wait)
		case s.later.Len() > 0:
			timer.Reset(time.Until(s.later.items[0].at))
		}
	}
}

// announceDue sends the packets that are due, as many as the rate allows at once. It returns how long to wait before the next one; 0
// if none is due any more.
func (ir *ifaceResponder) announceDue(conn conn, s *schedule, limits limits) (wait time.Duration, err error) {
	for s.due.Len() > 0 && wait == 0 && err == nil {
		wait, err = ir.announceNext(conn, s, limits)
	}
	return wait, err
}

// applyChanges joins the groups of new addresses, leaves those of removed ones, and schedules
// announcements of those that this node owns.
func (ir *ifaceResponder) applyChanges(conn conn, s *schedule) error {
	added, removed := ir.takeChanges()
	for _, a := range added {
		if err := conn.join(a.addr); err != nil {
			return err
		}
		if a.owner == nil {
			heap.Push(&s.due, scheduled{address: a, at: time.Now()})
		}
	}
	for _, a := range removed {
		conn.leave(a.addr)
	}
	return nil
}

// announceNext sends the first packet that is due, if the rate allows, and schedules the one that
// follows it. It returns how long to wait before the next packet.
func (ir *ifaceResponder) announceNext(conn conn, s *schedule, limits limits) (time.Duration, error) {
	next := heap.Pop(&s.due).(scheduled)
	if !ir.announces(next.address) {
		return 0, nil
	}
	if !ir.responder.fit() {
		heap.Push(&s.due, next)
		return unfitDelay, nil
	}
	// What is new follows from what is known now, and its clients wait: busy processors may have a node hold back all the time.
	if wait := ir.responder.hold(); wait > 0 && next.step >= ir.protocol.forms() {
		heap.Push(&s.due, next)
		return wait, nil
	}
	if wait := reserve(limits.of(next)); wait > 0 {
		heap.Push(&s.due, next)
		return wait, nil
	}
	if err := conn.announce(next.address.addr, next.step%ir.protocol.forms()); err != nil {
		return 0, err
	}
	ir.responder.announced.add(ir.protocol)
	if following, ok := ir.after(next); ok {
		heap.Push(&s.later, following)
	}
	return 0, nil
}

// reserve takes a token and returns 0, or returns how long it takes until there is one.
func reserve(limiter *rate.Limiter) time.Duration {
	r := limiter.Reserve()
	wait := r.Delay()
	if wait > 0 {
		r.Cancel()
	}
	return wait
}

// after returns the announcement that follows one which has just been sent. It keeps its distance
// from that one, however late that was.
func (ir *ifaceResponder) after(s scheduled) (scheduled, bool) {
	r, now := ir.responder, time.Now()
	repeats, forms := r.Repeats, ir.protocol.forms()
	if ir.protocol == ndpProtocol {
		repeats = r.Repeats6
	}
	s.step++
	switch round := s.step / forms; {
	case s.step%forms != 0:
		s.at = now
	case round < len(repeats):
		s.at = now.Add(repeats[round] - repeats[round-1])
	case r.Refresh > 0:
		s.step = forms * len(repeats) // each refresh ranks as the first did
		s.at = now.Add(r.Refresh - r.Refresh/10 + rand.N(r.Refresh/5+1))
	default:
		return scheduled{}, false
	}
	return s, true
}

// queue is a heap of announcements.
type queue struct {
	items  []scheduled
	before func(a, b scheduled) bool
}

func (q *queue) Len() int           { return len(q.items) }
func (q *queue) Less(i, j int) bool { return q.before(q.items[i], q.items[j]) }
func (q *queue) Swap(i, j int)      { q.items[i], q.items[j] = q.items[j], q.items[i] }
func (q *queue) Push(s any)         { q.items = append(q.items, s.(scheduled)) }
func (q *queue) Pop() any {
	last := len(q.items) - 1
	s := q.items[last]
	q.items = q.items[:last]
	return s
}
