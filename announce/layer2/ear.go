package layer2

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// ear is a socket of a Prober: all questions of a protocol on an interface go out through it, and all answers come in.
type ear struct {
	key     earKey
	lan     lan
	conn    conn
	limiter *rate.Limiter
	// probing has a token for each address that is being probed. Those that come first are through while others wait, which
	// takes no longer for all of them.
	probing chan struct{}

	// users are the questions that are being asked, and idle says that there were none for a while. The prober's lock guards
	// both.
	users int
	idle  bool

	mu        sync.Mutex
	listeners map[netip.Addr][]*listener

	failed chan struct{} // closed once err is there
	err    error
}

// earKey is what one socket is good for: a protocol on an interface for as long as that has its hardware address.
type earKey struct {
	index    int
	mac      string
	protocol protocol
}

// listener waits for the answer to a question.
type listener struct {
	ear      *ear
	question Question
	answer   chan Answer // has room for the first
}

func newEar(p *Prober, key earKey, conn conn) *ear {
	return &ear{
		key: key, lan: p.lan, conn: conn, limiter: rate.NewLimiter(rate.Limit(p.Rate), p.Burst),
		probing:   make(chan struct{}, p.Burst),
		listeners: map[netip.Addr][]*listener{}, failed: make(chan struct{}),
	}
}

// run hears messages until the socket fails or is closed.
func (e *ear) run() {
	defer close(e.failed)
	defer e.conn.close()
	for {
		m, err := e.conn.read()
		if err != nil {
			e.err = err
			return
		}
		e.hear(m)
	}
}

// hear passes a message on to those who wait for it.
func (e *ear) hear(m message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	answered, wanted := e.listeners[m.claims], e.listeners[m.asks]
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

func (e *ear) add(q Question) *listener {
	l := &listener{ear: e, question: q, answer: make(chan Answer, 1)}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listeners[q.Address] = append(e.listeners[q.Address], l)
	return l
}

func (e *ear) remove(l *listener) {
	e.mu.Lock()
	defer e.mu.Unlock()
	addr := l.question.Address
	var rest []*listener
	for _, other := range e.listeners[addr] {
		if other != l {
			rest = append(rest, other)
		}
	}
	if e.listeners[addr] = rest; len(rest) == 0 {
		delete(e.listeners, addr)
	}
}

func (l *listener) take(a Answer) {
	if l.question.Accept != nil && !l.question.Accept(a) {
		return
	}
	select {
	case l.answer <- a:
	default:
	}
}

// wait waits for an answer, for some time.
func (l *listener) wait(ctx context.Context, limit time.Duration) (Answer, bool, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case a := <-l.answer:
		return a, true, nil
	case <-timer.C:
		return Answer{}, false, nil
	case <-ctx.Done():
		return Answer{}, false, ctx.Err()
	case <-l.ear.failed:
		return Answer{}, false, l.ear.err
	}
}
