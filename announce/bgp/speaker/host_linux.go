package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/notify"
)

// HostWatcher follows the addresses and routes of the node, as the kernel has them.
type HostWatcher struct {
	ready   chan struct{}
	changed notify.Signal
	events  notify.Signal

	mu   sync.Mutex
	host bgp.Host
}

// How long changes are collected before the addresses are listed again, which a node has many of
// where kube-proxy puts those of Services on an interface, and how long it takes to try again.
const (
	settleTime      = 200 * time.Millisecond
	rewatchInterval = time.Second
)

// NewHostWatcher returns a HostWatcher that knows nothing until it runs.
func NewHostWatcher() *HostWatcher {
	return &HostWatcher{ready: make(chan struct{}), changed: notify.New(), events: notify.New()}
}

// Ready is closed once Host has all that there is.
func (w *HostWatcher) Ready() <-chan struct{} { return w.ready }

// Changed receives after Host has changed; several changes may come as one.
func (w *HostWatcher) Changed() <-chan struct{} { return w.changed }

// Host returns the Addresses and the RouteChanges of the node. The rest is not the kernel's to say.
// The slice must not be modified.
func (w *HostWatcher) Host() bgp.Host {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.host
}

// Run follows them until the context ends, and then returns nil. While the kernel cannot be asked,
// what was known last holds.
func (w *HostWatcher) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := guard.Try("bgp", "", func() error { return w.watch(ctx) }); err != nil {
			klog.FromContext(ctx).Error(err, "Lost track of the addresses of the node, reading them again")
			await(ctx, time.After(rewatchInterval))
		}
	}
	return nil
}

// watch lists the addresses now and whenever the kernel reports something, until the context ends
// or something fails.
func (w *HostWatcher) watch(ctx context.Context) error {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return fmt.Errorf("subscribe to addresses and routes: %w", err)
	}
	failed := make(chan error, 1)
	var reading sync.WaitGroup
	reading.Go(func() { failed <- guard.Try("bgp", "", func() error { return w.receive(socket) }) })
	defer reading.Wait()
	defer socket.Close()
	for {
		if err := w.list(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-w.events:
		}
		await(ctx, time.After(settleTime))
	}
}

// receive takes in reports of the kernel until the socket is closed or fails.
func (w *HostWatcher) receive(socket *nl.NetlinkSocket) error {
	for {
		messages, _, err := socket.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS): // some were lost, and all is read again anyway
			w.noteRouteChange()
		case err != nil:
			return fmt.Errorf("receive reports of addresses and routes: %w", err)
		}
		for _, m := range messages {
			if m.Header.Type != unix.RTM_NEWADDR && m.Header.Type != unix.RTM_DELADDR {
				w.noteRouteChange()
				break
			}
		}
		w.events.Notify()
	}
}

func (w *HostWatcher) noteRouteChange() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.host.RouteChanges++
}

// list reads the addresses.
func (w *HostWatcher) list() error {
	listed, err := listAddresses()
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	addresses := make([]bgp.LocalAddress, 0, len(listed))
	for _, a := range listed {
		if a, ok := localAddress(a); ok {
			addresses = append(addresses, a)
		}
	}
	w.mu.Lock()
	w.host.Addresses = addresses
	w.mu.Unlock()
	select {
	case <-w.ready:
	default:
		close(w.ready)
	}
	w.changed.Notify()
	return nil
}

// listAddresses does so again if the list changed while the kernel wrote it.
func listAddresses() (addrs []netlink.Addr, err error) {
	for range 5 {
		if addrs, err = netlink.AddrList(nil, netlink.FAMILY_ALL); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return addrs, err
		}
	}
	return addrs, nil // the kernel has also reported what changed
}

// localAddress is an address in our words; false for what is none.
func localAddress(a netlink.Addr) (bgp.LocalAddress, bool) {
	if a.IPNet == nil {
		return bgp.LocalAddress{}, false
	}
	addr, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return bgp.LocalAddress{}, false
	}
	network := a.IPNet
	if a.Peer != nil {
		network = a.Peer
	}
	base, _ := netip.AddrFromSlice(network.IP)
	bits, _ := network.Mask.Size()
	return bgp.LocalAddress{
		Addr:       addr.Unmap(),
		Network:    netip.PrefixFrom(base.Unmap(), bits).Masked(),
		Interface:  a.LinkIndex,
		Tentative:  a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0,
		Deprecated: a.Flags&unix.IFA_F_DEPRECATED != 0,
		Temporary:  a.Flags&unix.IFA_F_TEMPORARY != 0 && addr.Is6(),
	}, true
}

// await waits until a channel receives or the context ends.
func await(ctx context.Context, until <-chan time.Time) {
	select {
	case <-ctx.Done():
	case <-until:
	}
}
