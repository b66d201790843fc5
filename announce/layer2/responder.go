package layer2

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/clarionlb/clarion/internal/notify"
)

// Responder answers ARP requests and neighbour solicitations for the addresses it is told to, on the interfaces it is told,
// announces them when they are new there, and hears who else claims them. Its fields may be changed until it runs.
type Responder struct {
	// Repeats are the times, from the first, at which an IPv4 address that is new on an interface is announced: as a
	// request and as a reply, since receivers differ in which they take. Linux forgets to look for a second after a change,
	// so the repeats lie further apart. The first must be 0. Default 0, 1.1 s, 2.2 s, 3.3 s, 5 s.
	Repeats []time.Duration
	// Repeats6 are those for IPv6 addresses. RFC 4861, section 7.2.6, allows three, a second or more apart. The first must
	// be 0. Default 0, 1.1 s, 3.3 s.
	Repeats6 []time.Duration
	// Refresh is how often an address is announced after that, give or take a tenth, so that switches and routers whose
	// memory is short or long do not lose it. 0 is never. Default 1 min.
	Refresh time.Duration
	// Rate is how many announcements of a family go out of an interface in a second, and Burst how many at once: switches
	// drop broadcasts that come too fast. Default 500 and 100. The first announcement of every address goes before the second
	// of any.
	Rate, Burst int

	lan                            lan
	sightings                      *sightings
	answered, announced, conflicts counter

	mu sync.Mutex
	// owned are the addresses by where they are announced.
	owned map[ifaceProtocol]map[netip.Addr]bool
	// proxied are the addresses of others by where they are answered for, with the hardware addresses of the owners.
	proxied  map[ifaceProtocol]map[netip.Addr]net.HardwareAddr
	perIface map[ifaceProtocol]*ifaceResponder
	wake     notify.Signal
}

// ifaceProtocol is where addresses of one family are announced: an interface by name.
type ifaceProtocol struct {
	ifi      string
	protocol protocol
}

// lan is what is needed of the operating system.
type lan interface {
	Interfaces() []Interface
	Watch() <-chan struct{}
	listen(Interface, protocol) (conn, error)
}

// isOwn tells whether a hardware address is that of an interface of this node.
func isOwn(lan lan, mac net.HardwareAddr) bool {
	return slices.ContainsFunc(lan.Interfaces(), func(i Interface) bool { return bytes.Equal(i.MAC, mac) })
}

// NewResponder returns a Responder on the interfaces that links knows, with nothing to answer for.
func NewResponder(links *Links) *Responder { return newResponder(links) }

func newResponder(lan lan) *Responder {
	return &Responder{
		Repeats: []time.Duration{
			0, 1100 * time.Millisecond, 2200 * time.Millisecond, 3300 * time.Millisecond, 5 * time.Second,
		},
		Repeats6:  []time.Duration{0, 1100 * time.Millisecond, 3300 * time.Millisecond},
		Refresh:   time.Minute,
		Rate:      500,
		Burst:     100,
		lan:       lan,
		sightings: newSightings(),
		owned:     map[ifaceProtocol]map[netip.Addr]bool{},
		proxied:   map[ifaceProtocol]map[netip.Addr]net.HardwareAddr{},
		perIface:  map[ifaceProtocol]*ifaceResponder{},
		wake:      notify.New(),
	}
}

// Sighted receives after there are new Sightings.
func (r *Responder) Sighted() <-chan struct{} { return r.sightings.added }

// Sightings returns who else has claimed addresses that the responder answers for, one for each address, interface and
// hardware address, and forgets them. Claims of this node itself and of those for whom it cares are left out.
func (r *Responder) Sightings() []Sighting { return r.sightings.take() }

// Answered are the answers that were sent.
func (r *Responder) Answered() Counts { return r.answered.counts() }

// Announced are the packets with announcements that were sent.
func (r *Responder) Announced() Counts { return r.announced.counts() }

// Conflicts are the packets in which somebody else claimed an address that the responder answers for.
func (r *Responder) Conflicts() Counts { return r.conflicts.counts() }

// own tells whether a hardware address is one of this node's.
func (r *Responder) own(mac net.HardwareAddr) bool { return isOwn(r.lan, mac) }

// Run answers and announces until the context ends, and then returns nil.
func (r *Responder) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	defer r.stopResponders()
	changed := r.lan.Watch()
	for {
		r.startResponders(ctx, &running)
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-r.wake:
		}
	}
}

// startResponders gives ports to every interface that is up and has addresses to answer for, and takes them from all others. An
// interface that was down or that is another one now, by its index or its hardware address, gets new ports, which announce
// all that they have.
func (r *Responder) startResponders(ctx context.Context, running *sync.WaitGroup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	up := map[ifaceProtocol]Interface{}
	for _, i := range r.lan.Interfaces() {
		for _, protocol := range []protocol{arpProtocol, ndpProtocol} {
			if at := (ifaceProtocol{i.Name, protocol}); i.Up && (r.owned[at] != nil || r.proxied[at] != nil) {
				up[at] = i
			}
		}
	}
	for at, p := range r.perIface {
		if i, ok := up[at]; !ok || i.Index != p.ifi.Index || !bytes.Equal(i.MAC, p.ifi.MAC) {
			p.close()
			delete(r.perIface, at)
		}
	}
	for at, i := range up {
		if r.perIface[at] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		p := &ifaceResponder{
			responder: r, ifi: i, protocol: at.protocol,
			cancel: cancel, wake: notify.New(),
			addresses: map[netip.Addr]*servedAddress{},
		}
		for addr := range r.owned[at] {
			p.put(addr, nil)
		}
		for addr, owner := range r.proxied[at] {
			if !r.owned[at][addr] {
				p.put(addr, owner)
			}
		}
		r.perIface[at] = p
		running.Go(func() { p.run(ctx) })
	}
}

func (r *Responder) stopResponders() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, p := range r.perIface {
		p.close()
		delete(r.perIface, at)
	}
}
