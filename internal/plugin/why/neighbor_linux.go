package why

import (
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Neighbor is the hardware address that the kernel has learned for an address, by ARP or NDP.
func (network) Neighbor(address netip.Addr) string {
	entries, err := netlink.NeighList(0, netlink.FAMILY_ALL)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if ip, ok := netip.AddrFromSlice(e.IP); ok && ip.Unmap() == address && e.State&(netlink.NUD_REACHABLE|netlink.NUD_STALE|netlink.NUD_DELAY|netlink.NUD_PROBE) != 0 {
			return e.HardwareAddr.String()
		}
	}
	return ""
}
