package speaker

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
	"golang.org/x/time/rate"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/internal/notify"
)

// discovery finds the peer on an interface that has no configured address ("unnumbered").
type discovery interface {
	// run does it until the context ends.
	run(ctx context.Context)
	// address returns the link-local address, with its zone, of the router to try now; the zero Addr
	// as long as there is none.
	address() netip.Addr
	// pass has another router tried, if there is one: that at this address is not the peer, or not
	// now. It returns false if all have been tried in turn; then the round begins anew.
	pass(netip.Addr) (more bool)
	// changed receives after address has changed.
	changed() <-chan struct{}
}

type discover func(ifi string, logger klog.Logger) discovery

// discoverByRA is what FRR and others do for unnumbered peers.
func discoverByRA(ifi string, logger klog.Logger) discovery { return newRASender(ifi, logger) }

// raSender sends Router Advertisements (RFC 4861) on an interface, so that a peer there finds this
// node. Whoever sends some to this node may be the peer: which one is found by trying. Its own have
// a Router Lifetime of 0: nobody takes this node for a default router.
type raSender struct {
	ifi    string
	logger klog.Logger
	moved  notify.Signal
	// interval between advertisements, and between attempts where there is no such interface.
	interval time.Duration
	// answers bounds the advertisements that solicitations ask for: any host on the link can send some.
	answers *rate.Limiter

	mu      sync.Mutex
	routers routers
}

func newRASender(ifi string, logger klog.Logger) *raSender {
	const interval = 3 * time.Second // MIN_DELAY_BETWEEN_RAS of RFC 4861, section 10
	return &raSender{
		ifi: ifi, logger: logger, moved: notify.New(), interval: interval,
		answers: rate.NewLimiter(rate.Every(interval), 3),
	}
}

func (s *raSender) address() netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.routers.current
}

func (s *raSender) pass(peer netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.routers.pass(peer, time.Now())
}

func (s *raSender) changed() <-chan struct{} { return s.moved }

func (s *raSender) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.advertise(ctx); err != nil {
			s.logger.V(2).Info("Router advertisements failed; they will be tried again", "interface", s.ifi, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.interval):
		}
	}
}

// advertise sends and hears advertisements until something fails.
func (s *raSender) advertise(ctx context.Context) error {
	ifi, err := net.InterfaceByName(s.ifi)
	if err != nil {
		return err
	}
	conn, _, err := ndp.Listen(ifi, ndp.LinkLocal)
	if err != nil {
		return err
	}
	defer conn.Close()
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	filter.Accept(ipv6.ICMPTypeRouterSolicitation)
	if err := conn.SetICMPFilter(&filter); err != nil {
		return err
	}
	if err := conn.SetControlMessage(ipv6.FlagHopLimit, true); err != nil {
		return err
	}
	if err := conn.JoinGroup(netip.IPv6LinkLocalAllRouters()); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	if err := conn.WriteTo(&ndp.RouterSolicitation{}, nil, netip.IPv6LinkLocalAllRouters()); err != nil {
		return err
	}
	if err := s.send(conn, ifi); err != nil {
		return err
	}
	next := time.Now().Add(s.interval)
	for {
		if err := conn.SetReadDeadline(next); err != nil {
			return err
		}
		message, control, from, err := conn.ReadFrom()
		failure, failed := err.(net.Error)
		switch {
		case ctx.Err() != nil:
			return nil
		case failed && failure.Timeout():
			// A peer that was restarted, or an interface that is another one now, is found out by
			// writing to it.
			if err := s.send(conn, ifi); err != nil {
				return err
			}
			next = time.Now().Add(s.interval)
			continue
		case failed:
			return err
		case err != nil:
			continue // a message that is malformed
		}
		if s.heard(message, control, from) {
			if err := s.send(conn, ifi); err != nil {
				return err
			}
		}
	}
}

// heard takes in a message, and returns whether to answer it. What comes from behind a router does
// not count, nor do advertisements from other than link-local addresses (RFC 4861, section 6.1).
func (s *raSender) heard(message ndp.Message, control *ipv6.ControlMessage, from netip.Addr) (answer bool) {
	if control == nil || control.HopLimit != ndp.HopLimit {
		return false
	}
	switch message.(type) {
	case *ndp.RouterAdvertisement:
		if from.IsLinkLocalUnicast() {
			s.found(from.WithZone(s.ifi))
		}
	case *ndp.RouterSolicitation:
		return s.answers.Allow()
	}
	return false
}

// send sends one advertisement.
func (s *raSender) send(conn *ndp.Conn, ifi *net.Interface) error {
	return conn.WriteTo(&ndp.RouterAdvertisement{Options: []ndp.Option{
		&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: ifi.HardwareAddr},
	}}, nil, netip.IPv6LinkLocalAllNodes())
}

// found takes in who advertises itself.
func (s *raSender) found(router netip.Addr) {
	s.mu.Lock()
	added, changed := s.routers.add(router, time.Now())
	s.mu.Unlock()
	if added {
		s.logger.V(2).Info("A router advertises itself", "interface", s.ifi, "address", router)
	}
	if changed {
		s.moved.Notify()
	}
}
