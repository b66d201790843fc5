package speaker

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
)

// watchRemovals tells of addresses that the node loses, until the context ends.
type watchRemovals func(ctx context.Context, logger klog.Logger, gone func(netip.Addr))

// resubscribePause is how long it takes until the kernel is asked again that did not answer.
const resubscribePause = time.Second

// kernelRemovals asks the kernel. Which addresses went while reports were lost, since there were too many at once, it learns by what
// there is afterwards.
func kernelRemovals(ctx context.Context, logger klog.Logger, gone func(netip.Addr)) {
	known := map[netip.Addr]bool{}
	for ctx.Err() == nil {
		if err := followRemovals(ctx, known, gone); err != nil {
			logger.V(2).Info("Changes of addresses cannot be followed; it will be tried again", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(resubscribePause):
		}
	}
}

// followRemovals does so until the context ends, and then returns nil, or until something fails. It begins with the known addresses that
// are gone already, and keeps those up to date.
func followRemovals(ctx context.Context, known map[netip.Addr]bool, gone func(netip.Addr)) error {
	changes, done := make(chan netlink.AddrUpdate), make(chan struct{})
	var failure error // of the subscription; to be read when changes is closed
	if err := netlink.AddrSubscribeWithOptions(changes, done, netlink.AddrSubscribeOptions{ErrorCallback: func(err error) { failure = err }}); err != nil {
		return fmt.Errorf("subscribe to addresses: %w", err)
	}
	defer func() {
		close(done)
		for range changes {
		}
	}()
	listed, err := listAddresses()
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	present := map[netip.Addr]bool{}
	for _, a := range listed {
		if address, ok := netip.AddrFromSlice(a.IP); ok {
			present[address.Unmap()] = true
		}
	}
	for address := range known {
		if !present[address] {
			delete(known, address)
			gone(address)
		}
	}
	maps.Copy(known, present)
	for {
		select {
		case <-ctx.Done():
			return nil
		case change, more := <-changes:
			if !more {
				return failure
			}
			address, ok := netip.AddrFromSlice(change.LinkAddress.IP)
			if address = address.Unmap(); ok && change.NewAddr {
				known[address] = true
			} else if ok {
				delete(known, address)
				gone(address)
			}
		}
	}
}

// addressGone has the sessions lost that this node has had from an address: nothing of the peer
// arrives any more, and the hold time would be over before that is noticed.
func (s *Speaker) addressGone(address netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.neighbors {
		if status, _ := n.currentStatus(); status.Local == address {
			n.reset(bgp.Problem{Kind: bgp.LocalAddressGone, Address: address})
		}
	}
}
