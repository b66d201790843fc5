package why

import (
	"net/netip"

	"github.com/vishvananda/netlink"
)

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
