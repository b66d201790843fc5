package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/test/cluster"
)

// TestAddressManagementOfADualStackCluster covers which addresses pools have, who may get them, and
// IP families. Most addresses are of documentation networks, and no node announces them.
func TestAddressManagementOfADualStackCluster(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 1, Families: []corev1.IPFamily{ipv4, ipv6}})
	t.Run("pools", d.run(testPools))
	t.Run("families", d.run(testFamilies))
	t.Run("the guide to both families", d.run(testDualStackGuide))
	t.Run("reservations", d.run(testReservations))
}

// TestAddressManagementOfASingleStackCluster covers what Services ask for, how they share
// addresses, and what happens to them when pools change.
func TestAddressManagementOfASingleStackCluster(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 1})
	t.Run("requests", d.run(testRequests))
	t.Run("the family that the cluster does not have", d.run(testMissingFamily))
	t.Run("sharing", d.run(testSharing))
	t.Run("guides", d.run(testGuides))
	t.Run("pools that change", d.run(testPoolsThatChange))
	t.Run("there is always a gossip key, and nobody has rights to spare", d.run(testGossipKey)) // here for the cluster's sake
}

// TestAddressManagementThroughRestartsAndTamperedStatus covers that assignments stay, whoever
// writes to the status of Services and whichever cloud-controller-manager leads, and what events,
// conditions and metrics say about them.
func TestAddressManagementThroughRestartsAndTamperedStatus(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 2})
	d.scaleCCM(2)
	t.Run("events, conditions and metrics", d.run(testFeedback))
	t.Run("tampered status and failing leaders", d.run(testTamperedStatus))
	t.Run("load balancer classes", d.run(testClasses)) // the last: it turns a flag on
}
