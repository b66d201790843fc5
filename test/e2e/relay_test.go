package e2e

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

// TestConnectionsGoOnWithKubeProxyInIptablesMode drains nodes of a cluster in which kube-proxy uses
// iptables. All others use nftables.
func TestConnectionsGoOnWithKubeProxyInIptablesMode(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 3, ProxyMode: "iptables", Families: []corev1.IPFamily{ipv4, ipv6}})
	f := d.newFleet(1)
	f.addLocal()
	f.during("one node after the other is drained", testDrainedInTurn)
}

// testDrainedInTurn drains one node after the other, so that addresses move on again and again: to
// the last node that is left, and then back to one of the others. Then it upgrades the announcers
// while they relay connections to nodes that had the addresses before. No connection may break.
func testDrainedInTurn(o *observation) {
	o.overlaps = true
	clients := o.connect(o.addresses)
	nodes := o.Nodes()
	o.t.Cleanup(func() { o.Kubectl(context.Background(), "annotate", "nodes", "--all", v1alpha1.AnnotationDrain+"-") })
	for i, node := range nodes[:len(nodes)-1] {
		o.kubectl("annotate", "node", node.Name, v1alpha1.AnnotationDrain+"=")
		o.awaitMove(o.addresses, nodes[:i+1]...)
	}
	last := nodes[len(nodes)-1]
	o.kubectl("annotate", "node", nodes[1].Name, v1alpha1.AnnotationDrain+"-")
	o.awaitReadyReason(nodes[1], v1alpha1.ReasonRunning)
	o.kubectl("annotate", "node", last.Name, v1alpha1.AnnotationDrain+"=")
	o.awaitMove(o.addresses, last, nodes[0])
	o.restartAnnouncers()
	o.awaitAllAlive()
	o.answeredThroughout(o.addresses)
	clients.lostNothing()
	o.kubectl("annotate", "nodes", "--all", v1alpha1.AnnotationDrain+"-")
	for _, node := range nodes {
		o.awaitReadyReason(node, v1alpha1.ReasonRunning)
	}
}
