package layer2

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

// scheduled is the next announcement of a claim.
type scheduled struct {
	address *servedAddress
	// step counts the packets before this one: those of one announcement, in all forms, then those of the next.
	step int
	at   time.Time // when it is due
}

// announce sends the announcements of the port's own claims, when they are due and as fast as the rate allows, until sending
// fails or the context ends.
func (p *ifaceResponder) announce(ctx context.Context, conn conn) error {
	r := p.responder
	limiter := rate.NewLimiter(rate.Limit(r.Rate), r.Burst)
	later := queue{before: func(a, b scheduled) bool { return a.at.Before(b.at) }}
	// What is new matters most: those whom an address has just left cannot reach it.
	due := queue{before: func(a, b scheduled) bool { return a.step < b.step || a.step == b.step && a.at.Before(b.at) }}

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.wake:
		case <-timer.C:
		}
		fresh, gone := p.takeChanges()
		for _, c := range fresh {
			if err := conn.join(c.addr); err != nil {
				return err
			}
			if c.owner == nil {
				heap.Push(&due, scheduled{address: c, at: time.Now()})
			}
		}
		for _, c := range gone {
			conn.leave(c.addr)
		}
		for later.Len() > 0 && !later.items[0].at.After(time.Now()) {
			heap.Push(&due, heap.Pop(&later))
		}
		switch {
		case due.Len() > 0:
			s := heap.Pop(&due).(scheduled)
			if !p.announces(s.address) {
				timer.Reset(0)
				continue
			}
			if wait := reserve(limiter); wait > 0 {
				heap.Push(&due, s)
				timer.Reset(wait)
				continue
			}
			if err := conn.announce(s.address.addr, s.step%p.protocol.forms()); err != nil {
				return err
			}
			r.announced.add(p.protocol)
			if s, ok := p.after(s); ok {
				heap.Push(&later, s)
			}
			timer.Reset(0)
		case later.Len() > 0:
			timer.Reset(time.Until(later.items[0].at))
		}
	}
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

// after returns the announcement that follows one that has just been sent. However late that was, the next keeps its distance.
func (p *ifaceResponder) after(s scheduled) (scheduled, bool) {
	r, now := p.responder, time.Now()
	repeats, forms := r.Repeats, p.protocol.forms()
	if p.protocol == ndpProtocol {
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
