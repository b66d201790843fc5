package speaker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/announce/bgp"
)

// nextHops are the next hops of routes on a session, for each family: an unspecified address is
// that of the session, the zero Addr is none.
type nextHops struct{ v4, v6 netip.Addr }

// anyNextHops is for where they do not matter.
var anyNextHops = nextHops{netip.IPv4Unspecified(), netip.IPv6Unspecified()}

func (h nextHops) of(f bgp.Families) netip.Addr {
	if f == bgp.IPv4 {
		return h.v4
	}
	return h.v6
}

// from puts the address of the session in the place of an unspecified one.
func (h nextHops) from(local netip.Addr) nextHops {
	for _, hop := range []*netip.Addr{&h.v4, &h.v6} {
		if hop.IsValid() && hop.IsUnspecified() && local.IsValid() {
			*hop = local
		}
	}
	return h
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

// findNextHops returns the next hops on a session with the peer at an address. extended says that
// it takes an IPv6 one for IPv4 routes (RFC 8950). A family that has none is no error: it may get
// one later.
type findNextHops func(peer bgp.Peer, address netip.Addr, extended bool) (nextHops, error)

// kernelNextHops finds them among the node's own addresses.
func kernelNextHops(peer bgp.Peer, address netip.Addr, extended bool) (nextHops, error) {
	if address.Is6() && extended {
		return nextHops{netip.IPv6Unspecified(), netip.IPv6Unspecified()}, nil
	}
	if address.IsLoopback() {
		// A daemon on the node itself, which has to put in its own address for others anyway.
		return nextHops{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	link, err := sourceLink(peer, address)
	if err != nil {
		return nextHops{}, fmt.Errorf("find the interface towards %s: %w", address, err)
	}
	if address.Is6() {
		v4, err := addressOn(link, unix.AF_INET)
		return nextHops{v4, netip.IPv6Unspecified()}, err
	}
	v6, err := addressOn(link, unix.AF_INET6)
	return nextHops{netip.IPv4Unspecified(), v6}, err
}

// sourceLink returns the interface that has the address of this node on the session, or that leads
// to the address.
func sourceLink(peer bgp.Peer, address netip.Addr) (int, error) {
	switch {
	case address.Zone() != "":
		ifi, err := net.InterfaceByName(address.Zone())
		if err != nil {
			return 0, err
		}
		return ifi.Index, nil
	case peer.Source.IsValid():
		addrs, err := addresses(nil, netlink.FAMILY_ALL)
		if err != nil {
			return 0, err
		}
		for _, a := range addrs {
			if ip, _ := netip.AddrFromSlice(a.IP); ip.Unmap() == peer.Source.WithZone("") {
				return a.LinkIndex, nil
			}
		}
		return 0, fmt.Errorf("no interface has the address %s", peer.Source)
	case peer.Interface != "":
		ifi, err := net.InterfaceByName(peer.Interface)
		if err != nil {
			return 0, err
		}
		return ifi.Index, nil
	}
	routes, err := netlink.RouteGet(address.AsSlice())
	if err != nil {
		return 0, err
	}
	if len(routes) == 0 {
		return 0, fmt.Errorf("no route to %s", address)
	}
	return routes[0].LinkIndex, nil
}

// addresses lists those of an interface, or of all, and does so again if the list changed while the
// kernel wrote it.
func addresses(link netlink.Link, family int) (addrs []netlink.Addr, err error) {
	for range 5 {
		if addrs, err = netlink.AddrList(link, family); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return addrs, err
}

// addressOn returns the first global address of an interface that can be used.
func addressOn(index, family int) (netip.Addr, error) {
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return netip.Addr{}, err
	}
	addrs, err := addresses(link, family)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addrs {
		const unusable = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED | unix.IFA_F_TEMPORARY
		ip, _ := netip.AddrFromSlice(a.IP)
		if ip = ip.Unmap(); ip.IsGlobalUnicast() && a.Flags&unusable == 0 {
			return ip, nil
		}
	}
	return netip.Addr{}, nil
}
