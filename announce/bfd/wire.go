package bfd

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/clarionlb/clarion/internal/notify"
)

// Wire is a network without a kernel, for tests: it connects hosts by their addresses, and loses what
// it is told to. The zero value has no host.
type Wire struct {
	mu    sync.Mutex
	hosts map[netip.Addr][]*fakeHost
	// lost says which packets do not arrive.
	lost func(from, to netip.Addr) bool
	// heard is told what arrives.
	heard func(datagram)
	// routers are how many there are between any two hosts.
	routers uint8
}

// fakeHost are sockets without a kernel.
type fakeHost struct {
	wire      *Wire
	addresses []netip.Addr
	listeners map[service]*fakeListener
	taken     map[service]bool // by another program
	ports     map[uint16]bool
	refuse    error // what dialling fails with
	senders   int
	// stalled keeps hosts from being woken by what arrives, and late from being called by timers.
	stalled, late bool
	// bell is rung by wake, and arrived by what arrives.
	bell, arrived notify.Signal
	clock         *time.Timer
}

// host adds a host.
func (w *Wire) host(addresses ...netip.Addr) *fakeHost {
	h := &fakeHost{wire: w, addresses: addresses, listeners: map[service]*fakeListener{}, taken: map[service]bool{}, ports: map[uint16]bool{},
		bell: notify.New(), arrived: notify.New()}
	if w.hosts == nil {
		w.hosts = map[netip.Addr][]*fakeHost{}
	}
	for _, address := range addresses {
		w.hosts[address] = append(w.hosts[address], h)
	}
	return h
}

// NewSpeaker returns a Speaker without sessions on a host of its own, which has these addresses.
func (w *Wire) NewSpeaker(addresses ...netip.Addr) *Speaker {
	w.mu.Lock()
	defer w.mu.Unlock()
	return newSpeaker(w.host(addresses...).attach)
}

// Lose has packets be lost; nil: none.
func (w *Wire) Lose(lost func(from, to netip.Addr) bool) { w.lose(lost) }

// Hear is told the source of each packet that arrives; nil: nobody is.
func (w *Wire) Hear(heard func(from netip.Addr)) {
	w.change(func() { w.heard = func(d datagram) { heard(d.from) } })
}

// change changes something about the wire or its hosts.
func (w *Wire) change(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// lose has packets be lost, or none if lost is nil.
func (w *Wire) lose(lost func(from, to netip.Addr) bool) { w.change(func() { w.lost = lost }) }

// everything is lost.
func everything(_, _ netip.Addr) bool { return true }

// deliver delivers a datagram to the host that has its destination address.
func (w *Wire) deliver(s service, d datagram) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost != nil && w.lost(d.from, d.to) {
		return
	}
	if w.heard != nil {
		w.heard(d)
	}
	for _, h := range w.hosts[d.to] {
		l := h.listeners[s]
		if l == nil {
			continue
		}
		d.at = time.Now()
		l.arrivals = append(l.arrivals, d)
		if !h.stalled {
			h.arrived.Notify()
		}
	}
}

func (h *fakeHost) attach() (sockets, error) {
	h.clock = time.NewTimer(0)
	return h, nil
}

func (h *fakeHost) wake() { h.bell.Notify() }

func (h *fakeHost) alarm(at time.Time) {
	if at.IsZero() {
		h.clock.Stop()
	} else {
		h.clock.Reset(time.Until(at))
	}
}

func (h *fakeHost) timer(f func()) (timer, error) {
	t := &fakeTimer{host: h, timer: time.AfterFunc(0, f)}
	t.timer.Stop()
	return t, nil
}

func (h *fakeHost) close() { h.clock.Stop() }

func (h *fakeHost) wait(arrivals bool) {
	var arrived <-chan struct{}
	if arrivals {
		arrived = h.arrived
	}
	select {
	case <-h.bell:
	case <-arrived:
	case <-h.clock.C:
	}
}

func (h *fakeHost) listen(s service) (listener, error) {
	h.wire.mu.Lock()
	defer h.wire.mu.Unlock()
	if h.taken[s] || h.listeners[s] != nil {
		return nil, fmt.Errorf("%w: %d", ErrPortTaken, s.port())
	}
	l := &fakeListener{host: h, service: s}
	h.listeners[s] = l
	return l, nil
}

func (h *fakeHost) index(name string) (int, error) {
	var n int
	_, err := fmt.Sscanf(name, "eth%d", &n)
	return n, err
}

func (h *fakeHost) dial(s Session, port uint16) (sender, error) {
	h.wire.mu.Lock()
	defer h.wire.mu.Unlock()
	if h.refuse != nil {
		return nil, h.refuse
	}
	if h.ports[port] {
		return nil, errSourcePortTaken
	}
	h.ports[port] = true
	h.senders++
	from := s.Local
	if !from.IsValid() {
		from = h.addresses[slices.IndexFunc(h.addresses, func(a netip.Addr) bool { return a.Is4() == s.Peer.Is4() })]
	}
	return &fakeSender{host: h, session: s, from: from, port: port}, nil
}

// open is how many sockets are open.
func (h *fakeHost) open() int {
	h.wire.mu.Lock()
	defer h.wire.mu.Unlock()
	return len(h.listeners) + h.senders
}

// fakeTimer is a timer without a kernel.
type fakeTimer struct {
	host  *fakeHost
	timer *time.Timer
}

func (t *fakeTimer) set(at time.Time) {
	t.host.wire.mu.Lock()
	defer t.host.wire.mu.Unlock()
	if t.timer.Stop(); !at.IsZero() && !t.host.late {
		t.timer.Reset(time.Until(at))
	}
}

func (t *fakeTimer) close() { t.timer.Stop() }

// fakeListener is a listener on a wire.
type fakeListener struct {
	host     *fakeHost
	service  service
	arrivals []datagram
}

func (l *fakeListener) receive() (datagram, bool) {
	l.host.wire.mu.Lock()
	defer l.host.wire.mu.Unlock()
	if len(l.arrivals) == 0 {
		return datagram{}, false
	}
	d := l.arrivals[0]
	l.arrivals = l.arrivals[1:]
	return d, true
}

func (l *fakeListener) close() {
	l.host.wire.mu.Lock()
	defer l.host.wire.mu.Unlock()
	delete(l.host.listeners, l.service)
}

// fakeSender is a sender on a wire.
type fakeSender struct {
	host    *fakeHost
	session Session
	from    netip.Addr
	port    uint16
}

func (s *fakeSender) send(b []byte) error {
	s.host.wire.mu.Lock()
	err, routers := s.host.refuse, s.host.wire.routers
	s.host.wire.mu.Unlock()
	if err != nil {
		return err
	}
	ifi := 0
	if s.session.Interface != "" {
		ifi, _ = s.host.index(s.session.Interface)
	}
	s.host.wire.deliver(s.session.service(), datagram{payload: slices.Clone(b), from: s.from, to: s.session.Peer, ifi: ifi, ttl: 255 - routers})
	return nil
}

func (s *fakeSender) close() {
	s.host.wire.mu.Lock()
	defer s.host.wire.mu.Unlock()
	s.host.senders--
	delete(s.host.ports, s.port)
}
