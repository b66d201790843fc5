package bgp

import (
	"net/netip"
	"slices"
)

// Host is what is known of a node's own addresses, from which the next hops of its routes follow.
// It is a value: whoever learns something new makes another one.
type Host struct {
	// Addresses are those of the node's interfaces.
	Addresses []LocalAddress
	// Internal are the InternalIPs of its Node: the addresses by which the cluster reaches it.
	Internal []netip.Addr
	// Gateways are the routers of its default routes.
	Gateways []netip.Addr
	// RouteChanges counts how often a route of the node has changed: on which interface a router is
	// reached may then be another one.
	RouteChanges uint64
}

// Equal says whether the same next hops follow from both.
func (h Host) Equal(o Host) bool {
	return h.RouteChanges == o.RouteChanges && slices.Equal(h.Addresses, o.Addresses) &&
		slices.Equal(h.Internal, o.Internal) && slices.Equal(h.Gateways, o.Gateways)
}

// LocalAddress is an address of an interface of the node.
type LocalAddress struct {
	Addr netip.Addr
	// Network that the address is in; on a point-to-point link, that of the other end.
	Network netip.Prefix
	// Interface is its index.
	Interface int
	// Tentative : others may have it (RFC 4862, section 5.4). Deprecated : it is on its way out
	// (section 5.5.4). Temporary : it changes all the time (RFC 8981).
	Tentative, Deprecated, Temporary bool
	// Service : it is the address of a Service, which other nodes may have too.
	Service bool
}

// isHost says whether there is nobody else in the network of the address, so that no router takes
// it for one that can be reached directly.
func (a LocalAddress) isHost() bool { return a.Network.IsSingleIP() && a.Network.Addr() == a.Addr }

// Path is how a node reaches the router of a session.
type Path struct {
	Router netip.Addr
	// Local is the address of this node on the session, without a zone.
	Local netip.Addr
	// Interface is the index of the one that leads to the router; 0 is not known.
	Interface int
	// Extended says that the router takes an IPv6 next hop for IPv4 routes (RFC 8950).
	Extended bool
}

// reachability is how sure it is that a router can send packets to an address of the node. The
// lowest is the surest.
type reachability int

const (
	// inRoutersNetwork : the router has an address in the network of this one.
	inRoutersNetwork reachability = iota
	// ofTheSession : the router sends packets of the session there.
	ofTheSession
	// internalOnInterface : the node is known by it, and it is on the interface that leads to the router.
	internalOnInterface
	// onInterface : it is on the interface that leads to the router.
	onInterface
	// internal : the node is known by it.
	internal
	unreachable
)

// NextHop is the address of the node that a router is to send the traffic of routes of one family
// to. The zero Addr is none: routes of the family cannot be announced. Of several that are as good as each other it is
// the one from before, if that is among them, so that routes do not change for nothing.
func (h Host) NextHop(family Families, to Path, before netip.Addr) netip.Addr {
	switch {
	case to.Router.IsLoopback():
		// A daemon on the node itself, which has to put in its own address for others anyway.
		if family == IPv4 {
			return netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		return netip.IPv6Loopback()
	case to.Router.Is6() && family == IPv4 && to.Extended:
		return h.NextHop(IPv6, to, before)
	case to.Router.Is6() && to.Router.IsLinkLocalUnicast() && family == IPv6:
		return to.Local // RFC 2545
	}
	best, how := netip.Addr{}, unreachable
	for _, a := range h.Addresses {
		if a.Addr.Is4() != (family == IPv4) {
			continue
		}
		switch is := h.reachability(a, to); {
		case is < how, is == how && is != unreachable && h.prefers(a.Addr, best, to, before):
			best, how = a.Addr, is
		}
	}
	return best
}

// reachability says how sure it is that the router can reach an address.
func (h Host) reachability(a LocalAddress, to Path) reachability {
	ofSession, isInternal, on := a.Addr == to.Local, slices.Contains(h.Internal, a.Addr), to.Interface != 0 && a.Interface == to.Interface
	switch {
	case a.Tentative || a.Deprecated || a.Temporary || a.Service:
		return unreachable
	case !a.Addr.IsGlobalUnicast() && !ofSession: // link-local
		return unreachable
	case a.isHost() && !ofSession && !isInternal:
		return unreachable
	case a.Network.Contains(to.Router) || on && h.sharesGateway(a, to.Router):
		return inRoutersNetwork
	case ofSession:
		return ofTheSession
	case isInternal && on:
		return internalOnInterface
	case on:
		return onInterface
	case isInternal:
		return internal
	}
	return unreachable
}

// sharesGateway says whether a router that is a default gateway is one in the network of an address
// of the other family too.
func (h Host) sharesGateway(a LocalAddress, router netip.Addr) bool {
	return a.Addr.Is4() != router.Is4() && slices.Contains(h.Gateways, router) && slices.ContainsFunc(h.Gateways, a.Network.Contains)
}

// prefers says whether an address comes before another one that is as good.
func (h Host) prefers(a, other netip.Addr, to Path, before netip.Addr) bool {
	for _, first := range []func(netip.Addr) bool{
		func(x netip.Addr) bool { return x == to.Local },
		func(x netip.Addr) bool { return slices.Contains(h.Internal, x) },
		func(x netip.Addr) bool { return x == before },
	} {
		if first(a) != first(other) {
			return first(a)
		}
	}
	return a.Less(other)
}
