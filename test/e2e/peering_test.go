package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/frr"
)

// TestNodesKeepSessionsOfEveryKindAtOnce has nodes keep sessions of all kinds at once, several of
// them with the same router.
func TestNodesKeepSessionsOfEveryKindAtOnce(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 2, Families: []corev1.IPFamily{ipv4, ipv6}})
	p := &peering{deployment: d}
	p.addSources()
	p.near = d.startRouter(
		" neighbor nodes bfd profile fast",
		" neighbor six peer-group",
		" neighbor six remote-as 65011",
		" neighbor six capability extended-nexthop",
		" neighbor six bfd profile fast",
		" bgp listen range fd00:10::/64 peer-group six",
		" neighbor n1 interface remote-as 65021",
		" neighbor n1 password wire",
		" neighbor n1 bfd profile fast",
		" neighbor 192.168.10.111 remote-as 65031",
		" neighbor 192.168.10.111 password first",
		" neighbor 192.168.10.111 bfd profile fast",
		" address-family ipv6 unicast",
		"  neighbor six activate",
		"  neighbor n1 activate",
		"  neighbor 192.168.10.111 activate",
		" exit-address-family",
	)
	p.far = p.startFarRouter()
	d.StartApp(d.t)
	d.applyYAML(strings.ReplaceAll(routedPool, "/24]", `/26, "2001:db8::/112"]`) + "---" + routedAdvertisement)
	d.loadBalancer("web", families(require, ipv4, ipv6))
	p.web = d.awaitRoutes("web", 2)
	p.setPassword("wire", "wire")
	p.setPassword("source", "first")
	d.applyYAML(bgpPeer("tor", torOfAll...) + bgpPeer("six", gateway6...) + bgpPeer("wire", onWire...) + bgpPeer("source", bySource...) +
		bgpPeer("inside", inside...) + bgpPeer("outside", outside...) + bgpPeer("guarded", twoHops...))

	t.Run("every session is as its BGPPeer says, and carries both families", p.test(testSessions))
	t.Run("BFD watches the path of every session", p.test(testBFDOfEverySession))
	t.Run("a session that one node cannot have is reported for this node alone", p.test(testWhatOneNodeCannotDo))
	t.Run("packets of a router that is farther away than ttlSecurityHops are dropped", p.test(testTTLSecurity))
	t.Run("a change of a password affects only the sessions that use it", p.test(testPasswords))
	t.Run("every router gets the attributes that the advertisements for it set", p.test(testAttributes))
	t.Run("an aggregate is announced by the nodes that announce any of its addresses", p.test(testAggregates))
	t.Run("a BGP daemon on the node passes on what the announcer tells it", p.test(testLocalDaemon))
}

// neighbor is what a router is to show about a session with a node.
type neighbor struct {
	asn uint32
	id  string
	// hops are the next hops of the node's routes, IPv4 first.
	hops [2]string
}

func testSessions(p *peering) {
	n1, n2 := [2]string{"192.168.10.11", "fd00:10::11"}, [2]string{"192.168.10.12", "fd00:10::12"}
	p.near.awaitNeighbors(p.web, map[string]neighbor{
		"192.168.10.11":  {65001, "192.168.10.11", n1},
		"192.168.10.12":  {65001, "192.168.10.12", n2},
		"fd00:10::11":    {65011, "192.168.10.11", [2]string{"fd00:10::11", "fd00:10::11"}},
		"fd00:10::12":    {65011, "192.168.10.12", [2]string{"fd00:10::12", "fd00:10::12"}},
		"n1":             {65021, "192.0.2.21", [2]string{wireLocal.String(), wireLocal.String()}},
		"192.168.10.111": {65031, "192.0.2.31", [2]string{"192.168.10.111", "fd00:10::11"}},
	})
	p.far.awaitNeighbors(p.web, map[string]neighbor{
		"192.168.10.11": {65000, "192.168.10.11", n1},
		"192.168.10.12": {65000, "192.168.10.12", n2},
		"fd00:10::11":   {65041, "192.168.10.11", n1}, // without extended-nexthop it takes no IPv6 next hop for an IPv4 route
		"fd00:10::12":   {65051, "192.168.10.12", n2},
	})
	for _, route := range p.web {
		p.awaitAnswer(p.FarClient, route.Addr())
	}
	for _, peer := range []string{"tor", "six", "wire", "source", "inside", "outside", "guarded"} {
		p.awaitReady("bgppeer/"+peer, v1alpha1.ReasonValid, "")
	}
}

// awaitNeighbors waits until a router has sessions with exactly these neighbors, all of which
// announce the prefixes.
func (r *router) awaitNeighbors(prefixes []netip.Prefix, want map[string]neighbor) {
	r.d.t.Helper()
	r.d.eventually("the sessions of the router", func(ctx context.Context) error {
		neighbors, err := r.Neighbors(ctx)
		if err != nil {
			return err
		}
		for name, w := range want {
			n := neighbors[name]
			if n.State != "Established" || n.RemoteAS != w.asn || n.RouterID != w.id {
				return fmt.Errorf("%s is %+v, want %+v", name, n, w)
			}
		}
		if len(neighbors) != len(want) {
			return fmt.Errorf("neighbors %+v", neighbors)
		}
		return nil
	})
	for i, prefix := range prefixes {
		hops := map[string]string{}
		for name, w := range want {
			if name == "n1" {
				name = wireLocal.String()
			}
			hops[name] = w.hops[i]
		}
		r.d.eventually(fmt.Sprintf("the paths to %s", prefix), func(ctx context.Context) error {
			paths, err := r.Paths(ctx, prefix)
			if err != nil {
				return err
			}
			seen := map[string]string{}
			for from, path := range paths {
				seen[from] = path.Nexthops[0].IP
			}
			if !maps.Equal(seen, hops) {
				return fmt.Errorf("%v, want %v", seen, hops)
			}
			return nil
		})
	}
}

// awaitForgotten waits until a router has forgotten neighbors that it took from a range. If one connects again before FRR 8.4 has read
// that the connection before is over, it has a session that it does not show.
func (r *router) awaitForgotten(names ...string) {
	r.d.t.Helper()
	r.d.eventually("the router to forget neighbors", func(ctx context.Context) error {
		neighbors, err := r.Neighbors(ctx)
		if err != nil {
			return err
		}
		for _, name := range names {
			if n, known := neighbors[name]; known {
				return fmt.Errorf("%s is %+v", name, n)
			}
		}
		return nil
	})
}

func testWhatOneNodeCannotDo(p *peering) {
	check := p.keptSessions()
	p.awaitSession(p.Node("n2"), "wire", v1alpha1.BGPConnecting, "no router has advertised itself on wire")
	p.awaitSession(p.Node("n2"), "source", v1alpha1.BGPConnecting, "no connection: ")
	p.awaitSession(p.Node("n1"), "wire", v1alpha1.BGPEstablished, "")
	p.awaitReady("bgppeer/source", v1alpha1.ReasonValid, "1 of 2 nodes have a session with the router")
	p.applyYAML(bgpPeer("duplicate", duplicate...) + bgpPeer("wrong-as", wrongAS...))
	for _, node := range p.Nodes() {
		p.awaitSession(node, "duplicate", v1alpha1.BGPRefused, "BGPPeer six, which is older, is for the same router")
		p.awaitSession(node, "wrong-as", v1alpha1.BGPRefused, "BGPPeer inside, which is older, is for the same router")
	}
	p.awaitReady("bgppeer/duplicate", v1alpha1.ReasonRefused, "n1 and n2: BGPPeer six")
	// The BGPPeer wants an external session, but the router is in the autonomous system of the nodes.
	p.kubectl("delete", "bgppeer", "duplicate", "inside")
	for _, node := range p.Nodes() {
		p.awaitSession(node, "wrong-as", v1alpha1.BGPConnecting, "the router is in the autonomous system of this node")
	}
	p.awaitReady("bgppeer/wrong-as", v1alpha1.ReasonNoSession, "")
	p.kubectl("delete", "bgppeer", "wrong-as")
	p.awaitNoSession("wrong-as")
	p.far.awaitForgotten("192.168.10.11", "192.168.10.12")
	p.applyYAML(bgpPeer("inside", inside...))
	for _, node := range p.Nodes() {
		p.awaitSession(node, "inside", v1alpha1.BGPEstablished, "")
	}
	check("192.168.10.11 at the far router", "192.168.10.12 at the far router")
}

func testTTLSecurity(p *peering) {
	check := p.keptSessions()
	n2 := p.Node("n2")
	p.applyYAML(bgpPeer("guarded", oneHop...))
	p.awaitSession(n2, "guarded", v1alpha1.BGPConnecting, "no connection: ")
	p.awaitReady("bgppeer/guarded", v1alpha1.ReasonNoSession, "")
	p.applyYAML(bgpPeer("guarded", twoHops...))
	p.awaitSession(n2, "guarded", v1alpha1.BGPEstablished, "")
	check("fd00:10::12 at the far router")
}

func testPasswords(p *peering) {
	check := p.keptSessions()
	n1 := p.Node("n1")
	p.setPassword("source", "wrong")
	p.awaitSession(n1, "source", v1alpha1.BGPConnecting, "no connection: ")
	p.kubectl("delete", "secret", "--namespace=clarion-bgp", "source")
	p.awaitSession(n1, "source", v1alpha1.BGPRefused, "there is no Secret clarion-bgp/source of type kubernetes.io/basic-auth")
	if err := p.near.Configure(p.ctx, "router bgp 65000", "neighbor 192.168.10.111 password second"); err != nil {
		p.t.Fatal(err)
	}
	p.setPassword("source", "second")
	p.awaitSession(n1, "source", v1alpha1.BGPEstablished, "")
	check("192.168.10.111 at the near router")
	p.awaitSession(n1, "wire", v1alpha1.BGPEstablished, "")
}

// keptSessions returns a check that the routers have kept their sessions since, except those that
// are named.
func (p *peering) keptSessions() (check func(except ...string)) {
	p.t.Helper()
	look := func(ctx context.Context) (map[string]frr.Neighbor, error) {
		all := map[string]frr.Neighbor{}
		for where, r := range map[string]*router{"near": p.near, "far": p.far} {
			neighbors, err := r.Neighbors(ctx)
			if err != nil {
				return nil, err
			}
			for name, n := range neighbors {
				if all[name+" at the "+where+" router"] = n; n.State != "Established" {
					return nil, fmt.Errorf("%s at the %s router is %+v", name, where, n)
				}
			}
		}
		return all, nil
	}
	var before map[string]frr.Neighbor
	p.eventually("sessions with all neighbors of the routers", func(ctx context.Context) (err error) {
		before, err = look(ctx)
		return err
	})
	return func(except ...string) {
		p.t.Helper()
		p.eventually("the same sessions again", func(ctx context.Context) error {
			after, err := look(ctx)
			if err == nil && len(after) != len(before) {
				err = fmt.Errorf("%v, before: %v", after, before)
			}
			if err != nil {
				return err
			}
			for name, n := range after {
				if before[name] != n && !slices.Contains(except, name) {
					p.t.Errorf("%s was %+v and is %+v", name, before[name], n)
				}
			}
			return nil
		})
	}
}
