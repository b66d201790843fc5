package layer2

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/clarionlb/clarion/internal/notify"
)

// fakeLAN is a lan without a kernel: it records what is sent and delivers what the test puts on its
// wires.
type fakeLAN struct {
	mu         sync.Mutex
	interfaces []Interface
	watchers   []notify.Signal
	conns      map[ifaceProtocol]*fakeConn // the last one opened
	opened     int
	sent       []sent
	refuse     error // what listening fails with
}

// sent is a packet that left an interface.
type sent struct {
	at   time.Time
	ifi  string
	form string // "answer", "question", "probe", or how an address is announced
	addr netip.Addr
	mac  net.HardwareAddr // where addr is said to be
	to   net.HardwareAddr // the receiver; nil for all hosts
}

func newFakeLAN(names ...string) *fakeLAN {
	f := &fakeLAN{conns: map[ifaceProtocol]*fakeConn{}}
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

func (f *fakeLAN) Watch() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := notify.New()
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
		w.Notify()
	}
}

func (f *fakeLAN) listen(i Interface, p protocol) (conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened++
	if f.refuse != nil {
		return nil, f.refuse
	}
	c := &fakeConn{
		lan: f, at: ifaceProtocol{i.Name, p}, mac: i.MAC,
		in: make(chan message, 1), broken: make(chan struct{}), joined: map[netip.Addr]int{},
	}
	f.conns[c.at] = c
	return c, nil
}

// ask delivers a request for addr on an interface, if there is a conn.
func (f *fakeLAN) ask(ifi string, addr netip.Addr) {
	f.hear(ifi, protocolOf(addr), message{source: asker, from: netip.MustParseAddr("192.0.2.1"), mac: asker, asks: addr})
}

// claim delivers a message on an interface which claims that addr is at mac.
func (f *fakeLAN) claim(ifi string, addr netip.Addr, source, mac net.HardwareAddr) {
	f.hear(ifi, protocolOf(addr), message{source: source, from: addr, mac: mac, claims: addr})
}

// hear delivers a message to the conn on an interface, if there is one.
func (f *fakeLAN) hear(ifi string, p protocol, m message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.conns[ifaceProtocol{ifi, p}]; c != nil {
		c.in <- m
	}
}

// asker is the hardware address that requests come from.
var asker = net.HardwareAddr{2, 9, 9, 9, 9, 9}

// take returns the replies and announcements that have been sent since the last call of take or
// questions.
func (f *fakeLAN) take() (answers, announcements []sent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sent {
		switch s.form {
		case "answer":
			answers = append(answers, s)
		case "request", "reply", "advertisement":
			announcements = append(announcements, s)
		}
	}
	f.sent = nil
	return answers, announcements
}

// questions returns the questions and probes that have been sent since the last call of take or
// questions.
func (f *fakeLAN) questions() []sent {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.sent
	f.sent = nil
	return slices.DeleteFunc(all, func(s sent) bool { return s.form != "question" && s.form != "probe" })
}

// joined returns the sorted addresses that are joined on an interface.
func (f *fakeLAN) joined(ifi string, p protocol) []netip.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	var addresses []netip.Addr
	if c := f.conns[ifaceProtocol{ifi, p}]; c != nil {
		for addr, times := range c.joined {
			if times > 0 {
				addresses = append(addresses, addr)
			}
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return addresses
}

type fakeConn struct {
	lan    *fakeLAN
	at     ifaceProtocol
	mac    net.HardwareAddr
	in     chan message
	once   sync.Once
	broken chan struct{}
	joined map[netip.Addr]int
}

var errBroken = errors.New("the wire is broken")

func (c *fakeConn) read() (message, error) {
	select {
	case m := <-c.in:
		return m, nil
	case <-c.broken:
		return message{}, errBroken
	}
}

func (c *fakeConn) answer(m message, mac net.HardwareAddr) error {
	c.send("answer", m.asks, mac, m.mac)
	return nil
}

func (c *fakeConn) ask(addr, from netip.Addr, to net.HardwareAddr) error {
	form := "question"
	if from.IsUnspecified() {
		form = "probe"
	}
	c.send(form, addr, nil, to)
	return nil
}

func (c *fakeConn) announce(addr netip.Addr, form int) error {
	forms := map[protocol][]string{arpProtocol: {"request", "reply"}, ndpProtocol: {"advertisement"}}
	c.send(forms[c.at.protocol][form], addr, c.mac, nil)
	return nil
}

func (c *fakeConn) send(form string, addr netip.Addr, mac, to net.HardwareAddr) {
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	c.lan.sent = append(c.lan.sent, sent{time.Now(), c.at.ifi, form, addr, mac, to})
}

func (c *fakeConn) join(addr netip.Addr) error {
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	c.joined[addr]++
	return nil
}

func (c *fakeConn) leave(addr netip.Addr) {
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	c.joined[addr]--
}

// breakSocket has the conn of a protocol on an interface fail, if there is one.
func (f *fakeLAN) breakSocket(ifi string, p protocol) {
	f.mu.Lock()
	c := f.conns[ifaceProtocol{ifi, p}]
	f.mu.Unlock()
	if c != nil {
		c.close()
	}
}

func (c *fakeConn) close() error {
	c.once.Do(func() { close(c.broken) })
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	if c.lan.conns[c.at] == c {
		delete(c.lan.conns, c.at)
	}
	return nil
}
