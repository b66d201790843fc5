package layer2

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/internal/notify"
)

// ifaceResponder is one protocol on one interface in use: it answers for its claims, announces those that are its own and hears who else
// claims the addresses.
type ifaceResponder struct {
	responder *Responder
	ifi       Interface
	protocol  protocol
	cancel    context.CancelFunc
	wake      notify.Signal // receives when there are fresh or gone claims

	mu        sync.Mutex
	addresses map[netip.Addr]*servedAddress
	added     []*servedAddress // not yet scheduled for announcement
	removed   []*servedAddress // no longer among the claims
}

// servedAddress is an address that a port answers for, for as long as the port's claims hold this very claim.
type servedAddress struct {
	addr netip.Addr
	// owner is the hardware address of who has the address, if that is another node.
	owner net.HardwareAddr
	// quiesced says that the address is not announced again; the port's mutex guards it.
	quiesced bool
}

// put makes a claim fresh, in place of any that there was.
func (p *ifaceResponder) put(addr netip.Addr, owner net.HardwareAddr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before := p.addresses[addr]; before != nil {
		p.removed = append(p.removed, before)
	}
	c := &servedAddress{addr: addr, owner: owner}
	p.addresses[addr] = c
	p.added = append(p.added, c)
	p.wake.Notify()
}

func (p *ifaceResponder) remove(addr netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removed = append(p.removed, p.addresses[addr])
	delete(p.addresses, addr)
	p.wake.Notify()
}

// close silences the port and has its goroutines end.
func (p *ifaceResponder) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.addresses)
	p.added, p.removed = nil, nil
	p.cancel()
}

// address returns the claim of an address; nil if there is none.
func (p *ifaceResponder) address(addr netip.Addr) *servedAddress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addresses[addr]
}

// announces says whether a claim is still to be announced.
func (p *ifaceResponder) announces(c *servedAddress) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addresses[c.addr] == c && !c.quiesced
}

// quiesce has an address not announced any more, for as long as its claim is not put anew.
func (p *ifaceResponder) quiesce(addr netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.addresses[addr]; c != nil {
		c.quiesced = true
	}
}

// takeChanges returns the claims that are fresh and those that are gone since the last call; some may be both.
func (p *ifaceResponder) takeChanges() (fresh, gone []*servedAddress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh, gone = p.added, p.removed
	p.added, p.removed = nil, nil
	return fresh, gone
}

// renew makes every claim fresh, and forgets those that are gone.
func (p *ifaceResponder) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.added, p.removed = p.added[:0], nil
	for _, c := range p.addresses {
		p.added = append(p.added, c)
	}
}

// run serves until the context ends. A socket that fails is opened anew: with the interface gone, the port soon is too.
func (p *ifaceResponder) run(ctx context.Context) {
	logger := klog.FromContext(ctx).WithValues("interface", p.ifi.Name, "protocol", p.protocol)
	retry := backoff{first: 100 * time.Millisecond, limit: 10 * time.Second}
	for {
		err := p.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		logger.Error(err, "Cannot serve the interface, trying again")
		retry.wait(ctx)
	}
}

// serve answers and announces on one socket until it fails or the context ends. It begins by announcing everything,
// because what was said before a failure may not have been heard.
func (p *ifaceResponder) serve(ctx context.Context) error {
	conn, err := p.responder.lan.listen(p.ifi, p.protocol)
	if err != nil {
		return err
	}
	defer conn.close()
	p.renew()
	both, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { conn.close() })() // ends what waits for the socket
	both.Go(func() error { return p.answer(conn) })
	both.Go(func() error { return p.announce(ctx, conn) })
	return both.Wait()
}

// answer answers questions and hears claims until the socket fails or is closed.
func (p *ifaceResponder) answer(conn conn) error {
	for {
		m, err := conn.read()
		if err != nil {
			return err
		}
		if c := p.address(m.claims); c != nil {
			p.noteConflict(m, c)
		}
		if c := p.address(m.asks); c != nil {
			mac := p.ifi.MAC
			if c.owner != nil {
				mac = c.owner
			}
			if err := conn.answer(m, mac); err != nil {
				return err
			}
			p.responder.answered.add(p.protocol)
		}
	}
}

// noteConflict takes in that somebody claims the address of a claim. That is no news if it is this node, heard on another of its
// interfaces, or the owner, of whom somebody else may speak.
func (p *ifaceResponder) noteConflict(m message, c *servedAddress) {
	if bytes.Equal(m.mac, c.owner) || p.responder.own(m.mac) || p.responder.own(m.source) {
		return
	}
	p.responder.conflicts.add(p.protocol)
	p.responder.sightings.add(Sighting{c.addr, p.ifi.Name, m.mac, time.Now()})
}
