package speaker

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/internal/notify"
)

// beacon advertises this node on an interface and hears which router does, as routers do that speak BGP without addresses
// being configured. The advertisements have a lifetime of 0: nobody takes this node for a default router.
type beacon struct {
	ifi    string
	logger klog.Logger
	// moved receives after router has changed.
	moved notify.Signal
	// interval between advertisements, and between attempts where there is no such interface.
	interval time.Duration

	mu    sync.Mutex
	heard netip.Addr
}

func newBeacon(ifi string, logger klog.Logger) *beacon {
	return &beacon{ifi: ifi, logger: logger, moved: notify.New(), interval: 3 * time.Second}
}

// router returns the link-local address of the router that was heard last, with its zone, or the zero Addr.
func (b *beacon) router() netip.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.heard
}

// run shines until the context ends.
func (b *beacon) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := b.shine(ctx); err != nil {
			b.logger.V(2).Info("Router advertisements failed; they will be tried again", "interface", b.ifi, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(b.interval):
		}
	}
}

// shine does it until something fails.
func (b *beacon) shine(ctx context.Context) error {
	ifi, err := net.InterfaceByName(b.ifi)
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
	if err := conn.JoinGroup(netip.IPv6LinkLocalAllRouters()); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	if err := conn.WriteTo(&ndp.RouterSolicitation{}, nil, netip.IPv6LinkLocalAllRouters()); err != nil {
		return err
	}
	if err := b.advertise(conn, ifi); err != nil {
		return err
	}
	next := time.Now().Add(b.interval)
	for {
		if err := conn.SetReadDeadline(next); err != nil {
			return err
		}
		message, _, from, err := conn.ReadFrom()
		failure, failed := err.(net.Error)
		switch {
		case ctx.Err() != nil:
			return nil
		case failed && failure.Timeout():
			// A router that was restarted, or an interface that is another one now, is found out by writing to it.
			if err := b.advertise(conn, ifi); err != nil {
				return err
			}
			next = time.Now().Add(b.interval)
			continue
		case failed:
			return err
		case err != nil:
			continue // a message that is malformed
		}
		switch message.(type) {
		case *ndp.RouterAdvertisement:
			b.hear(from.WithZone(b.ifi))
		case *ndp.RouterSolicitation:
			if err := b.advertise(conn, ifi); err != nil {
				return err
			}
		}
	}
}

// advertise says that this node can be spoken with.
func (b *beacon) advertise(conn *ndp.Conn, ifi *net.Interface) error {
	return conn.WriteTo(&ndp.RouterAdvertisement{Options: []ndp.Option{
		&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: ifi.HardwareAddr},
	}}, nil, netip.IPv6LinkLocalAllNodes())
}

func (b *beacon) hear(router netip.Addr) {
	b.mu.Lock()
	changed := b.heard != router
	b.heard = router
	b.mu.Unlock()
	if changed {
		b.logger.V(2).Info("A router advertises itself", "interface", b.ifi, "address", router)
		b.moved.Notify()
	}
}
