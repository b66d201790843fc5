package plan

import (
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

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

func newNode(n *corev1.Node, drainTaints []string, ignoreExclusion bool) *node {
	out := &node{labels: n.Labels, drainedBy: drainedBy(n, drainTaints, ignoreExclusion)}
	for _, cause := range out.drainedBy {
		if cause.Kind == DrainLabel {
			out.excluded = true
		} else {
			out.draining = true
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

// isSet reads a label or annotation as the service controller does: any value but one that means
// false counts.
func isSet(set map[string]string, key string) bool {
	value, present := set[key]
	yes, err := strconv.ParseBool(value)
	return present && (err != nil || yes)
}

// drainedBy is what has a Node drained. A taint with one of the given keys has.
func drainedBy(n *corev1.Node, drainTaints []string, ignoreExclusion bool) (causes []DrainCause) {
	if !ignoreExclusion && isSet(n.Labels, corev1.LabelNodeExcludeBalancers) {
		causes = append(causes, DrainCause{DrainLabel, corev1.LabelNodeExcludeBalancers})
	}
	if isSet(n.Annotations, v1alpha1.AnnotationDrain) {
		causes = append(causes, DrainCause{DrainAnnotation, v1alpha1.AnnotationDrain})
	}
	for _, key := range drainTaints {
		if slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == key }) {
			causes = append(causes, DrainCause{DrainTaint, key})
		}
	}
	return causes
}

// DrainedBy is what has a Node drained; nothing if it is not. A taint with one of the given keys has.
func DrainedBy(n *corev1.Node, drainTaints ...string) []DrainCause {
	return drainedBy(n, drainTaints, false)
}

func (n *node) equal(o *node) bool {
	return n.excluded == o.excluded && n.networkUnavailable == o.networkUnavailable && n.notReady == o.notReady &&
		n.draining == o.draining && slices.Equal(n.drainedBy, o.drainedBy) && slices.Equal(n.addresses, o.addresses) && labels.Equals(n.labels, o.labels)
}
