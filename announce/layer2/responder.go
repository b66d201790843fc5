package layer2

import (
	"bytes"
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/clarionlb/clarion/internal/notify"
)

// Responder answers ARP requests and neighbour solicitations for the addresses it is told to, on
// the interfaces it is told. It announces the addresses that this node owns, and notices who else
// claims an address. Its fields may be changed until Run.
type Responder struct {
	// Repeats are the times at which an IPv4 address that is new on an interface is announced,
	// counted from the first announcement. Each announcement is a request and a reply, since
	// receivers differ in which they take. Linux ignores further changes of an entry for a second,
	// so the repeats are further apart. The first must be 0. Default 0, 1.1 s, 2.2 s, 3.3 s, 5 s.
	Repeats []time.Duration
	// Repeats6 are those for IPv6 addresses. RFC 4861, section 7.2.6, allows three, a second or
	// more apart. The first must be 0. Default 0, 1.1 s, 3.3 s.
	Repeats6 []time.Duration
	// Refresh is the interval of further announcements, give or take a tenth. They are for switches
	// and routers that forget an address sooner or later. 0 is never. Default 1 min.
	Refresh time.Duration
	// Rate is how many announcements per second leave an interface for each family, and Burst how
	// many leave it at once: switches drop broadcasts that come too fast. The first announcement of
	// every address goes before the second of any. Default 500 and 100.
	Rate, Burst int
	// FirstRate is how many first announcements of addresses leave in a second, and FirstBurst how many of them at once: clients wait
	// for them when a node has died, and they are repeated. 5000 are 2.6 Mbit/s, and 500 take a gigabit link for 0.4 ms. Default 5000
	// and 500.
	FirstRate, FirstBurst int

	// Fit is asked before anything is said: whether what this node knows still holds. What is asked while it does not is answered by
	// AnswerKept. nil is always.
	Fit func() bool
	// Hold is asked then: for how long to keep answers and repeated announcements, since this node may be about to learn that they do not
	// hold any more. nil is not at all.
	Hold func() time.Duration

	lan                            lan
	sightings                      *sightings
	answered, announced, conflicts counter

	mu sync.Mutex
	// owned are the addresses that this node owns.
	owned map[ifaceProtocol]map[netip.Addr]bool
	// proxied are the addresses of other nodes, with the hardware addresses of their owners.
	proxied map[ifaceProtocol]map[netip.Addr]net.HardwareAddr
	running map[ifaceProtocol]*ifaceResponder
	wake    notify.Signal
}

// ifaceProtocol is a protocol on an interface, by name. The interface need not exist.
type ifaceProtocol struct {
	ifi      string
	protocol protocol
}

// lan is what the package needs of the operating system.
type lan interface {
	Interfaces() []Interface
	Watch() <-chan struct{}
	listen(Interface, protocol) (conn, error)
}

// isOwn says whether a hardware address is that of an interface of this node.
func isOwn(lan lan, mac net.HardwareAddr) bool {
	return slices.ContainsFunc(lan.Interfaces(), func(i Interface) bool { return bytes.Equal(i.MAC, mac) })
}

// NewResponder returns a Responder on the interfaces that links knows, with no address to answer for.
func NewResponder(links *Links) *Responder { return newResponder(links) }

func newResponder(lan lan) *Responder {
	return &Responder{
		Repeats: []time.Duration{
			0, 1100 * time.Millisecond, 2200 * time.Millisecond, 3300 * time.Millisecond, 5 * time.Second,
		},
		Repeats6:   []time.Duration{0, 1100 * time.Millisecond, 3300 * time.Millisecond},
		Refresh:    time.Minute,
		Rate:       500,
		Burst:      100,
		FirstRate:  5000,
		FirstBurst: 500,
		lan:        lan,
		sightings:  newSightings(),
		owned:      map[ifaceProtocol]map[netip.Addr]bool{},
		proxied:    map[ifaceProtocol]map[netip.Addr]net.HardwareAddr{},
		running:    map[ifaceProtocol]*ifaceResponder{},
		wake:       notify.New(),
	}
}

// Sighted receives after there are new Sightings, at most 20 times in a second but for a first burst.
func (r *Responder) Sighted() <-chan struct{} { return r.sightings.added }

// SetMembers says which hardware addresses the other announcers have.
func (r *Responder) SetMembers(macs []net.HardwareAddr) { r.sightings.setMembers(macs) }

// Sightings returns who else has claimed addresses that the Responder answers for, and forgets it.
// There is one Sighting for each address, interface and member, and one for all other hosts. Claims
// of this node itself, and of the owners of proxied addresses, are no Sightings.
func (r *Responder) Sightings() []Sighting { return r.sightings.take() }

// Answered counts the replies that were sent.
func (r *Responder) Answered() Counts { return r.answered.counts() }

// Announced counts the packets with announcements that were sent.
func (r *Responder) Announced() Counts { return r.announced.counts() }

// Conflicts counts the packets in which somebody else claimed an address that the Responder answers
// for.
func (r *Responder) Conflicts() Counts { return r.conflicts.counts() }

// fit says whether anything may be said now.
func (r *Responder) fit() bool { return r.Fit == nil || r.Fit() }

// hold returns for how long to keep answers and repeated announcements.
func (r *Responder) hold() time.Duration {
	if r.Hold == nil {
		return 0
	}
	return r.Hold()
}

// speaks says whether this node may answer and repeat announcements now.
func (r *Responder) speaks() bool { return r.fit() && r.hold() == 0 }

// AnswerKept answers what was asked while this node was not fit. It is to be called when Fit says that it is again.
func (r *Responder) AnswerKept() {
	r.mu.Lock()
	running := slices.Collect(maps.Values(r.running))
	r.mu.Unlock()
	for _, ir := range running {
		ir.answerKept()
	}
}

// end waits until this node does not hold back any more, so that what it was asked is answered, and stops.
func (r *Responder) end() {
	for wait := r.hold(); wait > 0 && r.fit(); wait = r.hold() {
		time.Sleep(wait)
	}
	r.AnswerKept()
	r.stopAll()
}

// own says whether a hardware address is one of this node's.
func (r *Responder) own(mac net.HardwareAddr) bool { return isOwn(r.lan, mac) }

// Run answers and announces until the context ends and this node holds back no more, and then returns nil.
func (r *Responder) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	defer r.end()
	changed := r.lan.Watch()
	untilEnd := context.WithoutCancel(ctx)
	for {
		r.startAndStop(untilEnd, &running)
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-r.wake:
		}
	}
}

// startAndStop starts an ifaceResponder for every interface and protocol that is up and has
// addresses to answer for, and stops all others. An interface that was down, or that has another
// index or hardware address now, gets a new one, which announces all addresses again.
func (r *Responder) startAndStop(ctx context.Context, running *sync.WaitGroup) {
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
	for at, ir := range r.running {
		if i, ok := up[at]; !ok || i.Index != ir.ifi.Index || !bytes.Equal(i.MAC, ir.ifi.MAC) {
			ir.close()
			delete(r.running, at)
		}
	}
	for at, i := range up {
		if r.running[at] == nil {
			r.start(ctx, running, at, i)
		}
	}
}

// start starts an ifaceResponder with all addresses that it is to answer for.
func (r *Responder) start(ctx context.Context, running *sync.WaitGroup, at ifaceProtocol, i Interface) {
	ctx, cancel := context.WithCancel(ctx)
	ir := &ifaceResponder{
		responder: r, ifi: i, protocol: at.protocol,
		cancel: cancel, wake: notify.New(),
		addresses: map[netip.Addr]*servedAddress{},
	}
	for addr := range r.owned[at] {
		ir.put(addr, nil)
	}
	for addr, owner := range r.proxied[at] {
		if !r.owned[at][addr] {
			ir.put(addr, owner)
		}
	}
	r.running[at] = ir
	running.Go(func() { ir.run(ctx) })
}

func (r *Responder) stopAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, ir := range r.running {
		ir.close()
		delete(r.running, at)
	}
}
