package plan

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/election"
	"github.com/clarionlb/clarion/api/v1alpha1"
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

// newService returns nil for a Service that is none of ours, has no address or is being deleted: the address of one that is
// being deleted may already be another's.
func newService(s *corev1.Service) *service {
	if !scope.Served(s) || s.DeletionTimestamp != nil {
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

// endpoints is what a plan needs of an EndpointSlice: where somebody can serve. The node is "" for an endpoint whose node is
// not known.
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

// CanServe follows kube-proxy: ready endpoints serve, and where there are none those that are terminating but still serve.
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

// on is how many endpoints on a node get the traffic to an address that reaches the node and must stay there: as with
// kube-proxy the ready ones or, without any, those that are terminating but still serve.
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

// node is what a plan needs of a Node.
type node struct {
	labels             labels.Set
	excluded           bool
	networkUnavailable bool
	notReady           bool
	draining           bool
	// drainedBy is what has the node excluded or draining.
	drainedBy []DrainCause
	// address is the one by which others know the node, addresses are all its own.
	address   netip.Addr
	addresses []netip.Addr
}

func newNode(n *corev1.Node, drainTaints []string) *node {
	out := &node{labels: n.Labels}
	if isSet(n.Labels, corev1.LabelNodeExcludeBalancers) {
		out.excluded = true
		out.drainedBy = append(out.drainedBy, DrainCause{DrainLabel, corev1.LabelNodeExcludeBalancers})
	}
	if isSet(n.Annotations, v1alpha1.AnnotationDrain) {
		out.draining = true
		out.drainedBy = append(out.drainedBy, DrainCause{DrainAnnotation, v1alpha1.AnnotationDrain})
	}
	for _, key := range drainTaints {
		if slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == key }) {
			out.draining = true
			out.drainedBy = append(out.drainedBy, DrainCause{DrainTaint, key})
		}
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeNetworkUnavailable && c.Status == corev1.ConditionTrue {
			out.networkUnavailable = true
		}
		if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
			out.notReady = true
		}
	}
	for _, a := range n.Status.Addresses {
		if a.Type != corev1.NodeInternalIP {
			continue
		}
		ip, err := netip.ParseAddr(a.Address)
		if err != nil {
			continue
		}
		ip = ip.Unmap()
		out.addresses = append(out.addresses, ip)
		if !out.address.IsValid() || out.address.Is6() && ip.Is4() {
			out.address = ip
		}
	}
	return out
}

// isSet reads a label or annotation as the service controller does: any value but one that means false counts.
func isSet(set map[string]string, key string) bool {
	value, present := set[key]
	yes, err := strconv.ParseBool(value)
	return present && (err != nil || yes)
}

func (n *node) equal(o *node) bool {
	return n.excluded == o.excluded && n.networkUnavailable == o.networkUnavailable && n.notReady == o.notReady &&
		n.draining == o.draining && slices.Equal(n.drainedBy, o.drainedBy) && slices.Equal(n.addresses, o.addresses) && labels.Equals(n.labels, o.labels)
}

// announcer is what an announcer has recorded of itself.
type announcer struct {
	interfaces []Interface
	claims     map[netip.Addr]recordedClaim
	// rebalance is the value of the annotation that asks for it, rebalanced the one that was acted upon.
	rebalance, rebalanced string
	conflicts             []Conflict
}

// recordedClaim is a claim, the interfaces on which the address is announced, and the nodes that had it before.
type recordedClaim struct {
	claim
	interfaces     []string
	previousOwners []string
}

// macFor is the hardware address with which an announcer answers for one of its addresses: that of the interface which shares
// a network with one of this node's, or else the first. It is empty if it has recorded none.
func (a *announcer) macFor(ip netip.Addr, names []string, own []Interface) string {
	first := ""
	for _, i := range a.interfaces {
		if i.MAC == "" || !slices.Contains(names, i.Name) {
			continue
		}
		if slices.ContainsFunc(own, func(o Interface) bool { return o.shares(i, ip.Is4()) }) {
			return i.MAC
		}
		first = cmp.Or(first, i.MAC)
	}
	return first
}

func newAnnouncer(a *v1alpha1.Announcer, order uint64) *announcer {
	out := &announcer{
		claims:     make(map[netip.Addr]recordedClaim, len(a.Status.Layer2.Addresses)),
		rebalance:  a.Annotations[v1alpha1.AnnotationRebalance],
		rebalanced: a.Status.Layer2.Rebalanced,
	}
	for _, i := range a.Status.Layer2.Interfaces {
		out.interfaces = append(out.interfaces, readInterface(i))
	}
	for _, c := range a.Status.Layer2.Conflicts {
		if c, ok := readConflict(c); ok {
			out.conflicts = append(out.conflicts, c)
		}
	}
	for _, c := range a.Status.Layer2.Addresses {
		if ip, err := netip.ParseAddr(c.IP); err == nil {
			out.claims[ip] = recordedClaim{claim{election.Claim{
				Node:       a.Name,
				Epoch:      c.Epoch,
				Order:      order,
				Tentative:  len(c.Interfaces) == 0,
				HandoverTo: c.HandoverTo,
			}, c.Since.Time}, c.Interfaces, c.PreviousOwners}
		}
	}
	return out
}
