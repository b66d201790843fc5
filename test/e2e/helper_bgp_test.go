package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
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
	// fastProfile is not so fast that a busy machine makes a path look dead.
	fastProfile = `
apiVersion: clarionlb.io/v1alpha1
kind: BFDProfile
metadata: {name: fast}
spec: {transmitInterval: 500, receiveInterval: 500, detectMultiplier: 3}
`
)

// lanAdvertised is a pool of the nodes' own network whose addresses are announced there and to routers.
const lanAdvertised = `
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: lan}
spec:
  addresses: [192.168.10.200-192.168.10.250]
---
apiVersion: clarionlb.io/v1alpha1
kind: L2Advertisement
metadata: {name: lan}
spec:
  ipAddressPools: [lan]
---
apiVersion: clarionlb.io/v1alpha1
kind: BGPAdvertisement
metadata: {name: lan}
spec:
  ipAddressPools: [lan]
`

// bgpPeer is a BGPPeer with these lines in its spec.
func bgpPeer(name string, lines ...string) string {
	return "---\napiVersion: clarionlb.io/v1alpha1\nkind: BGPPeer\nmetadata: {name: " + name + "}\nspec:\n  connectTime: 2s\n  " + strings.Join(lines, "\n  ") + "\n"
}

// bgpAdvertisement is a BGPAdvertisement with these lines in its spec.
func bgpAdvertisement(name string, lines ...string) string {
	return "---\napiVersion: clarionlb.io/v1alpha1\nkind: BGPAdvertisement\nmetadata: {name: " + name + "}\nspec:\n  " + strings.Join(lines, "\n  ") + "\n"
}

// only selects a node.
func only(node string) string {
	return "nodeSelectors: [{matchLabels: {kubernetes.io/hostname: " + node + "}}]"
}

// setPassword writes a Secret.
func (d *deployment) setPassword(secret, password string) {
	d.t.Helper()
	d.applyYAML("apiVersion: v1\nkind: Secret\nmetadata: {name: " + secret + ", namespace: clarion-system}\n" +
		"type: kubernetes.io/basic-auth\nstringData: {password: " + password + "}\n")
}

// hostRoute is the prefix of an address alone.
func hostRoute(address netip.Addr) netip.Prefix { return netip.PrefixFrom(address, address.BitLen()) }

// awaitRoutes waits until a Service has that many addresses, and returns the prefix of each alone.
func (d *deployment) awaitRoutes(service string, count int) []netip.Prefix {
	d.t.Helper()
	var routes []netip.Prefix
	d.eventually(fmt.Sprintf("Service %s to have %d addresses", service, count), func(context.Context) error {
		routes = nil
		for _, address := range addresses(d.service(service)) {
			routes = append(routes, hostRoute(address))
		}
		if len(routes) != count {
			return fmt.Errorf("%v", routes)
		}
		return nil
	})
	return routes
}

// awaitBGPReady waits until an object says so in its Ready condition; in True only the reason Valid comes.
func (d *deployment) awaitBGPReady(object, reason, text string) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("%s to say %s", object, reason), func(ctx context.Context) error {
		said, err := d.Kubectl(ctx, "get", object, `--output=jsonpath={.status.conditions[?(@.type=="Ready")]}`)
		if err != nil {
			return err
		}
		var condition metav1.Condition
		if err := json.Unmarshal([]byte(said), &condition); err != nil {
			return fmt.Errorf("it says %q: %w", said, err)
		}
		if condition.Reason != reason || !strings.Contains(condition.Message, text) || (condition.Status == metav1.ConditionTrue) != (reason == v1alpha1.ReasonValid) {
			return fmt.Errorf("it says %s", said)
		}
		return nil
	})
}

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

// awaitUp waits until both nodes have a session with a BGPPeer and BFD up.
func (d *deployment) awaitUp(peer string) {
	d.t.Helper()
	d.eventually("BFD to be up with "+peer, func(context.Context) error {
		for _, node := range d.Nodes() {
			session := d.sessions(peer)[node.Name]
			if b := session.BFD; session.State != v1alpha1.BGPEstablished || b == nil || b.State != v1alpha1.BFDUp || b.LastError != "" {
				return fmt.Errorf("%s: %+v, %+v", node.Name, session, b)
			}
		}
		return nil
	})
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
