package layer2

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/clarionlb/clarion/internal/guard"
)

// probeSocket is a socket of a Prober. All questions of one protocol on one interface leave through
// it, and all answers arrive on it.
type probeSocket struct {
	key     probeSocketKey
	lan     lan
	conn    conn
	limiter *rate.Limiter
	// probeSlots has room for as many addresses as may be probed at a time. Others wait, so that
	// the first ones are soon done and all of them take no longer.
	probeSlots chan struct{}

	// users counts the questions that are being asked. idle says that there were none at the last
	// look. The prober's lock guards both.
	users int
	idle  bool

	mu      sync.Mutex
	waiters map[netip.Addr][]*waiter

	failed chan struct{} // closed once err is set
	err    error
}

// probeSocketKey says which questions can share a socket: those of a protocol on an interface, as
// long as the interface keeps its hardware address.
type probeSocketKey struct {
	index    int
	mac      string
	protocol protocol
}

// waiter waits for the answer to a question.
type waiter struct {
	socket   *probeSocket
	question Question
	answer   chan Answer // has room for the first answer; others are dropped
}

func newProbeSocket(p *Prober, key probeSocketKey, conn conn) *probeSocket {
	return &probeSocket{
		key: key, lan: p.lan, conn: conn, limiter: rate.NewLimiter(rate.Limit(p.Rate), p.Burst),
		probeSlots: make(chan struct{}, p.Burst),
		waiters:    map[netip.Addr][]*waiter{}, failed: make(chan struct{}),
	}
}

// run receives messages until the socket fails or is closed.
func (s *probeSocket) run() {
	defer close(s.failed)
	defer s.conn.close()
	for s.err == nil {
		guard.Run("layer2", "", func() { s.err = s.receive() })
	}
}

// receive passes the next message on. It returns an error if the socket fails.
func (s *probeSocket) receive() error {
	m, err := s.conn.read()
	if err == nil {
		s.deliver(m)
	}
	return err
}

// deliver passes a message on to the questions that it answers.
func (s *probeSocket) deliver(m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	claimed, probed := s.waiters[m.claims], s.waiters[m.asks]
	if !m.probes() {
		probed = nil
	}
	if len(claimed)+len(probed) == 0 || isOwn(s.lan, m.source) {
		return
	}
	for _, w := range claimed {
		if m.asks.IsValid() && !w.question.Probe {
			continue // the host sends, but that does not prove that it received the question
		}
		w.take(Answer{MAC: m.mac, Source: m.source})
	}
	for _, w := range probed {
		if w.question.Probe {
			w.take(Answer{MAC: m.mac, Source: m.source, Probe: true})
		}
	}
}

func (s *probeSocket) add(q Question) *waiter {
	w := &waiter{socket: s, question: q, answer: make(chan Answer, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiters[q.Address] = append(s.waiters[q.Address], w)
	return w
}

func (s *probeSocket) remove(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	addr := w.question.Address
	rest := slices.DeleteFunc(s.waiters[addr], func(other *waiter) bool { return other == w })
	if s.waiters[addr] = rest; len(rest) == 0 {
		delete(s.waiters, addr)
	}
}

func (w *waiter) take(a Answer) {
	if w.question.Accept != nil && !w.question.Accept(a) {
		return
	}
	select {
	case w.answer <- a:
	default:
	}
}

// wait waits for an answer; false if there is none within the limit.
func (w *waiter) wait(ctx context.Context, limit time.Duration) (Answer, bool, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case a := <-w.answer:
		return a, true, nil
	case <-timer.C:
		select {
		case a := <-w.answer: // it was there before this process ran again
			return a, true, nil
		case <-w.socket.failed:
			return Answer{}, false, w.socket.err
		default:
			return Answer{}, false, nil
		}
	case <-ctx.Done():
		return Answer{}, false, ctx.Err()
	case <-w.socket.failed:
		return Answer{}, false, w.socket.err
	}
}
