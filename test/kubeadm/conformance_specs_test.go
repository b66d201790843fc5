package kubeadm

import corev1 "k8s.io/api/core/v1"

// spec is one of Kubernetes' own tests of load balancers.
type spec struct {
	// name is its own text, without its labels.
	name string
	// quick has "make test" run it. The others are for "make conformance".
	quick bool
	// slow has it be one of the first that are begun, so that the others run beside it.
	slow bool
	// exceptions are where it is not run.
	exceptions exceptions
}

// specs are those of [Feature:LoadBalancer] in test/e2e/network of Kubernetes, in their order.
var specs = []spec{
	{name: "should be able to change the type and ports of a TCP service"},
	{name: "should be able to change the type and ports of a UDP service"},
	{name: "should only allow access from service loadbalancer source ranges"},
	{name: "should have session affinity work for LoadBalancer service with Local traffic policy", quick: true},
	{name: "should be able to switch session affinity for LoadBalancer service with Local traffic policy", exceptions: exceptions{
		{by: layer2, why: "it expects that one client reaches pods on several nodes; on layer 2 an address is on one"},
		{by: bgp, why: "it expects that one client reaches pods on several nodes, and then, with affinity, on one alone: a router " +
			"spreads connections by their ports for the former, or by their addresses for the latter"},
	}},
	{name: "should have session affinity work for LoadBalancer service with Cluster traffic policy", quick: true},
	{name: "should be able to switch session affinity for LoadBalancer service with Cluster traffic policy"},
	{name: "should handle load balancer cleanup finalizer for service", quick: true},
	{name: "should be able to create LoadBalancer Service without NodePort and change it", quick: true},
	{name: "should be able to preserve UDP traffic when server pod cycles for a LoadBalancer service on different nodes", quick: true},
	{name: "should be able to preserve UDP traffic when server pod cycles for a LoadBalancer service on the same nodes", quick: true},
	{name: "should not have connectivity disruption during rolling update with externalTrafficPolicy=Cluster"},
	{name: "should not have connectivity disruption during rolling update with externalTrafficPolicy=Local"},
	{name: "should work for type=LoadBalancer", quick: true, slow: true},
	{name: "should only target nodes with endpoints"},
	{name: "should target all nodes with endpoints", quick: true},
	{name: "should work from pods", quick: true, exceptions: exceptions{
		{family: corev1.IPv6Protocol, why: "it cuts the address of the pod off at its first colon, upstream too"},
	}},
}

// exception is where a spec is not run.
type exception struct {
	// by and family are for which; empty is all.
	by     protocol
	family corev1.IPFamily
	why    string
}

type exceptions []exception

// why is the reason for which a spec is not run, or empty if it is.
func (es exceptions) why(by protocol, family corev1.IPFamily) string {
	for _, e := range es {
		if (e.by == "" || e.by == by) && (e.family == "" || e.family == family) {
			return e.why
		}
	}
	return ""
}

// protocol is by what addresses are announced.
type protocol string

const (
	layer2 protocol = "layer 2"
	bgp    protocol = "BGP"
)

// pool is the name of the pool whose addresses the protocol announces.
func (p protocol) pool() string {
	if p == bgp {
		return "conformance-bgp"
	}
	return "conformance-layer2"
}

// objects are those by which all new Services get addresses of the pool.
func (p protocol) objects(family corev1.IPFamily) string {
	addresses, advertisement, more := `"192.168.10.170-192.168.10.199", "fd00:10::170-fd00:10::199"`, "L2Advertisement", ""
	if p == bgp {
		addresses, advertisement = `"203.0.113.0/24", "2001:db8::/120"`, "BGPAdvertisement"
		more = `---
apiVersion: clarionlb.io/v1alpha1
kind: BGPPeer
metadata: {name: gateway}
spec: {myASN: 65001, peerASN: 65000, defaultGateway: ` + string(family) + `, holdTime: 3s}
`
	}
	return `apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: ` + p.pool() + `}
spec:
  addresses: [` + addresses + `]
  serviceAllocation: {priority: 1} # before other pools
  autoAssign: true # which endAnnouncing changes
---
apiVersion: clarionlb.io/v1alpha1
kind: ` + advertisement + `
metadata: {name: ` + p.pool() + `}
spec: {ipAddressPools: [` + p.pool() + `]}
` + more
}
