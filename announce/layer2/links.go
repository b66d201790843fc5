package layer2

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/clarionlb/clarion/internal/notify"
)

// Interface is a network interface on which addresses can be announced: an Ethernet-like one that
// is not a port of another interface, such as a bond or a bridge.
type Interface struct {
	Name  string
	Index int
	MAC   net.HardwareAddr
	// Up says that the interface is administratively up and has carrier.
	Up bool
	// Prefixes are the sorted networks of the interface's own addresses. IPv6 link-local ones are
	// left out, because nothing is announced in them.
	Prefixes []netip.Prefix
	// Addresses are its sorted own addresses. IPv6 link-local ones are left out, and those that
	// duplicate address detection has not cleared.
	Addresses []netip.Addr
	// LinkLocal is an IPv6 link-local address of the interface that it may use; not valid if there
	// is none.
	LinkLocal netip.Addr
	// Routes are the routes of the main table that lead out of the interface, sorted by prefix. They
	// may be there although the interface is not Up. IPv6 link-local ones are left out.
	Routes []Route
	// Gateways are the routers of the default routes among them.
	Gateways []netip.Addr
}

func (i Interface) equal(o Interface) bool {
	return i.Name == o.Name && i.Index == o.Index && bytes.Equal(i.MAC, o.MAC) && i.Up == o.Up &&
		slices.Equal(i.Prefixes, o.Prefixes) && slices.Equal(i.Addresses, o.Addresses) && i.LinkLocal == o.LinkLocal &&
		slices.Equal(i.Routes, o.Routes) && slices.Equal(i.Gateways, o.Gateways)
}

// Links knows the node's network interfaces, as the kernel reports them. It leaves out loopback,
// interfaces without ARP, and ports of another interface.
type Links struct {
	ready   chan struct{}
	changed notify.Signal
	kernel  kernelAddresses

	mu         sync.Mutex
	interfaces []Interface
	watchers   []notify.Signal
}

// NewLinks returns a Links that knows no interface until it runs.
func NewLinks() *Links {
	l := &Links{ready: make(chan struct{}), changed: notify.New()}
	l.kernel.changed = notify.New()
	return l
}

// Ready is closed once Interfaces returns all interfaces for the first time.
func (l *Links) Ready() <-chan struct{} { return l.ready }

// Changed receives after Interfaces has changed; several changes may come as one.
func (l *Links) Changed() <-chan struct{} { return l.changed }

// Interfaces returns the interfaces, sorted by name. The slices in them must not be modified.
func (l *Links) Interfaces() []Interface {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.interfaces)
}

// linkLocal is the LinkLocal of the interface with that index.
func (l *Links) linkLocal(index int) netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := slices.IndexFunc(l.interfaces, func(i Interface) bool { return i.Index == index }); n >= 0 {
		return l.interfaces[n].LinkLocal
	}
	return netip.Addr{}
}

// Watch returns a channel that receives as Changed does, for one more reader.
func (l *Links) Watch() <-chan struct{} {
	c := notify.New()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers = append(l.watchers, c)
	return c
}

// publish replaces the interfaces, which must be sorted by name, and tells of it if they are others.
func (l *Links) publish(interfaces []Interface) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := !slices.EqualFunc(l.interfaces, interfaces, Interface.equal)
	l.interfaces = interfaces
	if changed {
		l.changed.Notify()
		for _, w := range l.watchers {
			w.Notify()
		}
	}
	select {
	case <-l.ready:
	default:
		close(l.ready)
	}
}
