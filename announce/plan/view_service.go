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
}

// newService returns nil for a Service that is none of ours, has no address or is being deleted:
// the address of one that is being deleted may already be another's. before is the Service as it
// was known; nil if it was not.
func newService(s *corev1.Service, before *service) *service {
	ours := scope.Served(s) || before != nil && before.uid == s.UID && scope.StillServed(s)
	if !ours || s.DeletionTimestamp != nil {
		return nil
	}
	out := &service{
		name:    types.NamespacedName{Namespace: s.Namespace, Name: s.Name},
		uid:     s.UID,
		created: s.CreationTimestamp.Unix(),
		labels:  s.Labels,
		local:   s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
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
	return s.uid == o.uid && s.created == o.created && s.local == o.local && slices.Equal(s.addresses, o.addresses) &&
		labels.Equals(s.labels, o.labels)
}

// endpoints is what a plan needs of an EndpointSlice: where somebody can serve. The node is "" for
// an endpoint whose node is not known.
type endpoints struct {
	ipv6 bool
	// nodes are sorted, and counts are theirs, in the same order.
	nodes  []string
	counts []endpointCount
}

// endpointCount is how many endpoints are ready, and how many still serve while they terminate.
type endpointCount struct{ ready, terminating int32 }

func newEndpoints(s *discoveryv1.EndpointSlice) endpoints {
	out := endpoints{ipv6: s.AddressType == discoveryv1.AddressTypeIPv6}
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
	return out
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
	slices map[string]endpoints
	// ipv4 and ipv6 are the nodes that have any, sorted.
	ipv4, ipv6 []string
}

func newBackends() *backends { return &backends{slices: map[string]endpoints{}} }

func (b *backends) merge() {
	b.ipv4, b.ipv6 = nil, nil
	for _, e := range b.slices {
		if e.ipv6 {
			b.ipv6 = append(b.ipv6, e.nodes...)
		} else {
			b.ipv4 = append(b.ipv4, e.nodes...)
		}
	}
	for _, nodes := range []*[]string{&b.ipv4, &b.ipv6} {
		slices.Sort(*nodes)
		*nodes = slices.Compact(*nodes)
	}
}

// serving are the nodes with an endpoint that can serve traffic to an address, sorted.
func (b *backends) serving(ip netip.Addr) []string {
	if ip.Is4() {
		return b.ipv4
	}
	return b.ipv6
}

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

func (e endpoints) equal(o endpoints) bool {
	return e.onSameNodes(o) && slices.Equal(e.counts, o.counts)
}

func (e endpoints) onSameNodes(o endpoints) bool {
	return e.ipv6 == o.ipv6 && slices.Equal(e.nodes, o.nodes)
}
