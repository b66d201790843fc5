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

	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/notify"
)

// ifaceResponder does the work of a Responder for one protocol on one interface. It answers for its
// addresses, announces those that this node owns, and notices who else claims any of them.
type ifaceResponder struct {
	responder *Responder
	ifi       Interface
	protocol  protocol
	cancel    context.CancelFunc
	wake      notify.Signal // receives after added or removed has changed

	mu        sync.Mutex
	addresses map[netip.Addr]*servedAddress
	// added and removed are the changes of addresses that takeChanges has yet to return.
	added, removed []*servedAddress

	kept keptRequests
}

// servedAddress is an address that an ifaceResponder answers for. It is valid as long as it is
// among the addresses; whatever changes replaces it with another servedAddress.
type servedAddress struct {
	addr netip.Addr
	// owner is the hardware address of the node that owns a proxied address; nil if this node owns
	// the address.
	owner net.HardwareAddr
	// quiesced says that the address is no longer announced. The mutex of the ifaceResponder guards
	// it.
	quiesced bool
}

// put adds an address, or replaces it, so that it counts as new.
func (ir *ifaceResponder) put(addr netip.Addr, owner net.HardwareAddr) {
	ir.mu.Lock()
	defer ir.mu.Unlock()
	if before := ir.addresses[addr]; before != nil {
		ir.removed = append(ir.removed, before)
	}
	a := &servedAddress{addr: addr, owner: owner}
	ir.addresses[addr] = a
	ir.added = append(ir.added, a)
	ir.wake.Notify()
}

func (ir *ifaceResponder) remove(addr netip.Addr) {
	ir.mu.Lock()
	defer ir.mu.Unlock()
	ir.removed = append(ir.removed, ir.addresses[addr])
	delete(ir.addresses, addr)
	ir.wake.Notify()
}

// close stops all answers at once, and has run return.
func (ir *ifaceResponder) close() {
	ir.mu.Lock()
	defer ir.mu.Unlock()
	clear(ir.addresses)
	ir.added, ir.removed = nil, nil
	ir.cancel()
}

// address returns what is known of an address; nil if it is none to answer for.
func (ir *ifaceResponder) address(addr netip.Addr) *servedAddress {
	ir.mu.Lock()
	defer ir.mu.Unlock()
	return ir.addresses[addr]
}

// announces says whether the address is still to be announced.
func (ir *ifaceResponder) announces(a *servedAddress) bool {
	ir.mu.Lock()
	defer ir.mu.Unlock()
	return ir.addresses[a.addr] == a && !a.quiesced
}

// quiesce ends the announcements of an address until it is put again.
func (ir *ifaceResponder) quiesce(addr netip.Addr) {
	ir.mu.Lock()
	defer ir.mu.Unlock()
	if a := ir.addresses[addr]; a != nil {
		a.quiesced = true
	}
}

// takeChanges returns the addresses that were added and removed since the last call. One may be both.
func (ir *ifaceResponder) takeChanges() (added, removed []*servedAddress) {
	ir.mu.Lock()
	defer ir.mu.Unlock()
	added, removed = ir.added, ir.removed
	ir.added, ir.removed = nil, nil
	return added, removed
}

// renew has all addresses count as added, for a new socket.
func (ir *ifaceResponder) renew() {
	ir.mu.Lock()
	defer ir.mu.Unlock()
	ir.added, ir.removed = ir.added[:0], nil
	for _, a := range ir.addresses {
		ir.added = append(ir.added, a)
	}
}

// run serves until the context ends. If a socket fails, it opens another one. If the interface is
// gone, the Responder soon ends the context.
func (ir *ifaceResponder) run(ctx context.Context) {
	logger := klog.FromContext(ctx).WithValues("interface", ir.ifi.Name, "protocol", ir.protocol)
	retry := backoff{first: 100 * time.Millisecond, limit: 10 * time.Second}
	for {
		err := ir.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		logger.Error(err, "Cannot serve the interface, trying again")
		retry.wait(ctx)
	}
}

// serve answers and announces on one socket until it fails or the context ends. It begins with
// announcements of all addresses, because those that were sent before a failure may be lost.
func (ir *ifaceResponder) serve(ctx context.Context) error {
	conn, err := ir.responder.lan.listen(ir.ifi, ir.protocol)
	if err != nil {
		return err
	}
	defer conn.close()
	ir.renew()
	both, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { conn.close() })() // ends a read that waits
	both.Go(func() error { return ir.answer(conn) })
	both.Go(func() error { return guard.Try("layer2", ir.ifi.Name, func() error { return ir.announce(ctx, conn) }) })
	return both.Wait()
}

// answer answers requests and notes conflicts until the socket fails or is closed. A packet on which
// that panics is passed over.
func (ir *ifaceResponder) answer(conn conn) error {
	for {
		var failed error
		guard.Run("layer2", ir.ifi.Name, func() { failed = ir.answerNext(conn) })
		if failed != nil {
			return failed
		}
	}
}

// answerNext takes in one packet. It returns an error if the socket fails.
func (ir *ifaceResponder) answerNext(conn conn) error {
	m, err := conn.read()
	if err != nil {
		return err
	}
	if a := ir.address(m.claims); a != nil {
		ir.noteConflict(m, a)
	}
	if ir.address(m.asks) == nil {
		return nil
	}
	if !ir.responder.speaks() {
		ir.keep(conn, m)
		return nil
	}
	return ir.reply(conn, m)
}

// reply answers a request if the address is still this node's.
func (ir *ifaceResponder) reply(conn conn, m message) error {
	a := ir.address(m.asks)
	if a == nil {
		return nil
	}
	mac := ir.ifi.MAC
	if a.owner != nil {
		mac = a.owner
	}
	if err := conn.answer(m, mac); err != nil {
		return err
	}
	ir.responder.answered.add(ir.protocol)
	return nil
}

// noteConflict notes that a message claims an address. It is no conflict if the message is this
// node's own, received on another of its interfaces, or if it claims the address for the owner,
// whoever sent it.
func (ir *ifaceResponder) noteConflict(m message, a *servedAddress) {
	if bytes.Equal(m.mac, a.owner) || ir.responder.own(m.mac) || ir.responder.own(m.source) {
		return
	}
	ir.responder.conflicts.add(ir.protocol)
	ir.responder.sightings.add(a.addr, ir.ifi.Name, m.mac, time.Now())
}
