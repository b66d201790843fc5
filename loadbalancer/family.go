package loadbalancer

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// family is an IP family, usable as an index.
type family int

const (
	ipv4 family = iota
	ipv6
	families // how many there are
)

func familyOf(addr netip.Addr) family {
	if addr.Is4() {
		return ipv4
	}
	return ipv6
}

func familyFrom(f corev1.IPFamily) (family, bool) {
	switch f {
	case corev1.IPv4Protocol:
		return ipv4, true
	case corev1.IPv6Protocol:
		return ipv6, true
	}
	return 0, false
}

func (f family) String() string {
	if f == ipv4 {
		return string(corev1.IPv4Protocol)
	}
	return string(corev1.IPv6Protocol)
}
