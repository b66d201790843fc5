package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/echo"
)

// TestRoutersSpreadTrafficOverTheNodesThatAnnounceAnAddress has a far client reach a Service
// through the router, which learns of the address by BGP.
func TestRoutersSpreadTrafficOverTheNodesThatAnnounceAnAddress(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 3})
	router := d.startRouter(" neighbor nodes password secret")
	d.StartApp(d.t)
	d.applyYAML(routedPool + "---" + routedAdvertisement)
	d.loadBalancer("web", nil)
	address := d.awaitAddress("web")
	web := hostRoute(address)

	t.Run("a peer without its Secret is refused on every node", func(t *testing.T) {
		d := d.in(t)
		d.applyYAML(torPeer + "  defaultGateway: IPv4\n  passwordSecret: {name: tor}\n")
		for _, node := range d.Nodes() {
			d.awaitSession(node, "tor", v1alpha1.BGPRefused, "there is no Secret clarion-bgp/tor")
		}
		d.awaitReady("bgppeer/tor", v1alpha1.ReasonRefused, "n1, n2 and n3: there is no Secret clarion-bgp/tor")
		d.awaitAnnounced("web", v1alpha1.ReasonNoSession, address.String()+" is not announced: none of 3 nodes that could announce it by BGP has a session \\(tor: there is no Secret clarion-bgp/tor of type kubernetes.io/basic-auth\\)")
	})

	t.Run("with its Secret every node has a session, and the router a next hop at each", func(t *testing.T) {
		d := d.in(t)
		d.kubectl("create", "secret", "generic", "tor", "--namespace=clarion-bgp", "--type=kubernetes.io/basic-auth", "--from-literal=password=secret")
		for _, node := range d.Nodes() {
			d.awaitSession(node, "tor", v1alpha1.BGPEstablished, "")
		}
		router.in(d).awaitHops(web, "n1", "n2", "n3")
		d.awaitReady("bgppeer/tor", v1alpha1.ReasonValid, "")
		d.awaitReady("bgpadvertisement/routed", v1alpha1.ReasonValid, "")
		d.awaitAnnounced("web", v1alpha1.ReasonAnnounced, address.String()+" is announced by BGP from 3 nodes to 1 peer")
		d.awaitAnnouncerEvent("n1", "BGPSessionEstablished", "")
		d.eventually("the prefix to be counted", func(context.Context) error {
			if s := d.sessions("tor")["n1"]; s.Prefixes != 1 {
				return fmt.Errorf("session %+v", s)
			}
			return nil
		})
		const session = `{address="192.168.10.1",peer="tor"}`
		d.awaitAnnouncerMetrics(d.Node("n1"), "clarion_announcer_bgp_session_up"+session+" 1",
			"clarion_announcer_bgp_prefixes"+session+" 1", "clarion_announcer_bgp_sessions_lost_total"+session+" 0")
	})

	t.Run("the far client's connections are spread over the nodes", func(t *testing.T) {
		d := d.in(t)
		d.update("web", trafficPolicy(onlyLocal))
		router.in(d).awaitHops(web, "n1", "n2", "n3")
		seen := map[string]int{}
		d.eventually("answers from all nodes", func(ctx context.Context) error {
			line, err := curl(ctx, d.FarClient, address)
			if err != nil {
				return err
			}
			answer, err := echo.Parse(line)
			if err != nil {
				return err
			}
			if seen[answer.Node]++; len(seen) < 3 {
				return fmt.Errorf("answers by node: %v", seen)
			}
			return nil
		})
	})

	t.Run("attributes change without a session being lost", func(t *testing.T) {
		d := d.in(t)
		before := d.sessions("tor")
		d.applyYAML(routedAdvertisement + "  med: 20\n  prependAS: 1\n  communities: [\"65001:7\"]\n")
		d.eventually("the router to see the new attributes", func(ctx context.Context) error {
			paths, err := router.Paths(ctx, web)
			if err != nil || len(paths) != 3 {
				return fmt.Errorf("paths %v: %v", paths, err)
			}
			for _, p := range paths {
				if p.MED != 20 || p.ASPath.String != "65001 65001" || p.Community.String != "65001:7" {
					return fmt.Errorf("path %+v", p)
				}
			}
			return nil
		})
		for node, session := range d.sessions("tor") {
			if !session.Since.Equal(before[node].Since) {
				t.Errorf("the session of %s is of %s, was of %s", node, session.Since, before[node].Since)
			}
		}
	})

	t.Run("nodes without an endpoint are left out if the policy is Local", func(t *testing.T) {
		d := d.in(t)
		d.kubectl("scale", "deployment/myapp", "--replicas=1")
		d.eventually("only the endpoint's node to be left", func(ctx context.Context) error {
			hops, err := router.Hops(ctx, web)
			if err != nil || len(hops) != 1 {
				return fmt.Errorf("by way of %v: %v", hops, err)
			}
			line, err := curl(ctx, d.FarClient, address)
			if err != nil {
				return err
			}
			answer, err := echo.Parse(line)
			if err == nil && d.Node(answer.Node).Address("eth0", false).String() != hops[0] {
				err = fmt.Errorf("%s answered, the way is by %s", answer.Node, hops[0])
			}
			return err
		})
		d.kubectl("scale", "deployment/myapp", "--replicas=3")
		router.in(d).awaitHops(web, "n1", "n2", "n3")
		d.update("web", trafficPolicy(anyNode))
	})

	t.Run("nodes get traffic in proportion to their endpoints", func(t *testing.T) {
		d := d.in(t)
		d.applyYAML(routedAdvertisement + "  linkBandwidth: PerEndpoint\n")
		d.update("web", trafficPolicy(onlyLocal))
		d.kubectl("scale", "deployment/myapp", "--replicas=4")
		router.in(d).awaitWeights(web, 25, 25, 50)
		d.kubectl("scale", "deployment/myapp", "--replicas=3")
		d.update("web", trafficPolicy(anyNode))
		router.in(d).awaitWeights(web, 1, 1, 1)
	})

	testBothProtocols(d, router, web)

	t.Run("a deleted Service leaves no route", func(t *testing.T) {
		d := d.in(t)
		d.delete("web")
		router.in(d).awaitHops(web)
	})
}

// TestAnUpgradeOfTheAnnouncersIsNotSeenByTheRouter restarts announcers with graceful restart on:
// the router keeps their routes meanwhile.
func TestAnUpgradeOfTheAnnouncersIsNotSeenByTheRouter(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 2, Families: []corev1.IPFamily{ipv4, ipv6}})
	router := d.startRouter(" bgp graceful-restart")
	d.StartApp(d.t)
	d.applyYAML(strings.ReplaceAll(routedPool, "/24]", `/24, "2001:db8::/112"]`) + "---" + routedAdvertisement + "---" + torPeer +
		"  peerAddress: 192.168.10.1\n  enableGracefulRestart: true\n")
	d.loadBalancer("web", families(require))
	routes := d.awaitRoutes("web", 2) // one session carries those of both families
	awaitAll := func() {
		t.Helper()
		for _, route := range routes {
			router.awaitHops(route, "n1", "n2")
			d.awaitAnswer(d.FarClient, route.Addr())
		}
	}
	awaitAll()
	before := d.sessions("tor")

	check := router.unchangedRoutes(routes...)
	d.restartAnnouncers()
	d.awaitNewSessions("tor", before, "n1", "n2")
	awaitAll()
	check()

	t.Run("what was written for MetalLB is accepted", d.run(testMetalLBManifests))
	t.Run("what can be seen to be wrong is refused by the API server", d.run(testRefusedManifests))
}
