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

// Prober asks the hosts on a link who has an address. It can ask any number of questions at a time
// while it runs. Its fields may be changed until Run.
type Prober struct {
	// Rate is how many probes per second leave an interface for each family. Burst is how many
	// leave it at once, and how many addresses are probed at a time. RFC 5227 sets no limit; this
	// one spares switches, as the Responder's does. Questions that are no probes are never delayed.
	// Default 500 and 100.
	Rate, Burst int

	lan   lan
	asked counter

	mu      sync.Mutex
	sockets map[probeSocketKey]*probeSocket
	ended   bool
	running sync.WaitGroup
}

// Question asks the hosts on a link for an address.
type Question struct {
	// Interface to ask on, by name.
	Interface string
	Address   netip.Addr
	// Probe asks as a host does that wants to take the address if it is free (RFC 5227, section
	// 2.1; RFC 4862, section 5.4). Other hosts do not change their entries because of it, and a
	// host that has the address defends it. Any packet counts as an answer that shows that another
	// host has the address, or probes for it too.
	//
	// Without Probe, the question comes from an address of the interface, and only a reply counts.
	// A reply proves that its sender has received the question.
	Probe bool
	// Tries is how often to ask, Interval the time between two of them, and Wait how long to wait for
	// an answer after the last one. Default 3, 150 ms, and the Interval.
	Tries          int
	Interval, Wait time.Duration
	// MAC is a host that is asked alone, so that no other is disturbed, in all tries but one:
	// Broadcast, counted from 1, asks all hosts. 0 is none. A question with Probe, or if MAC is nil,
	// always asks all hosts.
	MAC       net.HardwareAddr
	Broadcast int
	// Accept says whether an answer counts; nil accepts all. Another goroutine calls it until Ask
	// returns. It must be quick and must not call Ask.
	Accept func(Answer) bool
	// Unanswered is called once no answer has come in time; nil is nothing. An answer that comes until it returns counts as well. Answers
	// are read in the order in which they arrive: so if Unanswered asks others on the same interface and hears them, nothing that
	// arrived before their answers is left unread, however slow this process is.
	Unanswered func(ctx context.Context)
}

// Answer is what a packet says of an address.
type Answer struct {
	// MAC is the hardware address of the host that has the address, or of the one that probes for it.
	MAC net.HardwareAddr
	// Source is the hardware address that the frame came from. It differs from MAC if one host
	// answers for another.
	Source net.HardwareAddr
	// Probe says that the packet is no answer, but another host's probe for the same address.
	Probe bool
}

// NewProber returns a Prober on the interfaces that links knows.
func NewProber(links *Links) *Prober { return newProber(links) }

func newProber(lan lan) *Prober {
	return &Prober{Rate: 500, Burst: 100, lan: lan, sockets: map[probeSocketKey]*probeSocket{}}
}

// Asked counts the packets with questions that were sent.
func (p *Prober) Asked() Counts { return p.asked.counts() }

// Run keeps sockets open from question to question, and closes those that are no longer used. When
// the context ends, it ends the questions that are still being asked and returns nil.
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

// Ask returns the first answer that counts; false if there was none in time. This node itself does
// not answer. Ask returns an error if it could not ask, or not to the end.
func (p *Prober) Ask(ctx context.Context, q Question) (Answer, bool, error) {
	if q.Tries == 0 {
		q.Tries = 3
	}
	if q.Interval == 0 {
		q.Interval = 150 * time.Millisecond
	}
	if q.Wait == 0 {
		q.Wait = q.Interval
	}
	s, from, err := p.open(q)
	if err == nil {
		defer p.release(s)
		var a Answer
		var ok bool
		if a, ok, err = p.ask(ctx, s, q, from); err == nil {
			return a, ok, nil
		}
	}
	return Answer{}, false, fmt.Errorf("ask on %s who has %s: %w", q.Interface, q.Address, err)
}

func (p *Prober) ask(ctx context.Context, s *probeSocket, q Question, from netip.Addr) (Answer, bool, error) {
	if q.Probe {
		select {
		case s.probeSlots <- struct{}{}:
			defer func() { <-s.probeSlots }()
		case <-ctx.Done():
			return Answer{}, false, ctx.Err()
		case <-s.failed:
			return Answer{}, false, s.err
		}
		if err := s.conn.join(q.Address); err != nil {
			return Answer{}, false, err
		}
		defer s.conn.leave(q.Address)
	}
	w := s.add(q)
	defer s.remove(w)
	began := time.Now()
	for n := 1; n <= q.Tries; n++ {
		turn := s.limiter.Reserve()
		if q.Probe {
			if a, ok, err := w.wait(ctx, turn.Delay()); ok || err != nil {
				turn.Cancel()
				return a, ok, err
			}
		}
		if err := s.conn.ask(q.Address, from, q.to(n)); err != nil {
			return Answer{}, false, err
		}
		p.asked.add(protocolOf(q.Address))
		if a, ok, err := w.wait(ctx, q.pause(n, began)); ok || err != nil {
			return a, ok, err
		}
	}
	if q.Unanswered == nil {
		return Answer{}, false, nil
	}
	q.Unanswered(ctx)
	return w.wait(ctx, 0)
}

// pause is how long to wait for an answer after a try. If this process was slow, the next try of a question that is no probe comes so
// much sooner: however many there are, asking takes no longer.
func (q Question) pause(try int, began time.Time) time.Duration {
	switch {
	case try == q.Tries:
		return q.Wait
	case q.Probe:
		return q.Interval
	}
	return time.Until(began.Add(time.Duration(try) * q.Interval))
}

// to is the host that a try asks alone; nil if it asks all.
func (q Question) to(try int) net.HardwareAddr {
	if q.Probe || try == q.Broadcast {
		return nil
	}
	return q.MAC
}

// from is the source address of a question. It is an address in the same network as the one that is
// asked for, or else any other one of the interface. On an interface without one, every question is
// a probe.
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

// open returns the socket for a question, and the address to ask from. The socket stays open at
// least until it is released.
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
	s := p.sockets[key]
	if s == nil {
		conn, err := p.lan.listen(i, protocol)
		if err != nil {
			return nil, netip.Addr{}, err
		}
		s = newProbeSocket(p, key, conn)
		p.sockets[key] = s
		p.running.Go(func() {
			s.run()
			p.forget(s)
		})
	}
	s.users++
	return s, i.from(q), nil
}

func (p *Prober) release(s *probeSocket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.users--
}

// forget has the next question open another socket.
func (p *Prober) forget(s *probeSocket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sockets[s.key] == s {
		delete(p.sockets, s.key)
	}
}

// takeIdle removes the sockets that were not used since the last call, or all, and returns them.
func (p *Prober) takeIdle(all bool) []*probeSocket {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = p.ended || all
	var dismissed []*probeSocket
	for key, s := range p.sockets {
		if all || s.users == 0 && s.idle {
			delete(p.sockets, key)
			dismissed = append(dismissed, s)
		}
		s.idle = s.users == 0
	}
	return dismissed
}

func closeAll(ears []*probeSocket) {
	for _, s := range ears {
		s.conn.close()
	}
}
