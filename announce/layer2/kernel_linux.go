package layer2

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// arpSettingsOf reads the settings of an interface. Of the settings of the interface and those of
// all interfaces, the higher one holds. A setting that cannot be read is taken for the kernel's
// default.
func arpSettingsOf(ifi string) arpSettings {
	read := func(whose, what string) int {
		text, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", whose, what))
		if err != nil {
			return 0
		}
		n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return n
	}
	return arpSettings{
		ignore:   max(read("all", "arp_ignore"), read(ifi, "arp_ignore")),
		announce: max(read("all", "arp_announce"), read(ifi, "arp_announce")),
	}
}

// localAddress returns the address that a message of the kernel is about: one that it got or lost.
func localAddress(message []byte) (netip.Addr, bool) {
	attributes, err := nl.ParseRouteAttr(message[unix.SizeofIfAddrmsg:])
	if err != nil {
		return netip.Addr{}, false
	}
	var addr netip.Addr
	for _, a := range attributes {
		// On a point-to-point link, IFA_ADDRESS is that of the peer, and IFA_LOCAL is the node's.
		if kind := a.Attr.Type; kind == unix.IFA_LOCAL || kind == unix.IFA_ADDRESS && !addr.IsValid() {
			addr, _ = netip.AddrFromSlice(a.Value)
		}
	}
	return addr, addr.IsValid()
}
