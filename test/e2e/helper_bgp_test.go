package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

const (
	// routedPool is on no network: nobody reaches its addresses without a route.
	routedPool = `
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: routed}
spec:
  addresses: [203.0.113.0/24]
`
	// torPeer is the router between the nodes and the far client, the top-of-rack switch of the
	// cluster. It lacks the field that says by which address the router is reached.
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

// lanAdvertised is a pool of the nodes' own LAN, whose addresses are announced there by layer 2 and
// to routers by BGP.
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

// bgpPeer is the manifest of a BGPPeer with these lines in its spec.
func bgpPeer(name string, lines ...string) string {
	return "---\napiVersion: clarionlb.io/v1alpha1\nkind: BGPPeer\nmetadata: {name: " + name + "}\nspec:\n  connectTime: 2s\n  " + strings.Join(lines, "\n  ") + "\n"
}

// bgpAdvertisement is the manifest of a BGPAdvertisement with these lines in its spec.
func bgpAdvertisement(name string, lines ...string) string {
	return "---\napiVersion: clarionlb.io/v1alpha1\nkind: BGPAdvertisement\nmetadata: {name: " + name + "}\nspec:\n  " + strings.Join(lines, "\n  ") + "\n"
}

// onlyNode is a line of a spec that selects one node.
func onlyNode(node string) string {
	return "nodeSelectors: [{matchLabels: {kubernetes.io/hostname: " + node + "}}]"
}

// setPassword writes the password of a session to a Secret.
func (d *deployment) setPassword(secret, password string) {
	d.t.Helper()
	d.applyYAML("apiVersion: v1\nkind: Secret\nmetadata: {name: " + secret + ", namespace: clarion-bgp}\n" +
		"type: kubernetes.io/basic-auth\nstringData: {password: " + password + "}\n")
}

// hostRoute is the prefix that has one address alone.
func hostRoute(address netip.Addr) netip.Prefix { return netip.PrefixFrom(address, address.BitLen()) }

// awaitRoutes waits until a Service has that many addresses, and returns a prefix for each, of its
// full length.
func (d *deployment) awaitRoutes(service string, count int) []netip.Prefix {
	d.t.Helper()
	var routes []netip.Prefix
	for _, address := range d.awaitAddressCount(service, count) {
		routes = append(routes, hostRoute(address))
	}
	return routes
}

// sessions returns what the nodes report about their sessions with a BGPPeer, by the names of the
// nodes.
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

// awaitSession waits until a node reports a session in a state, with an error that begins like
// problem, or without any error if problem is empty.
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

// awaitNoSession waits until no node reports a session with a BGPPeer.
func (d *deployment) awaitNoSession(peer string) {
	d.t.Helper()
	d.eventually("the end of sessions with "+peer, func(context.Context) error {
		if sessions := d.sessions(peer); len(sessions) > 0 {
			return fmt.Errorf("%+v", sessions)
		}
		return nil
	})
}

// awaitNewSessions waits until nodes have sessions with a BGPPeer that are not those of before.
func (d *deployment) awaitNewSessions(peer string, before map[string]v1alpha1.BGPSession, nodes ...string) {
	d.t.Helper()
	d.eventually("new sessions", func(context.Context) error {
		now := d.sessions(peer)
		for _, node := range nodes {
			if session := now[node]; session.State != v1alpha1.BGPEstablished || session.Since.Equal(before[node].Since) {
				return fmt.Errorf("%s has %+v", node, session)
			}
		}
		return nil
	})
}

// awaitBFDUp waits until every node has a session with a BGPPeer, and BFD is up beside it.
func (d *deployment) awaitBFDUp(peer string) {
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
