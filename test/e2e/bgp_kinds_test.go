package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/routertest"
	"github.com/clarionlb/clarion/test/cluster"
)

// TestAServiceIsServedThroughEveryKindOfRouter has nodes speak with a router of each kind at once.
func TestAServiceIsServedThroughEveryKindOfRouter(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 2, Families: []corev1.IPFamily{ipv4, ipv6}})
	var routers []*lanRouter
	for i, kind := range routertest.Kinds {
		routers = append(routers, d.startLANRouter(kind, 201+i))
	}
	d.StartApp(d.t)
	d.applyYAML(strings.ReplaceAll(routedPool, "/24]", `/26, "2001:db8::/112"]`) + "---" + routedAdvertisement)
	d.loadBalancer("web", families(require, ipv4, ipv6))
	prefixes := d.awaitRoutes("web", 2)
	for _, r := range routers {
		d.applyYAML(bgpPeer(strings.ToLower(r.kind.Name), "peerAddress: "+r.address.String(), "myASN: 65001", "peerASN: 65000"))
	}
	for _, r := range routers {
		t.Run(r.kind.Name, func(t *testing.T) {
			r.d = d.in(t)
			for _, node := range d.Nodes() {
				r.d.awaitSession(node, strings.ToLower(r.kind.Name), v1alpha1.BGPEstablished, "")
			}
			for _, prefix := range prefixes {
				r.awaitNodes(prefix, "n1", "n2")
				r.install(prefix)
				r.awaitAnswerThrough(prefix.Addr())
			}
		})
	}
	t.Run("what is withdrawn leaves every router", func(t *testing.T) {
		d := d.in(t)
		d.kubectl("delete", "bgpadvertisement", "routed")
		for _, r := range routers {
			r.d = d
			for _, prefix := range prefixes {
				r.awaitNodes(prefix)
			}
		}
	})
}
