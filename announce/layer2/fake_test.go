package layer2

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/arp"
)

// fakeLAN is a lan without a kernel: it records what is sent and delivers what the test puts on its wires.
type fakeLAN struct {
	mu         sync.Mutex
	interfaces []Interface
	watchers   []chan struct{}
	conns      map[string]*fakeConn // the last one opened, by interface
	opened     int
	sent       []sent
	refuse     error // what listening fails with
}

// sent is a packet that left an interface.
type sent struct {
	at     time.Time
	ifi    string
	packet *arp.Packet
	to     net.HardwareAddr
}

func newFakeLAN(names ...string) *fakeLAN {
	f := &fakeLAN{conns: map[string]*fakeConn{}}
	for n, name := range names {
		f.interfaces = append(f.interfaces, Interface{Name: name, Index: n + 1, MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(n + 1)}, Up: true})
	}
	return f
}

func (f *fakeLAN) Interfaces() []Interface {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.interfaces)
}

func (f *fakeLAN) watch() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := make(chan struct{}, 1)
	f.watchers = append(f.watchers, c)
	return c
}

// change changes the interface of that name.
func (f *fakeLAN) change(name string, change func(*Interface)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := slices.IndexFunc(f.interfaces, func(i Interface) bool { return i.Name == name })
	change(&f.interfaces[n])
	for _, w := range f.watchers {
		signal(w)
	}
}

func (f *fakeLAN) listen(i Interface) (conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened++
	if f.refuse != nil {
		return nil, f.refuse
	}
	c := &fakeConn{lan: f, ifi: i.Name, in: make(chan *arp.Packet, 1), broken: make(chan struct{})}
	f.conns[i.Name] = c
	return c, nil
}

// ask puts a question on the wire of an interface, if anybody listens there.
func (f *fakeLAN) ask(ifi string, addr netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.conns[ifi]; c != nil {
		c.in <- newPacket(arp.OperationRequest, asker, netip.MustParseAddr("192.0.2.1"), nobody, addr)
	}
}

// asker is the hardware address of those who ask.
var asker = net.HardwareAddr{2, 9, 9, 9, 9, 9}

// take returns what has been sent since the last time: answers to questions and announcements.
func (f *fakeLAN) take() (answers, announcements []sent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sent {
		if s.packet.SenderIP == s.packet.TargetIP {
			announcements = append(announcements, s)
		} else {
			answers = append(answers, s)
		}
	}
	f.sent = nil
	return answers, announcements
}

type fakeConn struct {
	lan    *fakeLAN
	ifi    string
	in     chan *arp.Packet
	once   sync.Once
	broken chan struct{}
}

var errBroken = errors.New("the wire is broken")

func (c *fakeConn) read() (*arp.Packet, error) {
	select {
	case p := <-c.in:
		return p, nil
	case <-c.broken:
		return nil, errBroken
	}
}

func (c *fakeConn) write(p *arp.Packet, to net.HardwareAddr) error {
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	c.lan.sent = append(c.lan.sent, sent{at: time.Now(), ifi: c.ifi, packet: p, to: to})
	return nil
}

// breakSocket has the socket on an interface fail, if there is one.
func (f *fakeLAN) breakSocket(ifi string) {
	f.mu.Lock()
	c := f.conns[ifi]
	f.mu.Unlock()
	if c != nil {
		c.close()
	}
}

func (c *fakeConn) close() error {
	c.once.Do(func() { close(c.broken) })
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	if c.lan.conns[c.ifi] == c {
		delete(c.lan.conns, c.ifi)
	}
	return nil
}
