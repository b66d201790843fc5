package layer2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Prober asks the neighbours who has an address, any number of questions at a time, while it runs. Its fields may be changed
// until then.
type Prober struct {
	// Rate is how many probes of a family go out of an interface in a second, and Burst how many at once and for how many
	// addresses at a time. Default 500 and 100: RFC 5227 leaves it open, and switches are to be spared, as by the Responder.
	// Questions that are no probes go at once; their number is up to who asks.
	Rate, Burst int

	lan   lan
	asked counter

	mu      sync.Mutex
	sockets map[probeSocketKey]*probeSocket
	ended   bool
	running sync.WaitGroup
}

// Question is a question to the neighbours.
type Question struct {
	// Interface to ask on, by name.
	Interface string
	Address   netip.Addr
	// Probe asks as one does who wants to take the address if it is free (RFC 5227, section 2.1; RFC 4862, section 5.4): nobody
	// changes what he knows because of it, who has the address defends it, and whatever else shows that somebody has it or
	// probes for it too counts as an answer. Otherwise the question comes from an address of the interface, and only an answer
	// counts: who has the address has heard the question.
	Probe bool
	// Tries is how often to ask, and Interval how long to listen each time. Default 3 and 150 ms.
	Tries    int
	Interval time.Duration
	// Accept tells whether an answer counts; nil is that all do. It is called by another goroutine, until Ask returns, must be
	// quick and must not ask.
	Accept func(Answer) bool
}

// Answer is what a neighbour says of an address.
type Answer struct {
	// MAC is where it says that the address is.
	MAC net.HardwareAddr
	// Source is where the frame with the answer came from. It differs from MAC if somebody speaks for the neighbour.
	Source net.HardwareAddr
	// Probe says that it is no answer, but a probe for the same address by the station at MAC.
	Probe bool
}

// NewProber returns a Prober on the interfaces that links knows.
func NewProber(links *Links) *Prober { return newProber(links) }

func newProber(lan lan) *Prober {
	return &Prober{Rate: 500, Burst: 100, lan: lan, sockets: map[probeSocketKey]*probeSocket{}}
}

// Asked are the packets with questions that were sent.
func (p *Prober) Asked() Counts { return p.asked.counts() }

// Run keeps sockets open from question to question and closes those for which there are none any more. When the context ends,
// it ends what is still being asked and returns nil.
func (p *Prober) Run(ctx context.Context) error {
	defer p.running.Wait()
	defer func() { closeAll(p.takeIdle(true)) }()
	const idle = 10 * time.Second
	ticker := time.NewTicker(idle)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			closeAll(p.takeIdle(false))
		}
	}
}

var errEnded = errors.New("the prober has ended")

// Ask asks and returns the first answer that counts; false if there was none in time. This node itself does not answer. An error
// means that it could not ask, or not to the end.
func (p *Prober) Ask(ctx context.Context, q Question) (Answer, bool, error) {
	if q.Tries == 0 {
		q.Tries = 3
	}
	if q.Interval == 0 {
		q.Interval = 150 * time.Millisecond
	}
	e, from, err := p.open(q)
	if err == nil {
		defer p.release(e)
		var a Answer
		var ok bool
		if a, ok, err = p.ask(ctx, e, q, from); err == nil {
			return a, ok, nil
		}
	}
	return Answer{}, false, fmt.Errorf("ask on %s who has %s: %w", q.Interface, q.Address, err)
}

func (p *Prober) ask(ctx context.Context, e *probeSocket, q Question, from netip.Addr) (Answer, bool, error) {
	if q.Probe {
		select {
		case e.probeSlots <- struct{}{}:
			defer func() { <-e.probeSlots }()
		case <-ctx.Done():
			return Answer{}, false, ctx.Err()
		case <-e.failed:
			return Answer{}, false, e.err
		}
		if err := e.conn.join(q.Address); err != nil {
			return Answer{}, false, err
		}
		defer e.conn.leave(q.Address)
	}
	l := e.add(q)
	defer e.remove(l)
	for range q.Tries {
		turn := e.limiter.Reserve()
		if q.Probe {
			if a, ok, err := l.wait(ctx, turn.Delay()); ok || err != nil {
				turn.Cancel()
				return a, ok, err
			}
		}
		if err := e.conn.ask(q.Address, from); err != nil {
			return Answer{}, false, err
		}
		p.asked.add(protocolOf(q.Address))
		if a, ok, err := l.wait(ctx, q.Interval); ok || err != nil {
			return a, ok, err
		}
	}
	return Answer{}, false, nil
}

// from is the address that a question is asked from: one of the network that the address asked for is in, if there is one. An
// interface without any can only probe.
func (i Interface) from(q Question) netip.Addr {
	from := protocolOf(q.Address).unspecified()
	if q.Probe {
		return from
	}
	if q.Address.Is6() && i.LinkLocal.IsValid() {
		from = i.LinkLocal
	}
	for _, addr := range i.Addresses {
		if addr.Is4() != q.Address.Is4() {
			continue
		}
		if slices.ContainsFunc(i.Prefixes, func(n netip.Prefix) bool { return n.Contains(addr) && n.Contains(q.Address) }) {
			return addr
		}
		if from.IsUnspecified() {
			from = addr
		}
	}
	return from
}

// open returns the ear for a question, until it is released, and the address to ask from.
func (p *Prober) open(q Question) (*probeSocket, netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil, netip.Addr{}, errEnded
	}
	interfaces := p.lan.Interfaces()
	n := slices.IndexFunc(interfaces, func(i Interface) bool { return i.Name == q.Interface && i.Up })
	if n < 0 {
		return nil, netip.Addr{}, errors.New("there is no such interface that is up")
	}
	i, protocol := interfaces[n], protocolOf(q.Address)
	key := probeSocketKey{i.Index, string(i.MAC), protocol}
	e := p.sockets[key]
	if e == nil {
		conn, err := p.lan.listen(i, protocol)
		if err != nil {
			return nil, netip.Addr{}, err
		}
		e = newProbeSocket(p, key, conn)
		p.sockets[key] = e
		p.running.Go(func() {
			e.run()
			p.forget(e)
		})
	}
	e.users++
	return e, i.from(q), nil
}

func (p *Prober) release(e *probeSocket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.users--
}

// forget has the next question open a new socket.
func (p *Prober) forget(e *probeSocket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sockets[e.key] == e {
		delete(p.sockets, e.key)
	}
}

// takeIdle returns the ears that nobody has used since the last call, or all, and forgets them.
func (p *Prober) takeIdle(all bool) []*probeSocket {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = p.ended || all
	var dismissed []*probeSocket
	for key, e := range p.sockets {
		if all || e.users == 0 && e.idle {
			delete(p.sockets, key)
			dismissed = append(dismissed, e)
		}
		e.idle = e.users == 0
	}
	return dismissed
}

func closeAll(ears []*probeSocket) {
	for _, e := range ears {
		e.conn.close()
	}
}
