package e2e

import (
	"context"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/test/frr"
)

// peering is a deployment whose nodes have BGP sessions of every kind with two routers.
type peering struct {
	*deployment
	// near is on the nodes' LAN, far is on the LAN behind it.
	near, far *router
	// web are the routes to the addresses of a Service, IPv4 first.
	web []netip.Prefix
}

// in returns the peering for use in a subtest.
func (p *peering) in(t *testing.T) *peering {
	sub := *p
	sub.deployment = p.deployment.in(t)
	sub.near, sub.far = p.near.in(sub.deployment), p.far.in(sub.deployment)
	return &sub
}

// test returns a subtest that runs f.
func (p *peering) test(f func(*peering)) func(*testing.T) {
	return func(t *testing.T) { f(p.in(t)) }
}

// The lines in the specs of BGPPeers. Two of them are for all nodes, but only n1 has what they
// need: onWire its cable and bySource its address.
var (
	torOfAll  = []string{"peerAddress: 192.168.10.1", "myASN: 65001", "dynamicASN: external"}
	gateway6  = []string{"defaultGateway: IPv6", "myASN: 65011", "peerASN: 65000"}
	onWire    = []string{"interface: wire", "myASN: 65021", "dynamicASN: external", "routerID: 192.0.2.21", "passwordSecret: {name: wire}"}
	bySource  = []string{"peerAddress: 192.168.10.1", "sourceAddress: 192.168.10.111", "myASN: 65031", "peerASN: 65000", "routerID: 192.0.2.31", "passwordSecret: {name: source}"}
	inside    = []string{"peerAddress: 172.31.0.100", "myASN: 65000", "dynamicASN: internal"}
	outside   = []string{"peerAddress: fd00:20::100", "myASN: 65041", "peerASN: 65000", "ebgpMultiHop: true", onlyNode("n1")}
	guarded   = []string{"peerAddress: fd00:20::100", "myASN: 65051", "peerASN: 65000", onlyNode("n2")}
	twoHops   = append(guarded[:len(guarded):len(guarded)], "ttlSecurityHops: 2")
	oneHop    = append(guarded[:len(guarded):len(guarded)], "ttlSecurityHops: 1")
	duplicate = []string{"peerAddress: fd00:10::1", "myASN: 65011", "peerASN: 65000"}
	wrongAS   = []string{"peerAddress: 172.31.0.100", "myASN: 65000", "dynamicASN: external"}
	wireLocal = netip.MustParseAddr("fe80::11")
)

// addSources gives n1 what some sessions start from: a cable of its own to the router, on which
// there are only link-local addresses, and a second address on the LAN.
func (p *peering) addSources() {
	p.t.Helper()
	n1 := p.Node("n1").Host
	for _, step := range []struct {
		on interface {
			Run(context.Context, ...string) (string, error)
		}
		command string
	}{
		{p.Router, "ip link add n1 type veth peer name wire netns " + n1.Namespace()},
		{n1, "ip link set wire addrgenmode none up"},
		{n1, "ip address add " + wireLocal.String() + "/64 dev wire nodad"},
		{p.Router, "ip link set n1 up"},
		{n1, "ip address add 192.168.10.111/24 dev eth0"},
	} {
		if _, err := step.on.Run(p.ctx, strings.Fields(step.command)...); err != nil {
			p.t.Fatal(err)
		}
	}
}

// startFarRouter has the far client speak BGP with the nodes, over the router between them.
func (p *peering) startFarRouter() *router {
	p.t.Helper()
	r, err := frr.StartConfigured(p.ctx, p.FarClient, filepath.Join(p.LogDir(), "farclient"),
		"router bgp 65000",
		" bgp router-id 172.31.0.100",
		" no bgp ebgp-requires-policy",
		" neighbor inside peer-group",
		" neighbor inside remote-as internal",
		" neighbor inside bfd profile fast",
		" bgp listen range 192.168.10.0/24 peer-group inside",
		" neighbor fd00:10::11 remote-as 65041",
		" neighbor fd00:10::11 ebgp-multihop 2",
		" neighbor fd00:10::11 bfd profile fast",
		" neighbor fd00:10::12 remote-as 65051",
		" neighbor fd00:10::12 ttl-security hops 2",
		" neighbor fd00:10::12 bfd profile fast",
		" address-family ipv6 unicast",
		"  neighbor inside activate",
		"  neighbor fd00:10::11 activate",
		"  neighbor fd00:10::12 activate",
		" exit-address-family",
	)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if err := r.Close(); err != nil {
			p.t.Error(err)
		}
	})
	return &router{r, p.deployment}
}
