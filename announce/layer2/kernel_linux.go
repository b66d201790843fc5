package layer2

import (
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	attribute "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// readKernelNet reads how the kernel is set up on some interfaces, and what it was told to answer
// for. What cannot be read is taken for not set, the kernel's default.
func (l *Links) readKernelNet(interfaces []string) kernelNet {
	n := kernelNet{settings: map[string]kernelSettings{}, proxies: map[proxyEntry]bool{}, anycast: readAnycast()}
	for _, name := range interfaces {
		n.settings[name] = kernelSettingsOf(name)
	}
	names, has := l.kernel.allNames(), l.kernel.all()
	entries, _ := consistent(func() ([]netlink.Neigh, error) { return netlink.NeighProxyList(0, netlink.FAMILY_ALL) })
	for _, e := range entries {
		if addr, ok := netip.AddrFromSlice(e.IP); ok {
			n.proxies[proxyEntry{addr.Unmap(), names[e.LinkIndex]}] = true
		}
	}
	routes, _ := consistent(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL},
			netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
	})
	for _, r := range routes {
		p := destination(r, netlink.FAMILY_V4)
		if r.Type == unix.RTN_LOCAL && !p.Addr().IsLoopback() && !(p.IsSingleIP() && len(has[p.Addr()]) > 0) {
			n.local = append(n.local, p)
		}
	}
	return n
}

func kernelSettingsOf(ifi string) kernelSettings {
	either := func(family, what string) string {
		for _, whose := range []string{ifi, "all"} {
			if sysctl(family, whose, what) > 0 {
				return whose
			}
		}
		return ""
	}
	higher := func(what string) int { return max(sysctl("ipv4", "all", what), sysctl("ipv4", ifi, what)) }
	return kernelSettings{
		ignore:      higher("arp_ignore"),
		announce:    higher("arp_announce"),
		filter:      higher("arp_filter") > 0,
		forwarding:  sysctl("ipv4", ifi, "forwarding") > 0,
		forwarding6: sysctl("ipv6", ifi, "forwarding") > 0,
		proxyARP:    either("ipv4", "proxy_arp"),
		pvlan:       either("ipv4", "proxy_arp_pvlan"),
		proxyNDP:    either("ipv6", "proxy_ndp"),
		medium:      sysctl("ipv4", ifi, "medium_id"),
	}
}

// sysctl reads a setting of an interface, or of all.
func sysctl(family, whose, what string) int {
	text, err := os.ReadFile(filepath.Join("/proc/sys/net", family, "conf", whose, what))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

// readAnycast reads the anycast addresses of interfaces.
func readAnycast() map[proxyEntry]bool {
	anycast := map[proxyEntry]bool{}
	text, err := os.ReadFile("/proc/thread-self/net/anycast6")
	if err != nil {
		return anycast
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line) // index, interface, address, users
		if len(fields) < 3 {
			continue
		}
		if b, err := hex.DecodeString(fields[2]); err == nil {
			if addr, ok := netip.AddrFromSlice(b); ok {
				anycast[proxyEntry{addr, fields[1]}] = true
			}
		}
	}
	return anycast
}

// localAddress returns the address that a message of the kernel is about: one that it got or lost.
func localAddress(message []byte) (netip.Addr, bool) {
	attributes, err := attribute.NewAttributeDecoder(message[unix.SizeofIfAddrmsg:])
	if err != nil {
		return netip.Addr{}, false
	}
	var addr netip.Addr
	for attributes.Next() {
		// On a point-to-point link, IFA_ADDRESS is that of the peer, and IFA_LOCAL is the node's.
		if kind := attributes.Type(); kind == unix.IFA_LOCAL || kind == unix.IFA_ADDRESS && !addr.IsValid() {
			addr, _ = netip.AddrFromSlice(attributes.Bytes())
		}
	}
	return addr, addr.IsValid() && attributes.Err() == nil
}
