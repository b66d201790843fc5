package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// testBothProtocols announces one Service by layer 2 and by BGP, beside another by BGP alone. The
// node that answers for it on the LAN is drained, and then loses its power.
func testBothProtocols(d *deployment, router *router, web netip.Prefix) {
	t := d.t
	d.applyYAML(lanAdvertised)
	d.loadBalancer("both", annotate("clarionlb.io/address-pool", "lan"))
	address := d.awaitAddress("both")
	both := hostRoute(address)
	// reached waits until one node answers for the address on the LAN, and the router sends packets
	// to both addresses by way of exactly these nodes.
	reached := func(d *deployment, nodes ...string) (owner *cluster.Node) {
		d.t.Helper()
		router := router.in(d)
		router.awaitHops(web, nodes...)
		router.awaitHops(both, nodes...)
		owner = d.awaitSoleOwner(address)
		d.awaitAnswer(d.Client, address)
		d.awaitAnswer(d.FarClient, web.Addr())
		d.awaitAnswer(d.FarClient, address)
		return owner
	}
	var everywhere []string
	for _, node := range d.Nodes() {
		everywhere = append(everywhere, node.Name)
	}
	without := func(gone *cluster.Node) []string {
		return slices.DeleteFunc(slices.Clone(everywhere), func(name string) bool { return name == gone.Name })
	}

	t.Run("one node answers for the address by layer 2 and all nodes announce it by BGP", func(t *testing.T) {
		d := d.in(t)
		owner := reached(d, everywhere...)
		d.awaitAnnounced("both", v1alpha1.ReasonAnnounced, fmt.Sprintf("%s is announced by %s on eth0 since .* and by BGP from 3 nodes to 1 peer", address, owner.Name))
	})

	t.Run("a drained node leaves both protocols and comes back", func(t *testing.T) {
		d := d.in(t)
		node := d.awaitSoleOwner(address)
		d.kubectl("annotate", "node", node.Name, v1alpha1.AnnotationDrain+"=true")
		d.eventually(node.Name+" to announce GRACEFUL_SHUTDOWN", func(ctx context.Context) error {
			for _, route := range []netip.Prefix{web, both} {
				paths, err := router.Paths(ctx, route)
				if path := paths[node.Address("eth0", false).String()]; err != nil || !strings.Contains(path.Community.String, "graceful-shutdown") {
					return fmt.Errorf("its path to %s is %+v: %v", route, path, err)
				}
			}
			return nil
		})
		next := reached(d, without(node)...)
		if next == node {
			t.Errorf("%s still answers for %s", node.Name, address)
		}
		d.eventually(node.Name+" to end its session", func(context.Context) error {
			if s, there := d.sessions("tor")[node.Name]; there {
				return fmt.Errorf("session %+v", s)
			}
			return nil
		})
		d.kubectl("annotate", "node", node.Name, v1alpha1.AnnotationDrain+"-")
		if owner := reached(d, everywhere...); owner != next {
			t.Errorf("%s has moved from %s to %s", address, next.Name, owner.Name)
		}
	})

	t.Run("a drained node announces on by BGP while no other node has a session", func(t *testing.T) {
		d := d.in(t)
		node := d.awaitSoleOwner(address)
		var barriers []*network.Barrier
		for _, name := range without(node) {
			barrier, err := d.Node(name).Block(d.ctx, network.Traffic{Device: "eth0", Protocol: "tcp", Port: 179})
			if err != nil {
				t.Fatal(err)
			}
			barriers = append(barriers, barrier)
		}
		router.in(d).awaitHops(web, node.Name)
		d.eventually("the other nodes to say that they have no session", func(context.Context) error {
			for name, s := range d.sessions("tor") {
				if name != node.Name && s.State == v1alpha1.BGPEstablished {
					return fmt.Errorf("%s: %+v", name, s)
				}
			}
			return nil
		})
		check := router.in(d).unchangedRoutes(web)
		d.kubectl("annotate", "node", node.Name, v1alpha1.AnnotationDrain+"=true")
		// Longer than it takes a drained node to withdraw its routes and to close its sessions.
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			if _, err := curl(d.ctx, d.FarClient, web.Addr()); err != nil {
				t.Error(err)
			}
		}
		check()
		paths, err := router.Paths(d.ctx, web)
		if path := paths[node.Address("eth0", false).String()]; err != nil || !strings.Contains(path.Community.String, "graceful-shutdown") {
			t.Errorf("its path to %s is %+v: %v", web, path, err)
		}
		for _, barrier := range barriers {
			if err := barrier.Lift(); err != nil {
				t.Fatal(err)
			}
		}
		reached(d, without(node)...)
		d.eventually(node.Name+" to end its session", func(context.Context) error {
			if s, there := d.sessions("tor")[node.Name]; there {
				return fmt.Errorf("session %+v", s)
			}
			return nil
		})
		d.kubectl("annotate", "node", node.Name, v1alpha1.AnnotationDrain+"-")
		reached(d, everywhere...)
	})

	t.Run("a node without power is left out of both protocols", func(t *testing.T) {
		d := d.in(t)
		node := d.awaitSoleOwner(address)
		d.powerOff(node)
		if owner := reached(d, without(node)...); owner == node {
			t.Errorf("%s still claims %s", node.Name, address)
		}
		d.powerOn(node)
		reached(d, everywhere...)
	})
}
