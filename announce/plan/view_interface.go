package plan

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Interface is a network interface that is up, on this node or on another.
type Interface struct {
	Name string
	// MAC is the hardware address as text; "" for none.
	MAC string
	// Prefixes are the interface's own addresses with the lengths of their networks.
	Prefixes []netip.Prefix
	// DefaultRoute4 and DefaultRoute6 say whether a default route of the family leaves by the
	// interface.
	DefaultRoute4, DefaultRoute6 bool
}

// Contains says whether an address is in one of the interface's networks.
func (i Interface) Contains(ip netip.Addr) bool {
	return slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// routes says whether the interface has a default route of an address's family.
func (i Interface) routes(ip netip.Addr) bool {
	return i.DefaultRoute4 && ip.Is4() || i.DefaultRoute6 && ip.Is6()
}

// shares says whether two interfaces have a network of a family in common.
func (i Interface) shares(o Interface, ipv4 bool) bool {
	return slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool {
		return p.Addr().Is4() == ipv4 && slices.ContainsFunc(o.Prefixes, func(q netip.Prefix) bool { return p.Masked() == q.Masked() })
	})
}

// Equal says whether a plan makes no difference between two interfaces.
func (i Interface) Equal(o Interface) bool {
	return i.Name == o.Name && i.MAC == o.MAC && i.DefaultRoute4 == o.DefaultRoute4 && i.DefaultRoute6 == o.DefaultRoute6 &&
		slices.Equal(i.Prefixes, o.Prefixes)
}

func readInterface(i v1alpha1.Layer2Interface) Interface {
	out := Interface{
		Name:          i.Name,
		MAC:           i.MAC,
		DefaultRoute4: slices.Contains(i.DefaultRoutes, corev1.IPv4Protocol),
		DefaultRoute6: slices.Contains(i.DefaultRoutes, corev1.IPv6Protocol),
	}
	for _, s := range i.Prefixes {
		if p, err := netip.ParsePrefix(s); err == nil {
			out.Prefixes = append(out.Prefixes, p)
		}
	}
	return out
}

func writeInterface(i Interface) v1alpha1.Layer2Interface {
	out := v1alpha1.Layer2Interface{Name: i.Name, MAC: i.MAC}
	for _, p := range i.Prefixes {
		out.Prefixes = append(out.Prefixes, p.String())
	}
	if i.DefaultRoute4 {
		out.DefaultRoutes = append(out.DefaultRoutes, corev1.IPv4Protocol)
	}
	if i.DefaultRoute6 {
		out.DefaultRoutes = append(out.DefaultRoutes, corev1.IPv6Protocol)
	}
	return out
}
