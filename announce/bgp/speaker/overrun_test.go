package speaker

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
)

// burst makes more changes of addresses and routes than fit into the receive buffer of a socket that nobody reads.
func burst(t *testing.T, name string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	other := address(t, "198.51.100.7/24")
	for range 3000 {
		must(t, netlink.AddrAdd(link, other))
		must(t, netlink.AddrDel(link, other))
	}
}

// An address goes amid so many other changes that the kernel drops the report of it.
func TestAnAddressThatGoesWhileReportsAreLostIsNoticed(t *testing.T) {
	_, name := cable(t)
	link, err := netlink.LinkByName(name)
	must(t, err)
	first, second := address(t, "192.0.2.7/24"), address(t, "192.0.2.8/24")
	heard, goOn := make(chan netip.Addr), make(chan struct{})
	var following sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	following.Go(func() {
		kernelRemovals(ctx, klog.Background(), func(gone netip.Addr) {
			select {
			case heard <- gone:
			case <-ctx.Done():
			}
			select {
			case <-goOn:
			case <-ctx.Done():
			}
		})
	})
	t.Cleanup(func() {
		cancel()
		following.Wait()
	})
	must(t, netlink.AddrAdd(link, second))
	for told := false; !told; { // until it follows
		must(t, netlink.AddrAdd(link, first))
		must(t, netlink.AddrDel(link, first))
		select {
		case <-heard:
			told = true
		case <-time.After(100 * time.Millisecond):
		}
	}
	burst(t, name)
	must(t, netlink.AddrDel(link, second))
	close(goOn)
	want, timeout := netip.MustParseAddr("192.0.2.8"), time.After(patience)
	for {
		select {
		case gone := <-heard:
			if gone == want {
				return
			}
		case <-timeout:
			t.Fatalf("nobody was told that %s is gone", want)
		}
	}
}

// A watcher of the host cannot read for a while, and the kernel drops what it would have had to read.
func TestTheHostIsReadAgainWhenReportsWereLost(t *testing.T) {
	_, name := cable(t)
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE)
	must(t, err)
	burst(t, name)
	give(t, name, "192.0.2.9/24")
	w := NewHostWatcher()
	failed := make(chan error, 1)
	go func() { failed <- w.receive(socket) }()
	defer func() {
		socket.Close()
		if err := <-failed; err == nil || errors.Is(err, unix.ENOBUFS) {
			t.Errorf("it ended with %v", err)
		}
	}()
	eventually(t, "to be told of the changes, and of those of routes", func() (bool, any) {
		select {
		case <-w.events:
		case <-failed:
			t.Fatal("it has ended")
		case <-time.After(10 * time.Millisecond):
		}
		must(t, w.list())
		host := w.Host()
		return host.RouteChanges > 0 && slices.ContainsFunc(host.Addresses, func(a bgp.LocalAddress) bool {
			return strings.HasPrefix(a.Addr.String(), "192.0.2.9")
		}), host
	})
}
