package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/echo"
)

const (
	// routedPool is on no network: only routes lead there.
	routedPool = `
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: routed}
spec:
  addresses: [203.0.113.0/24]
`
	torPeer = `
apiVersion: clarionlb.io/v1alpha1
kind: BGPPeer
metadata: {name: tor}
spec:
  myASN: 65001
  peerASN: 65000
  holdTime: 3s
  connectTime: 2s
`
	routedAdvertisement = `
apiVersion: clarionlb.io/v1alpha1
kind: BGPAdvertisement
metadata: {name: routed}
spec:
  ipAddressPools: [routed]
`
)

// TestRoutersSpreadTrafficOverTheNodesThatAnnounceAnAddress has the router between the nodes and a far client follow routes.
func TestRoutersSpreadTrafficOverTheNodesThatAnnounceAnAddress(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 3})
	router := d.startRouter(" neighbor nodes password secret")
	d.apply(samples + "deployment.yaml")
	d.kubectl("rollout", "status", "deployment/myapp", "--timeout=120s")
	d.applyYAML(routedPool + "---" + routedAdvertisement)
	d.loadBalancer("web", nil)
	address := d.awaitAddress("web")
	web := netip.PrefixFrom(address, address.BitLen())

	t.Run("a peer without its Secret is refused on every node", func(t *testing.T) {
		d := d.in(t)
		d.applyYAML(torPeer + "  defaultGateway: IPv4\n  passwordSecret: {name: tor}\n")
		for _, node := range d.Nodes() {
			d.awaitSession(node, "tor", v1alpha1.BGPRefused, "there is no Secret clarion-system/tor")
		}
	})

	t.Run("with its Secret every node has a session, and the router a way by each", func(t *testing.T) {
		d := d.in(t)
		d.kubectl("create", "secret", "generic", "tor", "--namespace=clarion-system", "--type=kubernetes.io/basic-auth", "--from-literal=password=secret")
		for _, node := range d.Nodes() {
			d.awaitSession(node, "tor", v1alpha1.BGPEstablished, "")
		}
		router.in(d).awaitHops(web, "n1", "n2", "n3")
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
			paths, err := router.paths(ctx, web)
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
			hops, err := router.hops(ctx, web)
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

	t.Run("a drained node takes leave and comes back", func(t *testing.T) {
		d := d.in(t)
		d.kubectl("annotate", "node", "n2", v1alpha1.AnnotationDrain+"=true")
		d.eventually("n2 to ask for others to be preferred", func(ctx context.Context) error {
			paths, err := router.paths(ctx, web)
			if n2 := paths[d.Node("n2").Address("eth0", false).String()]; err != nil || !strings.Contains(n2.Community.String, "graceful-shutdown") {
				return fmt.Errorf("path of n2 %+v: %v", n2, err)
			}
			return nil
		})
		router.in(d).awaitHops(web, "n1", "n3")
		d.eventually("n2 to end its session", func(context.Context) error {
			if s, there := d.sessions("tor")["n2"]; there {
				return fmt.Errorf("session %+v", s)
			}
			return nil
		})
		d.kubectl("annotate", "node", "n2", v1alpha1.AnnotationDrain+"-")
		router.in(d).awaitHops(web, "n1", "n2", "n3")
	})

	t.Run("a node without power is left out", func(t *testing.T) {
		d := d.in(t)
		if err := d.Node("n2").PowerOff(); err != nil {
			t.Fatal(err)
		}
		router.in(d).awaitHops(web, "n1", "n3")
		if err := d.Node("n2").PowerOn(); err != nil {
			t.Fatal(err)
		}
		if err := d.Node("n2").AwaitReady(d.ctx); err != nil {
			t.Fatal(err)
		}
		router.in(d).awaitHops(web, "n1", "n2", "n3")
	})

	t.Run("a deleted Service leaves no route", func(t *testing.T) {
		d := d.in(t)
		d.delete("web")
		router.in(d).awaitHops(web)
	})
}

// TestAnUpgradeOfTheAnnouncersIsNotSeenByTheRouter restarts announcers whose router keeps their routes meanwhile.
func TestAnUpgradeOfTheAnnouncersIsNotSeenByTheRouter(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 2})
	router := d.startRouter(" bgp graceful-restart")
	d.apply(samples + "deployment.yaml")
	d.kubectl("rollout", "status", "deployment/myapp", "--timeout=120s")
	d.applyYAML(routedPool + "---" + routedAdvertisement + "---" + torPeer + "  peerAddress: 192.168.10.1\n  enableGracefulRestart: true\n")
	d.loadBalancer("web", nil)
	address := d.awaitAddress("web")
	web := netip.PrefixFrom(address, address.BitLen())
	router.awaitHops(web, "n1", "n2")
	before := d.sessions("tor")

	monitor, err := d.Router.Start(d.t.TempDir()+"/routes", "ip", "monitor", "route")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { monitor.Kill() })
	d.kubectl("rollout", "restart", "--namespace=clarion-system", "daemonset/announcer")
	d.kubectl("rollout", "status", "--namespace=clarion-system", "daemonset/announcer", "--timeout=120s")
	d.eventually("new sessions", func(context.Context) error {
		for node, session := range d.sessions("tor") {
			if session.State != v1alpha1.BGPEstablished || session.Since.Equal(before[node].Since) {
				return fmt.Errorf("%s has %+v", node, session)
			}
		}
		return nil
	})
	router.awaitHops(web, "n1", "n2")
	if seen := readFile(t, monitor.Log); strings.Contains(seen, address.String()) {
		t.Errorf("the router's kernel saw changes:\n%s", seen)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// in returns the router for use in a subtest.
func (r *router) in(d *deployment) *router { return &router{d, r.dir, r.bgpd} }

// sessions are the sessions of the nodes with a BGPPeer, as they are reported.
func (d *deployment) sessions(peer string) map[string]v1alpha1.BGPSession {
	d.t.Helper()
	list, err := d.Clarion.ClarionV1alpha1().Announcers().List(d.ctx, metav1.ListOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	sessions := map[string]v1alpha1.BGPSession{}
	for _, announcer := range list.Items {
		for _, session := range announcer.Status.BGP.Peers {
			if session.Name == peer {
				sessions[announcer.Name] = session
			}
		}
	}
	return sessions
}

// awaitSession waits until a node reports a session in a state, with a problem that begins so.
func (d *deployment) awaitSession(node *cluster.Node, peer string, state v1alpha1.BGPState, problem string) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("the session of %s with %s to be %s", node.Name, peer, state), func(context.Context) error {
		s := d.sessions(peer)[node.Name]
		if s.State != state || !strings.HasPrefix(s.LastError, problem) || problem == "" && s.LastError != "" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}
