package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/test/cluster"
)

// TestAddressManagementOfADualStackCluster covers what pools hold, for whom, and in which families. The addresses are of
// documentation networks: nobody announces them.
func TestAddressManagementOfADualStackCluster(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 1, Families: []corev1.IPFamily{ipv4, ipv6}})
	t.Run("pools", d.run(testPools))
	t.Run("families", d.run(testFamilies))
	t.Run("reservations", d.run(testReservations))
}

// TestAddressManagementOfASingleStackCluster covers what Services ask for, with whom they share, and what becomes of them
// when pools change.
func TestAddressManagementOfASingleStackCluster(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 1})
	t.Run("requests", d.run(testRequests))
	t.Run("the other family", d.run(testTheOtherFamily))
	t.Run("sharing", d.run(testSharing))
	t.Run("pools that change", d.run(testPoolsThatChange))
}

// TestAddressManagementThroughRestartsAndTamperedStatus covers what stays true whoever writes and whoever leads, and what
// is said about it.
func TestAddressManagementThroughRestartsAndTamperedStatus(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 2})
	d.scaleCCM(2)
	t.Run("feedback", d.run(testFeedback))
	t.Run("truth", d.run(testTamperedStatus))
	t.Run("classes", d.run(testClasses)) // turns a flag on, so it comes last
}
