package plan

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Interface is a network interface, on this node or on another.
type Interface struct {
	Name string
	// MAC is the hardware address as text; "" for none.
	MAC string
	// Prefixes are the networks of the interface's own addresses. Those of another node also have
	// those of its on-link routes.
	Prefixes []netip.Prefix
	// Routes are the routes out of the interface. Of another node, only the default routes are
	// known, and those by way of a router to addresses of pools.
	Routes []Route
	// Down says that nothing can be sent by the interface now. The kernel may nevertheless have
	// routes out of it, and prefer them.
	Down bool
}

// Route is a route out of an interface.
type Route struct {
	Prefix netip.Prefix
	// Rank is the place among the node's routes to the same prefix, in the order in which its kernel
	// prefers them. It uses the one at 0.
	Rank int
	// OnLink says that the addresses of the prefix are reached without a router.
	OnLink bool
}

// defaultRoute is the prefix of the default route of a family.
var defaultRoute = map[corev1.IPFamily]netip.Prefix{
	corev1.IPv4Protocol: netip.PrefixFrom(netip.IPv4Unspecified(), 0),
	corev1.IPv6Protocol: netip.PrefixFrom(netip.IPv6Unspecified(), 0),
}

// Contains says whether an address is in one of the interface's networks.
func (i Interface) Contains(ip netip.Addr) bool {
	return slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// lookup finds the interface by which the kernel sends to an address: that of the route with the
// longest prefix, and of several routes to the same prefix that of the one which it prefers. onLink
// says that it needs no router. ok is false if there is no route, or if the interface is down.
func lookup(ip netip.Addr, interfaces []Interface) (found Interface, onLink, ok bool) {
	bits, rank := -1, 0
	for _, i := range interfaces {
		for _, r := range i.Routes {
			if !r.Prefix.Contains(ip) || r.Prefix.Bits() < bits || r.Prefix.Bits() == bits && r.Rank >= rank {
				continue
			}
			found, onLink, bits, rank = i, r.OnLink, r.Prefix.Bits(), r.Rank
		}
	}
	return found, onLink, bits >= 0 && !found.Down
}

// onePerLAN keeps of the interfaces that are in the same LAN the first: a node that answered on two
// would have two hardware addresses for one IP address, and its kernel uses one of them.
func onePerLAN(interfaces []Interface) (kept []Interface) {
	for _, i := range interfaces {
		if !slices.ContainsFunc(kept, func(k Interface) bool { return k.Name == i.Name || k.sameLAN(i) }) {
			kept = append(kept, i)
		}
	}
	return kept
}

// sameLAN says whether two interfaces of a node are in the same LAN: their networks overlap. Those
// without addresses are taken to be in different ones.
func (i Interface) sameLAN(o Interface) bool {
	return slices.ContainsFunc(i.networks(), func(p netip.Prefix) bool {
		return slices.ContainsFunc(o.networks(), p.Overlaps)
	})
}

// networks are the prefixes that are on link.
func (i Interface) networks() []netip.Prefix {
	networks := slices.Clone(i.Prefixes)
	for _, r := range i.Routes {
		if r.OnLink && r.Prefix.Bits() > 0 && !slices.Contains(networks, r.Prefix) {
			networks = append(networks, r.Prefix)
		}
	}
	return networks
}

// relevant are the interfaces that can carry addresses: those that have a network or a route, or that
// an L2Advertisement asks for. Routes that lead neither to addresses of pools nor to nodes are left
// out: a node may have an interface and a route for each of its pods.
func (v *View) relevant(interfaces []Interface) (relevant []Interface) {
	for _, i := range interfaces {
		i.Routes = slices.DeleteFunc(slices.Clone(i.Routes), func(r Route) bool {
			return !slices.Contains(i.Prefixes, r.Prefix) && !v.concerns(r.Prefix)
		})
		if len(i.Prefixes) > 0 || len(i.Routes) > 0 || v.asksFor(i.Name) {
			relevant = append(relevant, i)
		}
	}
	return relevant
}

// asksFor says whether an L2Advertisement asks for an interface by name.
func (v *View) asksFor(ifname string) bool {
	for _, a := range v.l2Advertisements.inForce {
		if a.names(ifname) {
			return true
		}
	}
	return false
}

// concerns says whether addresses of pools or nodes are in a prefix.
func (v *View) concerns(prefix netip.Prefix) bool {
	for _, p := range v.pools {
		if p.overlaps(prefix) {
			return true
		}
	}
	for _, n := range v.nodes {
		if slices.ContainsFunc(n.addresses, prefix.Contains) {
			return true
		}
	}
	return prefix.Bits() == 0
}

// shares says whether two interfaces have a network of a family in common.
func (i Interface) shares(o Interface, ipv4 bool) bool {
	return slices.ContainsFunc(i.networks(), func(p netip.Prefix) bool {
		return p.Addr().Is4() == ipv4 && slices.ContainsFunc(o.networks(), func(q netip.Prefix) bool { return p.Masked() == q.Masked() })
	})
}

// Equal says whether a plan makes no difference between two interfaces.
func (i Interface) Equal(o Interface) bool {
	return i.Name == o.Name && i.MAC == o.MAC && i.Down == o.Down &&
		slices.Equal(i.Prefixes, o.Prefixes) && slices.Equal(i.Routes, o.Routes)
}

func readInterface(i v1alpha1.Layer2Interface) Interface {
	out := Interface{Name: i.Name, MAC: i.MAC, Prefixes: readPrefixes(i.Prefixes)}
	for _, p := range readPrefixes(i.Routes) {
		out.Routes = append(out.Routes, Route{Prefix: p})
	}
	for _, family := range i.DefaultRoutes {
		if p, known := defaultRoute[family]; known {
			out.Routes = append(out.Routes, Route{Prefix: p})
		}
	}
	return out
}

func readPrefixes(texts []string) (prefixes []netip.Prefix) {
	for _, s := range texts {
		if p, err := netip.ParsePrefix(s); err == nil {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes
}

func writeInterface(i Interface) v1alpha1.Layer2Interface {
	out := v1alpha1.Layer2Interface{Name: i.Name, MAC: i.MAC}
	for _, p := range i.networks() {
		out.Prefixes = append(out.Prefixes, p.String())
	}
	for _, family := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
		if slices.ContainsFunc(i.Routes, func(r Route) bool { return r.Prefix == defaultRoute[family] }) {
			out.DefaultRoutes = append(out.DefaultRoutes, family)
		}
	}
	for _, r := range i.Routes {
		if p := r.Prefix.String(); !r.OnLink && r.Prefix.Bits() > 0 && !slices.Contains(out.Routes, p) {
			out.Routes = append(out.Routes, p)
		}
	}
	return out
}
