package layer2

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// probeSocket is a socket of a Prober: all questions of a protocol on an interface go out through it, and all answers come in.
type probeSocket struct {
	key     probeSocketKey
	lan     lan
	conn    conn
	limiter *rate.Limiter
	// probeSlots has a token for each address that is being probed. Those that come first are through while others wait, which
	// takes no longer for all of them.
	probeSlots chan struct{}

	// users are the questions that are being asked, and idle says that there were none for a while. The prober's lock guards
	// both.
	users int
	idle  bool

	mu      sync.Mutex
	waiters map[netip.Addr][]*waiter

	failed chan struct{} // closed once err is there
	err    error
}

// probeSocketKey is what one socket is good for: a protocol on an interface for as long as that has its hardware address.
type probeSocketKey struct {
	index    int
	mac      string
	protocol protocol
}

// waiter waits for the answer to a question.
type waiter struct {
	socket   *probeSocket
	question Question
	answer   chan Answer // has room for the first
}

func newProbeSocket(p *Prober, key probeSocketKey, conn conn) *probeSocket {
	return &probeSocket{
		key: key, lan: p.lan, conn: conn, limiter: rate.NewLimiter(rate.Limit(p.Rate), p.Burst),
		probeSlots: make(chan struct{}, p.Burst),
		waiters:    map[netip.Addr][]*waiter{}, failed: make(chan struct{}),
	}
}

// run hears messages until the socket fails or is closed.
func (e *probeSocket) run() {
	defer close(e.failed)
	defer e.conn.close()
	for {
		m, err := e.conn.read()
		if err != nil {
			e.err = err
			return
		}
		e.deliver(m)
	}
}

// deliver passes a message on to those who wait for it.
func (e *probeSocket) deliver(m message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	answered, wanted := e.waiters[m.claims], e.waiters[m.asks]
	if !m.probes() {
		wanted = nil
	}
	if len(answered)+len(wanted) == 0 || isOwn(e.lan, m.source) {
		return
	}
	for _, l := range answered {
		if m.asks.IsValid() && !l.question.Probe {
			continue // it speaks, and may still not hear
		}
		l.take(Answer{MAC: m.mac, Source: m.source})
	}
	for _, l := range wanted {
		if l.question.Probe {
			l.take(Answer{MAC: m.mac, Source: m.source, Probe: true})
		}
	}
}

func (e *probeSocket) add(q Question) *waiter {
	l := &waiter{socket: e, question: q, answer: make(chan Answer, 1)}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiters[q.Address] = append(e.waiters[q.Address], l)
	return l
}

func (e *probeSocket) remove(l *waiter) {
	e.mu.Lock()
	defer e.mu.Unlock()
	addr := l.question.Address
	var rest []*waiter
	for _, other := range e.waiters[addr] {
		if other != l {
			rest = append(rest, other)
		}
	}
	if e.waiters[addr] = rest; len(rest) == 0 {
		delete(e.waiters, addr)
	}
}

func (l *waiter) take(a Answer) {
	if l.question.Accept != nil && !l.question.Accept(a) {
		return
	}
	select {
	case l.answer <- a:
	default:
	}
}

// wait waits for an answer, for some time.
func (l *waiter) wait(ctx context.Context, limit time.Duration) (Answer, bool, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case a := <-l.answer:
		return a, true, nil
	case <-timer.C:
		return Answer{}, false, nil
	case <-ctx.Done():
		return Answer{}, false, ctx.Err()
	case <-l.socket.failed:
		return Answer{}, false, l.socket.err
	}
}
