package layer2

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

// shot is the next announcement of a claim.
type shot struct {
	claim *claim
	// step counts the packets before this one: those of one announcement, in all forms, then those of the next.
	step int
	at   time.Time // when it is due
}

// announce sends the announcements of the port's own claims, when they are due and as fast as the rate allows, until sending
// fails or the context ends.
func (p *port) announce(ctx context.Context, conn conn) error {
	r := p.responder
	limiter := rate.NewLimiter(rate.Limit(r.Rate), r.Burst)
	later := queue{before: func(a, b shot) bool { return a.at.Before(b.at) }}
	// What is new matters most: those whom an address has just left cannot reach it.
	due := queue{before: func(a, b shot) bool { return a.step < b.step || a.step == b.step && a.at.Before(b.at) }}

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
				heap.Push(&due, shot{claim: c, at: time.Now()})
			}
		}
		for _, c := range gone {
			conn.leave(c.addr)
		}
		for later.Len() > 0 && !later.shots[0].at.After(time.Now()) {
			heap.Push(&due, heap.Pop(&later))
		}
		switch {
		case due.Len() > 0:
			s := heap.Pop(&due).(shot)
			if !p.announces(s.claim) {
				timer.Reset(0)
				continue
			}
			if wait := reserve(limiter); wait > 0 {
				heap.Push(&due, s)
				timer.Reset(wait)
				continue
			}
			if err := conn.announce(s.claim.addr, s.step%p.protocol.forms()); err != nil {
				return err
			}
			r.announced.add(p.protocol)
			if s, ok := p.after(s); ok {
				heap.Push(&later, s)
			}
			timer.Reset(0)
		case later.Len() > 0:
			timer.Reset(time.Until(later.shots[0].at))
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
func (p *port) after(s shot) (shot, bool) {
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
		return shot{}, false
	}
	return s, true
}

// queue is a heap of announcements.
type queue struct {
	shots  []shot
	before func(a, b shot) bool
}

func (q *queue) Len() int           { return len(q.shots) }
func (q *queue) Less(i, j int) bool { return q.before(q.shots[i], q.shots[j]) }
func (q *queue) Swap(i, j int)      { q.shots[i], q.shots[j] = q.shots[j], q.shots[i] }
func (q *queue) Push(s any)         { q.shots = append(q.shots, s.(shot)) }
func (q *queue) Pop() any {
	last := len(q.shots) - 1
	s := q.shots[last]
	q.shots = q.shots[:last]
	return s
}
