package speaker

import (
	"context"
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

// kernelRemovals asks the kernel.
func kernelRemovals(ctx context.Context, logger klog.Logger, gone func(netip.Addr)) {
	for ctx.Err() == nil {
		changes := make(chan netlink.AddrUpdate)
		err := netlink.AddrSubscribeWithOptions(changes, ctx.Done(), netlink.AddrSubscribeOptions{ErrorCallback: func(err error) {
			if ctx.Err() == nil {
				logger.V(2).Info("Changes of addresses cannot be followed; it will be tried again", "err", err)
			}
		}})
		if err != nil {
			logger.V(2).Info("Changes of addresses cannot be followed; it will be tried again", "err", err)
		} else {
			for change := range changes { // closed when something fails or the context ends
				if address, ok := netip.AddrFromSlice(change.LinkAddress.IP); ok && !change.NewAddr {
					gone(address.Unmap())
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(resubscribePause):
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
