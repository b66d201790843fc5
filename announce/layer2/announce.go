package layer2

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"time"

	"github.com/mdlayher/arp"
	"golang.org/x/time/rate"
)

// shot is the next announcement of a claim.
type shot struct {
	claim *claim
	// step counts the announcements before this one. Even ones are requests and odd ones the replies that follow them.
	step int
	at   time.Time // when it is due
	// start is when the first went out.
	start time.Time
}

// announce sends the announcements of the port's claims, when they are due and as fast as the rate allows, until sending
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
		for _, c := range p.takeFresh() {
			heap.Push(&due, shot{claim: c, at: time.Now()})
		}
		for later.Len() > 0 && !later.shots[0].at.After(time.Now()) {
			heap.Push(&due, heap.Pop(&later))
		}
		switch {
		case due.Len() > 0:
			s := heap.Pop(&due).(shot)
			if !p.holds(s.claim) {
				timer.Reset(0)
				continue
			}
			if wait := reserve(limiter); wait > 0 {
				heap.Push(&due, s)
				timer.Reset(wait)
				continue
			}
			if err := conn.write(gratuitous(s.form(), p.ifi.MAC, s.claim.addr), broadcast); err != nil {
				return err
			}
			if s, ok := r.after(s); ok {
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

func (s shot) form() arp.Operation {
	if s.step%2 == 0 {
		return arp.OperationRequest
	}
	return arp.OperationReply
}

// after returns the announcement that follows one that has just been sent.
func (r *Responder) after(s shot) (shot, bool) {
	now := time.Now()
	if s.step == 0 {
		s.start = now
	}
	s.step++
	switch round := s.step / 2; {
	case s.step%2 == 1:
		s.at = now
	case round < len(r.Repeats):
		s.at = s.start.Add(r.Repeats[round])
	case r.Refresh > 0:
		s.step = 2 * len(r.Repeats) // each refresh ranks as the first did
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
