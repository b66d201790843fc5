package layer2

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/arp"
)

// Responder answers ARP requests for the addresses it is told to, on the interfaces it is told, and announces them
// gratuitously when they are new there. Its fields may be changed until it runs.
type Responder struct {
	// Repeats are the times, from the first, at which an address that is new on an interface is announced: as a request
	// and as a reply, since receivers differ in which they take. Linux forgets to look for a second after a change, so
	// the repeats lie further apart. The first must be 0. Default 0, 1.1 s, 2.2 s, 3.3 s, 5 s.
	Repeats []time.Duration
	// Refresh is how often an address is announced after that, give or take a tenth, so that switches and routers whose
	// memory is short or long do not lose it. 0 is never. Default 1 min.
	Refresh time.Duration
	// Rate is how many announcements go out of an interface in a second, and Burst how many at once: switches drop
	// broadcasts that come too fast. Default 500 and 100. The first announcement of every address goes before the second
	// of any.
	Rate, Burst int

	lan lan

	mu sync.Mutex
	// owned are the addresses by interface.
	owned map[string]map[netip.Addr]bool
	// ports are the interfaces in use, by name.
	ports map[string]*port
	wake  chan struct{}
}

// lan is what the responder needs of the operating system.
type lan interface {
	Interfaces() []Interface
	watch() <-chan struct{}
	listen(Interface) (conn, error)
}

// conn sends and receives ARP packets on one interface. Closing it ends a read.
type conn interface {
	read() (*arp.Packet, error)
	write(p *arp.Packet, to net.HardwareAddr) error
	close() error
}

// NewResponder returns a Responder on the interfaces that links knows, with nothing to answer for.
func NewResponder(links *Links) *Responder { return newResponder(links) }

func newResponder(lan lan) *Responder {
	return &Responder{
		Repeats: []time.Duration{
			0, 1100 * time.Millisecond, 2200 * time.Millisecond, 3300 * time.Millisecond, 5 * time.Second,
		},
		Refresh: time.Minute,
		Rate:    500,
		Burst:   100,
		lan:     lan,
		owned:   map[string]map[netip.Addr]bool{},
		ports:   map[string]*port{},
		wake:    make(chan struct{}, 1),
	}
}

// Set tells for which addresses to answer, and on which interfaces by name: all of them, every time. What is new is
// announced, what is missing goes silent at once, the rest stays undisturbed. Interfaces need not exist yet. IPv6
// addresses are left alone.
func (r *Responder) Set(addresses map[netip.Addr][]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, owned := range r.owned {
		for addr := range owned {
			if slices.Contains(addresses[addr], name) {
				continue
			}
			delete(owned, addr)
			if p := r.ports[name]; p != nil {
				p.remove(addr)
			}
		}
		if len(owned) == 0 {
			delete(r.owned, name)
		}
	}
	for addr, names := range addresses {
		if !addr.Is4() {
			continue
		}
		for _, name := range names {
			if r.owned[name][addr] {
				continue
			}
			if r.owned[name] == nil {
				r.owned[name] = map[netip.Addr]bool{}
			}
			r.owned[name][addr] = true
			if p := r.ports[name]; p != nil {
				p.add(addr)
			}
		}
	}
	signal(r.wake)
}

// Run answers and announces until the context ends, and then returns nil.
func (r *Responder) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	defer r.closePorts()
	changed := r.lan.watch()
	for {
		r.openPorts(ctx, &running)
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-r.wake:
		}
	}
}

// openPorts gives a port to every interface that is up and has addresses to answer for, and takes it from all others. An
// interface that was down or that is another one now, by its index or its hardware address, gets a new port, which
// announces all that it has.
func (r *Responder) openPorts(ctx context.Context, running *sync.WaitGroup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	up := map[string]Interface{}
	for _, i := range r.lan.Interfaces() {
		if i.Up && r.owned[i.Name] != nil {
			up[i.Name] = i
		}
	}
	for name, p := range r.ports {
		if i, ok := up[name]; !ok || i.Index != p.ifi.Index || !bytes.Equal(i.MAC, p.ifi.MAC) {
			p.close()
			delete(r.ports, name)
		}
	}
	for name, i := range up {
		if r.ports[name] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		p := &port{responder: r, ifi: i, cancel: cancel, claims: map[netip.Addr]*claim{}, wake: make(chan struct{}, 1)}
		for addr := range r.owned[name] {
			p.add(addr)
		}
		r.ports[name] = p
		running.Go(func() { p.run(ctx) })
	}
}

func (r *Responder) closePorts() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, p := range r.ports {
		p.close()
		delete(r.ports, name)
	}
}
