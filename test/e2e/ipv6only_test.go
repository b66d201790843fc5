package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

// TestNodesWithoutIPv4AnnounceByBothProtocols runs an IPv6 cluster whose nodes have no IPv4 address
// on their LAN.
func TestNodesWithoutIPv4AnnounceByBothProtocols(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 2, Families: []corev1.IPFamily{ipv6}})
	for _, node := range d.Nodes() {
		if _, err := node.Run(d.ctx, "ip", "-4", "address", "flush", "dev", "eth0"); err != nil {
			t.Fatal(err)
		}
	}
	router := d.startRouter(" bgp listen range fd00:10::/64 peer-group nodes")
	d.StartApp(d.t)
	d.applyYAML(strings.ReplaceAll(lanAdvertised, "192.168.10.200-192.168.10.250", "fd00:10::200-fd00:10::250") + bgpPeer("tor", "defaultGateway: IPv6", "myASN: 65001", "peerASN: 65000"))
	d.loadBalancer("web", nil)
	web := d.awaitRoutes("web", 1)[0]
	for _, node := range d.Nodes() {
		d.awaitSession(node, "tor", v1alpha1.BGPEstablished, "")
	}
	router.awaitHops(web, "n1", "n2")
	d.awaitSoleOwner(web.Addr())
	d.awaitAnswer(d.Client, web.Addr())
	d.awaitAnswer(d.FarClient, web.Addr())
	// BGP identifiers are 32 bits, also without IPv4 addresses to take them from, and must differ
	// (RFC 6286).
	neighbors, err := router.Neighbors(d.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := neighbors["fd00:10::11"].RouterID, neighbors["fd00:10::12"].RouterID; len(neighbors) != 2 || a == b || a == "0.0.0.0" || b == "0.0.0.0" {
		t.Errorf("the router sees %+v", neighbors)
	}
}
