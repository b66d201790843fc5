package cluster

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/test/cluster/network"
)

// The LANs.
const (
	LAN           = "lan"
	FarLAN        = "far"
	ManagementLAN = "mgmt"
	// Island has nothing plugged in, until a test cuts hosts off from the others with
	// [network.Host.Replug].
	Island = "island"
)

const (
	// maxNodes keeps the nodes' addresses (.11 and up) below the client's (.100).
	maxNodes = 80
	// controlNumber is what the control plane's addresses end with.
	controlNumber = 1
	// clientNumber is what the client's addresses end with.
	clientNumber = 100
	apiPort      = 6443
	// controlPlaneIndex is the node that has the control plane of a kubeadm cluster.
	controlPlaneIndex = 1
)

// topology derives every host and address of a cluster from its configuration, for whoever starts
// it and for whoever opens it later.
type topology struct {
	families []corev1.IPFamily
	nodes    int
	// kubeadm means that the control plane is on a node, and all on one LAN.
	kubeadm bool
}

// Addresses on the LANs end alike in both families: number 11 is 192.168.10.11 and fd00:10::11. Those
// of the far LAN do not begin as the nodes' do: Kubernetes' own tests take 192.168.0.0/16 for the nodes' network.
func lanAddresses(lan string, number int) []netip.Prefix {
	prefixes := map[string][2]string{
		LAN:           {"192.168.10.%d/24", "fd00:10::%d/64"},
		FarLAN:        {"172.31.0.%d/24", "fd00:20::%d/64"},
		ManagementLAN: {"172.30.0.%d/24", "fd00:30::%d/64"},
	}[lan]
	return []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf(prefixes[0], number)),
		netip.MustParsePrefix(fmt.Sprintf(prefixes[1], number)),
	}
}

// address returns the address of a number on a LAN in a family.
func address(lan string, number int, family corev1.IPFamily) netip.Addr {
	if family == corev1.IPv6Protocol {
		return lanAddresses(lan, number)[1].Addr()
	}
	return lanAddresses(lan, number)[0].Addr()
}

var bothFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}

func everything(family corev1.IPFamily) netip.Prefix {
	if family == corev1.IPv6Protocol {
		return netip.MustParsePrefix("::/0")
	}
	return netip.MustParsePrefix("0.0.0.0/0")
}

func nodeName(index int) string { return fmt.Sprintf("n%d", index) }

// nodeNumber is what a node's addresses end with.
func nodeNumber(index int) int { return 10 + index }

func (t topology) apiURL() string {
	return "https://" + t.apiAddress().String()
}

// apiAddress is where the API server listens.
func (t topology) apiAddress() netip.AddrPort {
	if t.kubeadm {
		return netip.AddrPortFrom(address(LAN, nodeNumber(controlPlaneIndex), t.families[0]), apiPort)
	}
	return netip.AddrPortFrom(address(ManagementLAN, controlNumber, t.families[0]), apiPort)
}

// serviceCIDRs, podCIDRs and clusterCIDRs have one entry per family of the cluster, in its order.
func (t topology) serviceCIDRs() []netip.Prefix {
	return t.prefixes("10.96.0.0/16", "fd00:96::/112")
}

func (t topology) clusterCIDRs() []netip.Prefix {
	return t.prefixes("10.244.0.0/16", "fd00:244::/32")
}

func (t topology) podCIDRs(node int) []netip.Prefix {
	return t.prefixes(fmt.Sprintf("10.244.%d.0/24", node), fmt.Sprintf("fd00:244:%d::/64", node))
}

func (t topology) nodeIPs(node int) []netip.Addr {
	var ips []netip.Addr
	for _, family := range t.families {
		ips = append(ips, address(LAN, nodeNumber(node), family))
	}
	return ips
}

// apiServiceIPs are the addresses of the Service "kubernetes", the first of each range.
func (t topology) apiServiceIPs() []netip.Addr {
	var ips []netip.Addr
	for _, cidr := range t.serviceCIDRs() {
		ips = append(ips, cidr.Addr().Next())
	}
	return ips
}

func (t topology) prefixes(v4, v6 string) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, family := range t.families {
		if family == corev1.IPv6Protocol {
			prefixes = append(prefixes, netip.MustParsePrefix(v6))
		} else {
			prefixes = append(prefixes, netip.MustParsePrefix(v4))
		}
	}
	return prefixes
}

func (t topology) controlSpec() network.Spec {
	spec := network.Spec{Name: "control", Ports: []network.Port{
		{Device: "eth0", LAN: ManagementLAN, Addresses: lanAddresses(ManagementLAN, controlNumber)},
	}}
	for node := 1; node <= t.nodes; node++ {
		spec.Routes = append(spec.Routes, t.podRoutes(node, ManagementLAN)...)
	}
	return spec
}

func (t topology) nodeSpec(index int) network.Spec {
	if t.kubeadm {
		return network.Spec{Name: nodeName(index), Forward: true, Routes: defaultRoutes(LAN), Ports: []network.Port{
			{Device: "eth0", LAN: LAN, Addresses: lanAddresses(LAN, nodeNumber(index))},
		}}
	}
	spec := network.Spec{Name: nodeName(index), Forward: true, Ports: []network.Port{
		{Device: "eth0", LAN: LAN, Addresses: lanAddresses(LAN, nodeNumber(index))},
		{Device: "eth1", LAN: ManagementLAN, Addresses: lanAddresses(ManagementLAN, nodeNumber(index))},
	}}
	spec.Routes = defaultRoutes(LAN)
	for other := 1; other <= t.nodes; other++ {
		if other != index {
			spec.Routes = append(spec.Routes, t.podRoutes(other, LAN)...)
		}
	}
	// Without this, a connection to the API server by its Service address would begin with the
	// default route and need the LAN, although kube-proxy sends it to the management LAN.
	for i, ip := range t.apiServiceIPs() {
		spec.Routes = append(spec.Routes, network.Route{
			To: netip.PrefixFrom(ip, ip.BitLen()), Via: address(ManagementLAN, controlNumber, t.families[i]),
		})
	}
	return spec
}

// podRoutes lead to a node's pods by way of the node's address on a LAN.
func (t topology) podRoutes(node int, lan string) []network.Route {
	var routes []network.Route
	for i, cidr := range t.podCIDRs(node) {
		routes = append(routes, network.Route{To: cidr, Via: address(lan, nodeNumber(node), t.families[i])})
	}
	return routes
}

func (t topology) routerSpec() network.Spec {
	return network.Spec{Name: "router", Forward: true, Ports: []network.Port{
		{Device: "eth0", LAN: LAN, Addresses: lanAddresses(LAN, 1)},
		{Device: "eth1", LAN: FarLAN, Addresses: lanAddresses(FarLAN, 1)},
	}}
}

func (t topology) clientSpec() network.Spec { return t.guestSpec("client", clientNumber) }

// guestSpec is a host on the nodes' LAN that is not part of the Kubernetes cluster.
func (t topology) guestSpec(name string, number int) network.Spec {
	return network.Spec{Name: name, Routes: defaultRoutes(LAN), Ports: []network.Port{
		{Device: "eth0", LAN: LAN, Addresses: lanAddresses(LAN, number)},
	}}
}

func (t topology) farClientSpec() network.Spec {
	return network.Spec{Name: "farclient", Routes: defaultRoutes(FarLAN), Ports: []network.Port{
		{Device: "eth0", LAN: FarLAN, Addresses: lanAddresses(FarLAN, 100)},
	}}
}

// defaultRoutes lead to the router.
func defaultRoutes(lan string) []network.Route {
	var routes []network.Route
	for _, family := range bothFamilies {
		routes = append(routes, network.Route{To: everything(family), Via: address(lan, 1, family)})
	}
	return routes
}

// join writes addresses or prefixes the way that Kubernetes' flags take them.
func join[T fmt.Stringer](values []T) string {
	var text []string
	for _, v := range values {
		text = append(text, v.String())
	}
	return strings.Join(text, ",")
}
