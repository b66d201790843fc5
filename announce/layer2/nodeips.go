package layer2

import (
	"net"
	"net/netip"
	"slices"
)

// beyond are addresses on no network, one of each family: they stand for all that a default route
// leads to (RFC 5737, RFC 3849).
var beyond = []string{"192.0.2.1", "2001:db8::1"}

// NodeIPs returns the addresses from which the kernel reaches what is on none of its networks, at
// most one of each family and IPv4 first. A family without a default route has none. Nothing is
// sent: to connect a UDP socket has the kernel choose.
func (l *Links) NodeIPs() (list []netip.Addr) {
	interfaces := l.Interfaces()
	for _, far := range beyond {
		if addr := sourceFor(far); slices.ContainsFunc(interfaces, func(i Interface) bool {
			return slices.Contains(i.Addresses, addr) && slices.ContainsFunc(i.Routes, func(r Route) bool {
				return r.Prefix.Bits() == 0 && r.Prefix.Addr().Is4() == addr.Is4()
			})
		}) {
			list = append(list, addr)
		}
	}
	return list
}

// sourceFor is the address that the kernel sends from to another one; not valid if it has no route.
func sourceFor(far string) netip.Addr {
	conn, err := net.Dial("udp", net.JoinHostPort(far, "9")) // 9: discard
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}
