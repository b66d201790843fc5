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

// hops are the next hops of routes on a session, for each family: an unspecified address is that of the session, the zero
// Addr is none.
type hops struct{ v4, v6 netip.Addr }

// anyHops is for where they do not matter.
var anyHops = hops{netip.IPv4Unspecified(), netip.IPv6Unspecified()}

func (h hops) of(f bgp.Families) netip.Addr {
	if f == bgp.IPv4 {
		return h.v4
	}
	return h.v6
}

// families are those that have one.
func (h hops) families() bgp.Families {
	var f bgp.Families
	if h.v4.IsValid() {
		f |= bgp.IPv4
	}
	if h.v6.IsValid() {
		f |= bgp.IPv6
	}
	return f
}

// findHops returns the next hops on a session with a router. extended says that it takes an IPv6 one for IPv4 routes. A family
// that has none is no error: it may get one later.
func findHops(peer bgp.Peer, router netip.Addr, extended bool) (hops, error) {
	if router.Is6() && extended {
		return hops{netip.IPv6Unspecified(), netip.IPv6Unspecified()}, nil
	}
	if router.IsLoopback() {
		// A daemon on the node itself, which has to put in its own address for others anyway.
		return hops{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	link, err := sourceLink(peer, router)
	if err != nil {
		return hops{}, fmt.Errorf("find the interface towards %s: %w", router, err)
	}
	if router.Is6() {
		v4, err := addressOn(link, unix.AF_INET)
		return hops{v4, netip.IPv6Unspecified()}, err
	}
	v6, err := addressOn(link, unix.AF_INET6)
	return hops{netip.IPv4Unspecified(), v6}, err
}

// sourceLink returns the interface that has the address of this node on the session, or that leads to the router.
func sourceLink(peer bgp.Peer, router netip.Addr) (int, error) {
	switch {
	case router.Zone() != "":
		ifi, err := net.InterfaceByName(router.Zone())
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
	routes, err := netlink.RouteGet(router.AsSlice())
	if err != nil {
		return 0, err
	}
	if len(routes) == 0 {
		return 0, fmt.Errorf("no route to %s", router)
	}
	return routes[0].LinkIndex, nil
}

// addresses lists those of an interface, or of all, and does so again if the list changed while the kernel wrote it.
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
