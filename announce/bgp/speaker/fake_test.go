package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/notify"
)

// fakeNetwork is what a Speaker sees of the world if there are no sockets: connections that do as
// the test says and a peer that is discovered.
type fakeNetwork struct {
	// log has what was done on connections, in order.
	log []string
	// connections that were opened, by their order.
	connections []*fakeConnection
	// opened is the Peer of the connection that was opened last.
	opened bgp.Peer
	// hops are those of the routes that were announced last.
	hops nextHops
	// openErr, dialErr and routeErr are what opening, dialling and changes of routes fail with.
	openErr, dialErr, routeErr error

	mu         sync.Mutex // guards all of it
	discovered netip.Addr
	others     []netip.Addr
	moved      notify.Signal
}

// fakeConnection notes what it is told, and its peer does what the test says.
type fakeConnection struct {
	network *fakeNetwork
	signal  notify.Signal

	mu      sync.Mutex
	pending []event
	sent    uint64
	// sentRoutes are those that were announced, and unread those of them that the peer has not been sent.
	sentRoutes, unread uint64
}

func (f *fakeNetwork) open(peer bgp.Peer, address netip.Addr, _ klog.Logger) (connection, error) {
	f.note("open %s", address)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.openErr != nil {
		return nil, f.openErr
	}
	f.opened = peer
	c := &fakeConnection{network: f, signal: notify.New()}
	f.connections = append(f.connections, c)
	return c, nil
}

func (f *fakeNetwork) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

func (f *fakeNetwork) failure(of *error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *of
}

// take returns what was done since the last time.
func (f *fakeNetwork) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.log = nil
	return log
}

// change has the network be another one from now on.
func (f *fakeNetwork) change(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// last is the connection that was opened last, and opened how many were.
func (f *fakeNetwork) last() (c *fakeConnection, opened int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.connections[len(f.connections)-1], len(f.connections)
}

func (f *fakeNetwork) findPath(_ bgp.Peer, address netip.Addr) (bgp.Path, error) {
	return bgp.Path{Router: address, Interface: 1}, nil
}

// hostWith is a node with these addresses on the network.
func hostWith(prefixes ...string) (h bgp.Host) {
	for _, text := range prefixes {
		prefix := netip.MustParsePrefix(text)
		h.Addresses = append(h.Addresses, bgp.LocalAddress{Addr: prefix.Addr(), Network: prefix.Masked(), Interface: 1})
	}
	return h
}

func (f *fakeNetwork) discover(string, klog.Logger) discovery { return f }

func (f *fakeNetwork) run(ctx context.Context) { <-ctx.Done() }

func (f *fakeNetwork) changed() <-chan struct{} { return f.moved }

func (f *fakeNetwork) address() netip.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.discovered
}

func (f *fakeNetwork) pass(netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.others) == 0 {
		return false
	}
	f.discovered, f.others = f.others[0], f.others[1:]
	return true
}

// find has the peer advertise itself at an address.
func (f *fakeNetwork) find(address string) {
	f.mu.Lock()
	f.discovered = netip.MustParseAddr(address)
	f.mu.Unlock()
	f.moved.Notify()
	synctest.Wait()
}

func (c *fakeConnection) dial(restart restartState) error {
	words := "dial"
	if restart.restarted {
		words += ", restarted"
	}
	if restart.preserved {
		words += ", preserved"
	}
	c.network.note("%s", words)
	return c.network.failure(&c.network.dialErr)
}

func (c *fakeConnection) begin() { c.network.note("begin") }

func (c *fakeConnection) announce(routes []bgp.Route, hops nextHops) error {
	c.network.note("announce %s", prefixes(routes))
	c.network.change(func() { c.network.hops = hops })
	c.mu.Lock()
	c.sentRoutes += uint64(len(routes))
	c.mu.Unlock()
	return c.network.failure(&c.network.routeErr)
}

func (c *fakeConnection) withdraw(routes []bgp.Route) error {
	c.network.note("withdraw %s", prefixes(routes))
	return c.network.failure(&c.network.routeErr)
}

func prefixes(routes []bgp.Route) string {
	var words []string
	for _, r := range routes {
		words = append(words, r.Prefix.String())
	}
	return strings.Join(words, " ")
}

func (c *fakeConnection) updates() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

func (c *fakeConnection) announced() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sentRoutes - c.unread
}

func (c *fakeConnection) changed() <-chan struct{} { return c.signal }

func (c *fakeConnection) events() []event {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := c.pending
	c.pending = nil
	return events
}

func (c *fakeConnection) cease(reason string) { c.network.note("cease: %s", reason) }

func (c *fakeConnection) close() { c.network.note("close") }

// happen has something happen on the last connection, and waits until all is done that comes of it.
func (f *fakeNetwork) happen(events ...event) {
	c, _ := f.last()
	c.mu.Lock()
	c.pending = append(c.pending, events...)
	c.mu.Unlock()
	c.signal.Notify()
	synctest.Wait()
}

// read has the peer of the last connection read so many UPDATE messages more.
func (f *fakeNetwork) read(updates uint64) {
	c, _ := f.last()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent += updates
}

// hold leaves so many of the routes unsent that are announced on the last connection.
func (f *fakeNetwork) hold(unread uint64) {
	c, _ := f.last()
	c.mu.Lock()
	c.unread = unread
	c.mu.Unlock()
	c.signal.Notify()
	synctest.Wait()
}

// fakeSpeaker is a Speaker on a network, and one peer.
type fakeSpeaker struct {
	*Speaker
	*fakeNetwork
	t    *testing.T
	peer bgp.Peer
	stop context.CancelFunc
}

var external = bgp.Peer{Address: netip.MustParseAddr("192.0.2.1"), LocalASN: 65000, PeerASN: 65001, RouterID: netip.MustParseAddr("192.0.2.2")}

// onNetwork runs a test of a Speaker in a bubble of time.
func onNetwork(t *testing.T, restarted bool, test func(s *fakeSpeaker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeNetwork{moved: notify.New()}
		s := &fakeSpeaker{Speaker: New(Config{Restarted: restarted}), fakeNetwork: f, t: t, peer: external}
		s.Speaker.removals = func(ctx context.Context, _ klog.Logger, _ func(netip.Addr)) { <-ctx.Done() }
		s.Speaker.open, s.Speaker.findPath, s.Speaker.discover = f.open, f.findPath, f.discover
		s.SetHost(hostWith("192.0.2.2/24", "2001:db8::2/64"))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		s.stop = func() {
			stop()
			synctest.Wait()
		}
		test(s)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// set wants a session with the peer, and these prefixes announced.
func (s *fakeSpeaker) set(prefixes ...string) {
	s.Set(alone(s.peer), say(routes(nil, prefixes...)))
	synctest.Wait()
}

// open has the peer send an OPEN with both families.
func (s *fakeSpeaker) open(gracefulRestart bool) {
	s.happen(event{state: bgp.OpenSent}, event{state: bgp.OpenConfirm, negotiated: negotiated{
		peerASN: 65001, peerID: netip.MustParseAddr("192.0.2.1"), families: bgp.IPv4 | bgp.IPv6, gracefulRestart: gracefulRestart,
	}})
}

// establish has the peer accept the session, with both families.
func (s *fakeSpeaker) establish(gracefulRestart bool) {
	s.open(gracefulRestart)
	s.happen(event{state: bgp.Established})
}

// did compares what was done since it was called last.
func (s *fakeSpeaker) did(when string, want ...string) {
	s.t.Helper()
	synctest.Wait()
	if got := s.take(); !slices.Equal(got, want) {
		s.t.Errorf("%s: did\n%q, want\n%q", when, got, want)
	}
}

// is compares the state and the problem.
func (s *fakeSpeaker) is(when string, state bgp.State, problem bgp.Problem) {
	s.t.Helper()
	synctest.Wait()
	if got := status(s.Speaker, "tor"); got.State != state || got.Problem != problem {
		s.t.Errorf("%s: it is %s with problem %+v, want %s with %+v", when, got.State, got.Problem, state, problem)
	}
}

var errFake = errors.New("for the test")
