package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/echo"
)

// TestRoutersSpreadTrafficOverTheNodesThatAnnounceAnAddress has the router between the nodes and a far client follow routes.
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
			d.awaitSession(node, "tor", v1alpha1.BGPRefused, "there is no Secret clarion-system/tor")
		}
		d.awaitReady("bgppeer/tor", v1alpha1.ReasonRefused, "n1, n2 and n3: there is no Secret clarion-system/tor")
		d.awaitAnnounced("web", v1alpha1.ReasonNoSession, address.String()+" is not announced: none of 3 nodes that could announce it by BGP has a session")
	})

	t.Run("with its Secret every node has a session, and the router a way by each", func(t *testing.T) {
		d := d.in(t)
		d.kubectl("create", "secret", "generic", "tor", "--namespace=clarion-system", "--type=kubernetes.io/basic-auth", "--from-literal=password=secret")
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
		d.update("web", func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal })
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
		d.eventually("the router to see them", func(ctx context.Context) error {
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
		d.update("web", func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster })
	})

	t.Run("nodes get as much traffic as they have endpoints", func(t *testing.T) {
		d := d.in(t)
		d.applyYAML(routedAdvertisement + "  linkBandwidth: PerEndpoint\n")
		d.update("web", func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal })
		d.kubectl("scale", "deployment/myapp", "--replicas=4")
		d.eventually("the router to send half of it to the node with two", func(ctx context.Context) error {
			weights, err := router.Weights(ctx, web)
			if shares := slices.Sorted(maps.Values(weights)); err != nil || !slices.Equal(shares, []int{25, 25, 50}) {
				return fmt.Errorf("weights %v: %v", weights, err)
			}
			return nil
		})
		d.kubectl("scale", "deployment/myapp", "--replicas=3")
		d.update("web", func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster })
		d.eventually("the router to take all nodes for equal", func(ctx context.Context) error {
			weights, err := router.Weights(ctx, web)
			if shares := slices.Sorted(maps.Values(weights)); err != nil || !slices.Equal(shares, []int{1, 1, 1}) {
				return fmt.Errorf("weights %v: %v", weights, err)
			}
			return nil
		})
	})

	testBothProtocols(d, router, web)

	t.Run("a deleted Service leaves no route", func(t *testing.T) {
		d := d.in(t)
		d.delete("web")
		router.in(d).awaitHops(web)
	})
}

// TestAnUpgradeOfTheAnnouncersIsNotSeenByTheRouter restarts announcers whose router keeps their routes meanwhile.
func TestAnUpgradeOfTheAnnouncersIsNotSeenByTheRouter(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 2, Families: []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}})
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

	t.Run("what was written for MetalLB is accepted", func(t *testing.T) {
		d := d.in(t)
		d.applyYAML(strings.ReplaceAll(metalLB, "apiVersion: metallb.io/v1beta", "apiVersion: clarionlb.io/v1alpha"))
	})

	t.Run("what can be seen to be wrong is refused by the API server", func(t *testing.T) {
		d := d.in(t)
		const peer, advertisement = torPeer + "  peerAddress: 192.168.10.1\n", routedAdvertisement
		for text, want := range map[string]string{
			torPeer:                                                                   "exactly one of peerAddress, interface and defaultGateway is needed",
			peer + "  interface: eth0\n":                                              "exactly one of peerAddress, interface and defaultGateway is needed",
			peer + "  dynamicASN: external\n":                                         "exactly one of peerASN and dynamicASN is needed",
			peer + "  sourceAddress: 2001:db8::1\n":                                   "must be of one IP family",
			peer + "  keepaliveTime: 4s\n":                                            "keepaliveTime must not be longer than holdTime",
			peer + "  keepaliveTime: 1500ms\n":                                        "must be whole seconds",
			peer + "  ebgpMultiHop: true\n  ttlSecurityHops: 1\n":                     "exclude each other",
			peer + "  routerID: 0.0.0.0\n":                                            "must be an IPv4 address other than 0.0.0.0",
			strings.Replace(peer, "192.168.10.1", "router", 1):                        "must be an IP address",
			strings.Replace(peer, "65000", "65001", 1) + "  ebgpMultiHop: true\n":     "ebgpMultiHop is for external peers",
			advertisement + "  aggregationLength: 24\n  serviceSelectors: [{}]\n":     "serviceSelectors can only be used without aggregation",
			advertisement + "  aggregationLengthV6: 129\n":                            "less than or equal to 128",
			strings.Replace(fastProfile, "Multiplier: 3", "Multiplier: 1", 1):         "greater than or equal to 2",
			advertisement + "  aggregationLength: 24\n  linkBandwidth: PerEndpoint\n": "linkBandwidth can only be used without aggregation",
			// What other products have and this one has not is not dropped without a word.
			peer + "  vrf: red\n": `unknown field "spec.vrf"`,
			peer + "  passwordSecret: {name: tor, namespace: metallb-system}\n":                                                             `unknown field "spec.passwordSecret.namespace"`,
			"apiVersion: clarionlb.io/v1alpha1\nkind: Community\nmetadata: {name: a}\nspec: {communities: [{name: b, value: 1}]}\n":         "spec.communities[0].value",
			"apiVersion: clarionlb.io/v1alpha1\nkind: Community\nmetadata: {name: a}\nspec: {communities: [{name: b:c, value: \"1:1\"}]}\n": "must not contain a colon",
		} {
			if err := d.ApplyYAML(d.ctx, text); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s\nwas answered with %v, want %q", text, err, want)
			}
		}
	})
}
