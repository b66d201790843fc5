package plan

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/internal/scope"
)

// service is what a plan needs of a Service that has addresses from us.
type service struct {
	name      types.NamespacedName
	uid       types.UID
	created   int64
	labels    labels.Set
	local     bool
	addresses []netip.Addr
	backends  *backends
	// healthCheckPort is where kube-proxy tells of the endpoints on its node; 0 if it does not.
	healthCheckPort int32
}

// newService returns nil for a Service that is none of ours, has no address or is being deleted:
// the address of one that is being deleted may already be another's. before is the Service as it
// was known; nil if it was not.
func newService(s *corev1.Service, before *service, served scope.Scope) *service {
	ours := served.Served(s) || before != nil && before.uid == s.UID && served.StillServed(s)
	if !ours || s.DeletionTimestamp != nil {
		return nil
	}
	out := &service{
		name:    types.NamespacedName{Namespace: s.Namespace, Name: s.Name},
		uid:     s.UID,
		created: s.CreationTimestamp.Unix(),
		labels:  s.Labels,
		local:   s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,

		healthCheckPort: s.Spec.HealthCheckNodePort,
	}
	for _, ingress := range s.Status.LoadBalancer.Ingress {
		if ip, err := netip.ParseAddr(ingress.IP); err == nil && !slices.Contains(out.addresses, ip.Unmap()) {
			out.addresses = append(out.addresses, ip.Unmap())
		}
	}
	if len(out.addresses) == 0 {
		return nil
	}
	return out
}

func (s *service) equal(o *service) bool {
	return s.uid == o.uid && s.created == o.created && s.local == o.local && s.healthCheckPort == o.healthCheckPort &&
		slices.Equal(s.addresses, o.addresses) &&
		labels.Equals(s.labels, o.labels)
}

// Endpoints is what plans need of an EndpointSlice: where somebody can serve. It does not change, so that all Views can share one.
type Endpoints struct {
	// service is the name of the Service, in the namespace of the EndpointSlice.
	service string
	ipv6    bool
	// nodes are sorted, and counts are theirs, in the same order. The node is "" for an endpoint whose node is not known.
	nodes  []string
	counts []endpointCount
}

// endpointCount is how many endpoints are ready, and how many still serve while they terminate.
type endpointCount struct{ ready, terminating int32 }

// NewEndpoints reads an EndpointSlice. Of its memory it keeps the names of the Service and of the nodes.
func NewEndpoints(s *discoveryv1.EndpointSlice) *Endpoints {
	out := &Endpoints{service: s.Labels[discoveryv1.LabelServiceName], ipv6: s.AddressType == discoveryv1.AddressTypeIPv6}
	for _, e := range s.Endpoints {
		if !CanServe(e.Conditions) {
			continue
		}
		node := ""
		if e.NodeName != nil {
			node = *e.NodeName
		}
		i, found := slices.BinarySearch(out.nodes, node)
		if !found {
			out.nodes = slices.Insert(out.nodes, i, node)
			out.counts = slices.Insert(out.counts, i, endpointCount{})
		}
		if isReady(e.Conditions) {
			out.counts[i].ready++
		} else {
			out.counts[i].terminating++
		}
	}
	out.nodes, out.counts = slices.Clone(out.nodes), slices.Clone(out.counts) // without room to grow
	return out
}

// Service is whose endpoints they are, by its name.
func (e *Endpoints) Service() string { return e.service }

// Equal says whether plans need not know of a change.
func (e *Endpoints) Equal(o *Endpoints) bool {
	return e.service == o.service && e.onSameNodes(o) && slices.Equal(e.counts, o.counts)
}

// CanServe follows kube-proxy: ready endpoints serve, and where there are none those that are
// terminating but still serve.
func CanServe(c discoveryv1.EndpointConditions) bool {
	isTrue := func(b *bool) bool { return b != nil && *b }
	return isReady(c) || isTrue(c.Serving) && isTrue(c.Terminating)
}

func isReady(c discoveryv1.EndpointConditions) bool { return c.Ready == nil || *c.Ready }

// backends are all endpoints of a Service.
type backends struct {
	slices     map[string]*Endpoints
	ipv4, ipv6 backendNodes
	// unconfirmed says that those on the View's own node do not count yet.
	unconfirmed bool
}

// backendNodes are the nodes that have endpoints of one family, sorted.
type backendNodes struct {
	// ready have an endpoint that is ready, serving one that is or that still serves while it
	// terminates.
	ready, serving []string
}

// preferred are the nodes to which traffic goes that must stay where it arrives: those with ready
// endpoints or, without any, those with endpoints that still serve (KEP-1669).
func (n backendNodes) preferred() []string {
	if len(n.ready) > 0 {
		return n.ready
	}
	return n.serving
}

func newBackends() *backends { return &backends{slices: map[string]*Endpoints{}} }

func (b *backends) merge() {
	b.ipv4, b.ipv6 = backendNodes{}, backendNodes{}
	for _, e := range b.slices {
		nodes := b.of(e.ipv6)
		nodes.serving = append(nodes.serving, e.nodes...)
		for i, name := range e.nodes {
			if e.counts[i].ready > 0 {
				nodes.ready = append(nodes.ready, name)
			}
		}
	}
	b.ipv4.tidy()
	b.ipv6.tidy()
}

// tidy has the lists sorted and without room to grow, and only one where both are equal, as they mostly are.
func (n *backendNodes) tidy() {
	for _, nodes := range []*[]string{&n.ready, &n.serving} {
		slices.Sort(*nodes)
		*nodes = slices.Clone(slices.Compact(*nodes))
	}
	if slices.Equal(n.ready, n.serving) {
		n.serving = n.ready
	}
}

func (b *backends) of(ipv6 bool) *backendNodes {
	if ipv6 {
		return &b.ipv6
	}
	return &b.ipv4
}

// nodes are those with endpoints for traffic to an address.
func (b *backends) nodes(ip netip.Addr) backendNodes { return *b.of(ip.Is6()) }

// on is how many endpoints on a node get the traffic to an address that reaches the node and must
// stay there: as with kube-proxy the ready ones or, without any, those that are terminating but
// still serve.
func (b *backends) on(node string, ip netip.Addr) int {
	var sum endpointCount
	for _, e := range b.slices {
		if i, found := slices.BinarySearch(e.nodes, node); found && e.ipv6 == ip.Is6() {
			sum.ready += e.counts[i].ready
			sum.terminating += e.counts[i].terminating
		}
	}
	return int(cmp.Or(sum.ready, sum.terminating))
}

// onSameNodes says whether the same nodes have endpoints, and the same of them ready ones.
func (e *Endpoints) onSameNodes(o *Endpoints) bool {
	return e.ipv6 == o.ipv6 && slices.Equal(e.nodes, o.nodes) &&
		slices.EqualFunc(e.counts, o.counts, func(a, b endpointCount) bool { return (a.ready > 0) == (b.ready > 0) })
}
