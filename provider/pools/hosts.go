package pools

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

// hostRanges returns what the kernels of nodes have of the network, by what their Announcers say: the
// addresses of interfaces, the gateways, and what can be no host's on their networks. An Announcer
// is believed about the node that it is of, and only while there is one.
func hostRanges(announcers []*v1alpha1.Announcer, nodes []*corev1.Node) []loadbalancer.ReservedRange {
	var ranges []loadbalancer.ReservedRange
	add := func(ip netip.Addr, what, node string) {
		ranges = append(ranges, loadbalancer.ReservedRange{Prefix: single(ip), What: what + ` of node "` + node + `"`})
	}
	for _, announcer := range ofNodes(announcers, nodes) {
		host := &announcer.Status.Host
		for _, address := range host.Addresses {
			if ip, err := netip.ParseAddr(address.IP); err == nil {
				add(ip, "an address on interface "+address.Interface, announcer.Name)
			}
		}
		for _, gateway := range host.Gateways {
			if ip, err := netip.ParseAddr(gateway); err == nil {
				add(ip, "the default gateway", announcer.Name)
			}
		}
		for _, network := range networksOf(announcer) {
			for _, no := range noHosts(network) {
				add(no.address, fmt.Sprintf("the %s address of the network %s", no.kind, network), announcer.Name)
			}
		}
	}
	return ranges
}

// ofNodes are the Announcers whose Nodes exist, by name.
func ofNodes(announcers []*v1alpha1.Announcer, nodes []*corev1.Node) (list []*v1alpha1.Announcer) {
	exists := make(map[string]bool, len(nodes))
	for _, node := range nodes {
		exists[node.Name] = true
	}
	for _, announcer := range announcers {
		if exists[announcer.Name] {
			list = append(list, announcer)
		}
	}
	slices.SortFunc(list, func(a, b *v1alpha1.Announcer) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// networksOf are the networks that the interfaces of a node are on.
func networksOf(announcer *v1alpha1.Announcer) (networks []netip.Prefix) {
	for _, i := range announcer.Status.Layer2.Interfaces {
		for _, text := range i.Prefixes {
			if prefix, err := netip.ParsePrefix(text); err == nil {
				networks = append(networks, prefix.Masked())
			}
		}
	}
	return networks
}

// noHost is an address of a network that can be no host's.
type noHost struct {
	address netip.Addr
	kind    string
}

// noHosts returns the addresses of a network that can be no host's. With IPv4 these are the first,
// which is the network's, and the last, to which every host listens (RFC 1122, section 3.2.1.3),
// but for networks of two addresses (RFC 3021) and of one. With IPv6 it is the first, which belongs
// to all routers (RFC 4291, section 2.6.1), but for networks of two addresses (RFC 6164) and of one.
func noHosts(network netip.Prefix) []noHost {
	first := network.Masked().Addr()
	switch hostBits := first.BitLen() - network.Bits(); {
	case network.Bits() == 0 || hostBits < 2:
		return nil
	case first.Is6():
		return []noHost{{first, "subnet-router anycast"}}
	}
	return []noHost{{first, "network"}, {loadbalancer.RangeOf(network).To, "broadcast"}}
}

// sayOfHosts says whether two states of an Announcer differ in what is read of them here.
func sayOfHosts(before, after *v1alpha1.Announcer) bool {
	return !slices.Equal(before.Status.Host.Addresses, after.Status.Host.Addresses) ||
		!slices.Equal(before.Status.Host.Gateways, after.Status.Host.Gateways) || !slices.Equal(networksOf(before), networksOf(after))
}

// WithReach adds to the message of a pool that is ready what outOfReach says.
func WithReach(state loadbalancer.PoolStatus, pool *v1alpha1.IPAddressPool, announcers []*v1alpha1.Announcer, nodes []*corev1.Node,
	advertisements []*v1alpha1.BGPAdvertisement,
) loadbalancer.PoolStatus {
	var networks []netip.Prefix
	for _, announcer := range ofNodes(announcers, nodes) {
		networks = append(networks, networksOf(announcer)...)
	}
	if remark := outOfReach(pool, networks, advertisements); state.Ready && remark != "" {
		state.Message += "; " + remark
	}
	return state
}

// outOfReach is what there is to say of a pool with addresses on no network of the nodes, which
// layer 2 alone announces: only who has a route to them reaches them. It is "" where that is not so,
// and while no Announcer says what networks there are.
func outOfReach(pool *v1alpha1.IPAddressPool, networks []netip.Prefix, advertisements []*v1alpha1.BGPAdvertisement) string {
	if len(networks) == 0 || slices.ContainsFunc(advertisements, func(a *v1alpha1.BGPAdvertisement) bool { return plan.SelectsPool(a, pool) }) {
		return ""
	}
	var list []string
	for _, entry := range pool.Spec.Addresses {
		r, err := loadbalancer.ParseRange(entry)
		if err == nil && !slices.ContainsFunc(networks, func(n netip.Prefix) bool {
			return n.Contains(r.From) || n.Contains(r.To) || r.Contains(n.Addr())
		}) {
			list = append(list, r.String())
		}
	}
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0] + " is on no network of the nodes, and no BGPAdvertisement selects the pool: clients need a route to it"
	}
	return list[0] + " and others are on no network of the nodes, and no BGPAdvertisement selects the pool: clients need a route to them"
}
