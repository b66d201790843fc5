package announced

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// neighborhood is which nodes have sessions with a router, and what is wrong with them. Nodes are
// sorted.
type neighborhood struct {
	// nodes is how many are to have a session, and without are those of them that have none, by the reason.
	nodes   int
	without map[string][]string
	// carries has, for each family, the nodes whose session carries it, and lacks those whose does not.
	carries, lacks map[corev1.IPFamily][]string
	// refused are the nodes that cannot have a session, and unsent those that cannot send a family,
	// by the reason.
	refused, unsent map[string][]string
}

// neighborhoodOf finds out from which nodes there are sessions with a router.
func (e *evaluator) neighborhoodOf(peer string) neighborhood {
	n := neighborhood{
		carries: map[corev1.IPFamily][]string{}, lacks: map[corev1.IPFamily][]string{},
		refused: map[string][]string{}, unsent: map[string][]string{}, without: map[string][]string{},
	}
	for _, node := range e.speakers() {
		concerned, away := false, unreachable(e.announcers[node])
		for _, session := range e.announcers[node].Status.BGP.Peers {
			if session.Name == peer {
				concerned = true
				if !away {
					n.look(node, session)
				}
			}
		}
		switch {
		case concerned && away:
			n.nodes++
			n.without[nodeUnreachable] = append(n.without[nodeUnreachable], node)
		case concerned && e.closed(node, peer):
			n.nodes++
			why := "the announcer " + whyDown(e.announcers[node])
			n.without[why] = append(n.without[why], node)
		case concerned:
			n.add(node, e.sessionsWith(node, peer))
		}
	}
	return n
}

// nodeUnreachable is why a node has no session that had one when it was last heard of.
const nodeUnreachable = "the node is unreachable"

// speakers are the nodes that have sessions, or should, sorted: all that have an announcer, but for
// those where it was stopped for longer than a restart takes. One that is down is expected back. A node that is unreachable is one
// until it is deleted: its sessions are missing.
func (e *evaluator) speakers() (nodes []string) {
	for name, announcer := range e.announcers {
		if e.nodes[name] != nil && (e.isAlive(name) || readyReason(announcer) != v1alpha1.ReasonStopped) {
			nodes = append(nodes, name)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// established is how many nodes have a session.
func (n *neighborhood) established() int {
	established := n.nodes
	for _, nodes := range n.without {
		established -= len(nodes)
	}
	return established
}

// look takes in what is wrong with a session.
func (n *neighborhood) look(node string, session v1alpha1.BGPSession) {
	if session.State == v1alpha1.BGPRefused {
		n.refused[session.LastError] = append(n.refused[session.LastError], node)
	}
	for _, family := range session.Families {
		if family.LastError != "" {
			n.unsent[family.LastError] = append(n.unsent[family.LastError], node)
		}
	}
}

// add takes in a node that is to have a session.
func (n *neighborhood) add(node string, sessions peerSessions) {
	n.nodes++
	if !sessions.ipv4.established {
		why := sessions.ipv4.whyNone()
		n.without[why] = append(n.without[why], node)
		return
	}
	for family, s := range map[corev1.IPFamily]sending{corev1.IPv4Protocol: sessions.ipv4, corev1.IPv6Protocol: sessions.ipv6} {
		to := n.lacks
		if s.carried {
			to = n.carries
		}
		to[family] = append(to[family], node)
	}
}

// families are how many sessions carry each; none without sessions.
func (n *neighborhood) families() (families []v1alpha1.BGPPeerFamily) {
	if n.established() == 0 {
		return nil
	}
	for _, family := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
		families = append(families, v1alpha1.BGPPeerFamily{Family: family, Established: int32(len(n.carries[family]))})
	}
	return families
}

// missing are the nodes whose sessions do not carry one of these families, by what is to be done
// about it.
func (n *neighborhood) missing(families []corev1.IPFamily) map[string][]string {
	missing := map[string][]string{}
	for _, family := range families {
		if nodes := n.lacks[family]; len(nodes) > 0 {
			missing[bgp.Problem{Kind: bgp.NotCarried, Families: bgpFamily(family)}.String()] = nodes
		}
	}
	return missing
}

// condition says whether all nodes have a session that are to have one.
func (n *neighborhood) condition(generation int64) metav1.Condition {
	c := metav1.Condition{
		Type: v1alpha1.ConditionEstablished, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAllNodes, ObservedGeneration: generation,
		Message: fmt.Sprintf("%d of %d nodes have a session with the router.", n.nodes, n.nodes),
	}
	switch {
	case n.nodes == 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonNoNodes, "No node whose announcer is in sight is to speak with the router."
	case len(n.without) > 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonSomeNodes, n.sentence()
		if n.established() == 0 {
			c.Reason = v1alpha1.ReasonNoSession
		}
	}
	return c
}

// sentence says which nodes have no session with the router, and why.
func (n *neighborhood) sentence() string {
	return fmt.Sprintf("%d of %d nodes have a session with the router. Without one are %s.", n.established(), n.nodes, problems(n.without))
}

func bgpFamily(family corev1.IPFamily) bgp.Families {
	if family == corev1.IPv6Protocol {
		return bgp.IPv6
	}
	return bgp.IPv4
}
