package why

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/announce/layer2"
)

// A question is sent this often, and answers are waited for this long each time.
const (
	askTries    = 3
	askInterval = 300 * time.Millisecond
)

// Ask asks as announcers do, with a packet socket.
func (network) Ask(ctx context.Context, address netip.Addr) (heard, error) {
	index, router, err := wayTo(address)
	if err != nil || router.IsValid() {
		return heard{Router: router}, err
	}
	links := layer2.NewLinks()
	if err := links.Permitted(); err != nil {
		return heard{}, err
	}
	prober := layer2.NewProber(links)
	var running sync.WaitGroup
	defer running.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	running.Go(func() { _ = links.Run(ctx) })
	running.Go(func() { _ = prober.Run(ctx) })
	select {
	case <-links.Ready():
	case <-ctx.Done():
		return heard{}, ctx.Err()
	}
	interfaces := links.Interfaces()
	n := slices.IndexFunc(interfaces, func(i layer2.Interface) bool { return i.Index == index })
	if n < 0 {
		return heard{}, errors.New("the way to the address leads to no Ethernet")
	}
	return question(ctx, prober, interfaces[n], address)
}

// question waits for the answers of all hosts, of which there may be several that should not be.
func question(ctx context.Context, prober *layer2.Prober, on layer2.Interface, address netip.Addr) (heard, error) {
	answers := make(chan string, 64)
	_, _, err := prober.Ask(ctx, layer2.Question{
		Interface: on.Name, Address: address, Tries: askTries, Interval: askInterval,
		Accept: func(a layer2.Answer) bool {
			select {
			case answers <- a.MAC.String():
			default:
			}
			return false
		},
	})
	said := heard{Interface: on.Name, Own: on.MAC.String()}
	close(answers) // nobody accepts any more
	for mac := range answers {
		if !slices.Contains(said.MACs, mac) {
			said.MACs = append(said.MACs, mac)
		}
	}
	return said, err
}

// wayTo is by which interface, and by which router if by any, this host reaches an address.
func wayTo(address netip.Addr) (index int, router netip.Addr, err error) {
	routes, err := netlink.RouteGet(address.AsSlice())
	switch {
	case err != nil:
		return 0, netip.Addr{}, fmt.Errorf("this host has no route to the address: %w", err)
	case len(routes) == 0:
		return 0, netip.Addr{}, errors.New("this host has no route to the address")
	case routes[0].Type == unix.RTN_LOCAL:
		return 0, netip.Addr{}, errors.New("this host has the address itself")
	}
	router, _ = netip.AddrFromSlice(routes[0].Gw)
	return routes[0].LinkIndex, router.Unmap(), nil
}

// Neighbor is the hardware address that the kernel has learned for an address, by ARP or NDP. It is fresh while the kernel takes it for
// reachable: a host has answered, or has acknowledged what was sent to it.
func (network) Neighbor(address netip.Addr) (mac string, fresh bool) {
	entries, err := netlink.NeighList(0, netlink.FAMILY_ALL)
	if err != nil {
		return "", false
	}
	for _, e := range entries {
		if ip, ok := netip.AddrFromSlice(e.IP); ok && ip.Unmap() == address && e.State&(netlink.NUD_REACHABLE|netlink.NUD_STALE|netlink.NUD_DELAY|netlink.NUD_PROBE) != 0 {
			return e.HardwareAddr.String(), e.State&netlink.NUD_REACHABLE != 0
		}
	}
	return "", false
}
