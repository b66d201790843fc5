package speaker

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/clarionlb/clarion/announce/bgp"
)

// nextHops are the next hops of routes on a session, for each family. The zero Addr is none.
type nextHops struct{ v4, v6 netip.Addr }

// anyNextHops is for where they do not matter.
var anyNextHops = nextHops{netip.IPv4Unspecified(), netip.IPv6Unspecified()}

func (h nextHops) of(f bgp.Families) netip.Addr {
	if f == bgp.IPv4 {
		return h.v4
	}
	return h.v6
}

// families are those that have one.
func (h nextHops) families() bgp.Families {
	var f bgp.Families
	if h.v4.IsValid() {
		f |= bgp.IPv4
	}
	if h.v6.IsValid() {
		f |= bgp.IPv6
	}
	return f
}

// findPath returns how the router at an address is reached, but for what is negotiated with it.
type findPath func(peer bgp.Peer, address netip.Addr) (bgp.Path, error)

// kernelPath asks the kernel.
func kernelPath(peer bgp.Peer, address netip.Addr) (bgp.Path, error) {
	path := bgp.Path{Router: address}
	if zone := address.Zone(); zone != "" {
		ifi, err := net.InterfaceByName(zone)
		if err != nil {
			return path, err
		}
		path.Interface = ifi.Index
		return path, nil
	}
	options := &netlink.RouteGetOptions{Oif: peer.Interface}
	if peer.Source.IsValid() {
		options.SrcAddr = peer.Source.AsSlice()
	}
	routes, err := netlink.RouteGetWithOptions(address.AsSlice(), options)
	if err != nil {
		return path, fmt.Errorf("find the way to %s: %w", address, err)
	}
	if len(routes) > 0 {
		path.Interface = routes[0].LinkIndex
	}
	return path, nil
}
