package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// gossipPort is where announcers talk to each other, over TCP and UDP.
const gossipPort = 7947

// TestOneNodeAnswersForAnAddressThroughEveryPartition separates five nodes from each other in every
// way, while a host on their LAN asks all the time who has the addresses.
func TestOneNodeAnswersForAnAddressThroughEveryPartition(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 5, Families: []corev1.IPFamily{ipv4, ipv6}})
	f := d.newFleet(5)
	f.during("the gossip is blocked between one pair of nodes", testGossipBlockedForAPair)
	f.during("the gossip that one node sends is lost", testGossipLostOneWay)
	f.during("the gossip is blocked between all nodes", testGossipBlocked)
	f.during("a node loses its LAN link and keeps the API server", testLinkDown)
	f.during("a node reaches the API server, but is cut off from the other nodes", testNodeCutOff)
	f.during("half of what a node sends and is sent is lost", testHalfLost)
	f.during("nothing that a node sends arrives", testMuteNode)
	f.during("nothing that is sent to a node arrives", testDeafNode)
	f.during("a node is cut off from all nodes and from the API server", testIsolatedNode)
	f.during("a node is suspended until others have its addresses, and goes on", testSuspendedNode)
	f.during("a node is suspended and goes on while the API server is away", testSuspendedNodeWithoutAPI)
	f.during("the LAN falls into two halves", testTwoHalves)
	f.during("the LAN falls into two halves while the API server is away", testTwoHalvesWithoutAPI)
	f.during("a second node loses its power just when the first one's addresses have moved", testSecondDeath)
	f.during("the leader's node loses its power while the API server is away", testDeathWithoutAPI)
}

// gossip is the traffic between announcers, to and from one peer, or all of it if the peer is the
// zero value.
func gossip(direction network.Direction, peer netip.Addr) []network.Traffic {
	return []network.Traffic{
		{Device: "eth0", Direction: direction, Peer: peer, Protocol: "udp", Port: gossipPort},
		{Device: "eth0", Direction: direction, Peer: peer, Protocol: "tcp", Port: gossipPort},
	}
}

// block drops traffic at a host until the barrier is lifted or the scenario has failed.
func (o *observation) block(host *network.Host, traffic ...network.Traffic) *network.Barrier {
	o.t.Helper()
	barrier, err := host.Block(o.ctx, traffic...)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() {
		if o.t.Failed() {
			barrier.Lift()
		}
	})
	return barrier
}

func (o *observation) lift(barriers ...*network.Barrier) {
	o.t.Helper()
	for _, barrier := range barriers {
		if err := barrier.Lift(); err != nil {
			o.t.Fatal(err)
		}
	}
}

// awaitDropped waits until a barrier has dropped so many frames that their sender must have noticed.
func (o *observation) awaitDropped(barrier *network.Barrier) {
	o.t.Helper()
	o.awaitDroppedFrames(barrier, 30)
}

func (o *observation) awaitDroppedFrames(barrier *network.Barrier, enough int) {
	o.t.Helper()
	o.eventually(fmt.Sprintf("%d frames to be lost", enough), func(ctx context.Context) error {
		dropped, err := barrier.Dropped(ctx)
		if err == nil && dropped < enough {
			err = fmt.Errorf("%d are lost so far", dropped)
		}
		return err
	})
}

func testGossipBlockedForAPair(o *observation) {
	nodes := o.Nodes()
	barrier := o.block(nodes[0].Host, gossip(network.Both, nodes[1].IPs()[0])...)
	o.awaitDropped(barrier)
	o.awaitAllAlive() // the other nodes pass the gossip on
	o.undisturbed(o.addresses)
	o.lift(barrier)
}

func testGossipLostOneWay(o *observation) {
	barrier := o.block(o.owners[o.addresses[0]].Host, gossip(network.Out, netip.Addr{})...)
	o.awaitDropped(barrier)
	o.undisturbed(o.addresses)
	o.lift(barrier)
}

func testGossipBlocked(o *observation) {
	var barriers []*network.Barrier
	for _, node := range o.Nodes() {
		barriers = append(barriers, o.block(node.Host, gossip(network.Both, netip.Addr{})...))
	}
	o.awaitAlive(1, o.Nodes()...)
	o.undisturbed(o.addresses)
	o.lift(barriers...)
}

func testLinkDown(o *observation) {
	node := o.owners[o.addresses[0]]
	if err := node.CutLink("eth0"); err != nil {
		o.t.Fatal(err)
	}
	o.awaitMove(o.of(node), node)
	o.undisturbed(o.notOf(node))
	if err := node.RestoreLink("eth0"); err != nil {
		o.t.Fatal(err)
	}
}

func testNodeCutOff(o *observation) {
	node := o.owners[o.addresses[0]]
	o.replug(cluster.Island, node)
	o.awaitMove(o.of(node), node)
	o.awaitAlive(1, node)
	o.undisturbed(o.notOf(node))
	o.awaitGivenUp(node)
	o.replug(cluster.LAN, node)
}

// testHalfLost has a switch lose half of the frames of one port: heartbeats stop and the gossip loses the node, again and again.
func testHalfLost(o *observation) {
	node := o.owners[o.addresses[0]]
	barrier := o.block(node.Host, network.Traffic{Device: "eth0", Percent: 50})
	o.awaitDroppedFrames(barrier, 2000)
	o.undisturbed(o.notOf(node))
	o.lift(barrier)
	for _, address := range o.of(node) {
		answers := o.settledAnswers(address)
		if answers.Moves() != 0 || answers.MostAtOnce() != 1 {
			o.t.Errorf("%s of %s was disturbed: %s", address, node.Name, o.named(answers.String()))
		}
	}
}

func testMuteNode(o *observation) {
	node := o.owners[o.addresses[0]]
	barrier := o.block(node.Host, network.Traffic{Device: "eth0", Direction: network.Out})
	o.awaitMove(o.of(node), node)
	o.awaitAlive(len(o.Nodes())-1, o.others(node)...)
	o.awaitDropped(barrier)
	o.undisturbed(o.notOf(node))
	o.awaitGivenUp(node)
	o.lift(barrier)
}

func testDeafNode(o *observation) {
	node := o.owners[o.addresses[0]]
	barrier := o.block(node.Host, network.Traffic{Device: "eth0", Direction: network.In})
	o.awaitMove(o.of(node), node)
	o.awaitAlive(1, node)
	o.undisturbed(o.notOf(node))
	o.awaitGivenUp(node)
	o.lift(barrier)
}

func testIsolatedNode(o *observation) {
	node := o.owners[o.addresses[0]]
	barrier := o.block(node.Host, network.Traffic{})
	o.awaitMove(o.of(node), node)
	o.awaitGivenUp(node)
	o.undisturbed(o.notOf(node))
	o.lift(barrier)
}

// testSuspendedNode has a node go on as if nothing had happened when others have taken its addresses over.
func testSuspendedNode(o *observation) {
	node := o.owners[o.addresses[0]]
	o.suspend(node)
	o.awaitMove(o.of(node), node)
	o.resume(node)
	o.awaitAllAlive()
	o.awaitMove(o.of(node), node)
	o.undisturbed(o.notOf(node))
}

func testSuspendedNodeWithoutAPI(o *observation) {
	node := o.owners[o.addresses[0]]
	resume := o.stopAPI()
	o.suspend(node)
	o.awaitMove(o.of(node), node)
	o.resume(node)
	o.awaitMove(o.of(node), node)
	resume()
	o.awaitAllAlive()
	o.awaitMove(o.of(node), node)
	o.undisturbed(o.notOf(node))
}

// suspend stops a node as a virtual machine is: nothing that it sends or is sent arrives meanwhile.
func (o *observation) suspend(node *cluster.Node) {
	o.t.Helper()
	if err := node.Suspend(); err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() {
		if o.t.Failed() {
			node.Resume()
		}
	})
	o.replug(cluster.Island, node)
}

func (o *observation) resume(node *cluster.Node) {
	o.t.Helper()
	o.replug(cluster.LAN, node)
	if err := node.Resume(); err != nil {
		o.t.Fatal(err)
	}
}

// awaitGivenUp waits until nodes announce nothing any more. Otherwise they would still answer for a
// moment when they are connected again.
func (o *observation) awaitGivenUp(nodes ...*cluster.Node) {
	o.t.Helper()
	for _, node := range nodes {
		o.awaitAnnouncerMetrics(node, "clarion_announcer_layer2_addresses 0")
	}
}

// others returns all nodes but one.
func (o *observation) others(than *cluster.Node) []*cluster.Node {
	return slices.DeleteFunc(slices.Clone(o.Nodes()), func(n *cluster.Node) bool { return n == than })
}

// halves divides the nodes: two, one of which has the first address, and the rest.
func (o *observation) halves() (minority, majority []*cluster.Node) {
	minority = []*cluster.Node{o.owners[o.addresses[0]]}
	for _, node := range o.Nodes() {
		switch {
		case node == minority[0]:
		case len(minority) < 2:
			minority = append(minority, node)
		default:
			majority = append(majority, node)
		}
	}
	return minority, majority
}

// replug plugs nodes into another LAN.
func (o *observation) replug(lan string, nodes ...*cluster.Node) {
	o.t.Helper()
	for _, node := range nodes {
		if err := node.Replug("eth0", lan); err != nil {
			o.t.Fatal(err)
		}
		o.t.Cleanup(func() {
			if o.t.Failed() {
				node.Replug("eth0", cluster.LAN)
			}
		})
	}
}

func testTwoHalves(o *observation) {
	minority, majority := o.halves()
	o.replug(cluster.Island, minority...)
	o.awaitMove(o.of(minority...), minority...)
	o.awaitAlive(len(minority), minority...)
	o.awaitAlive(len(majority), majority...)
	o.undisturbed(o.notOf(minority...))
	o.awaitGivenUp(minority...)
	o.replug(cluster.LAN, minority...)
}

func testTwoHalvesWithoutAPI(o *observation) {
	minority, _ := o.halves()
	resume := o.stopAPI()
	o.replug(cluster.Island, minority...)
	o.awaitMove(o.of(minority...), minority...)
	o.undisturbed(o.notOf(minority...))
	resume()
	o.eventually("the nodes that took over to record their claims", func(ctx context.Context) error {
		for _, address := range o.of(minority...) {
			if owner, err := o.Owner(ctx, address); err != nil || slices.Contains(minority, owner) {
				return fmt.Errorf("%v has %s (%v)", owner, address, err)
			}
		}
		return nil
	})
	o.awaitGivenUp(minority...)
	o.replug(cluster.LAN, minority...)
}

// testDeathWithoutAPI takes the cloud-controller-manager away together with the API server, if its node has addresses: nobody needs
// either to take them over.
func testDeathWithoutAPI(o *observation) {
	leader, err := o.Leader(o.ctx)
	if err != nil {
		o.t.Fatal(err)
	}
	node := leader
	if len(o.of(leader)) == 0 {
		node = o.owners[o.addresses[0]]
	}
	o.t.Logf("%s loses its power, and %s has the leader", node.Name, leader.Name)
	resume := o.stopAPI()
	o.powerOff(node)
	o.awaitMove(o.of(node), node)
	o.undisturbed(o.notOf(node))
	resume()
	o.rejoin(node)
}

// testSecondDeath takes the power from a second node as soon as others answer for the addresses of
// the first one. They can hardly have recorded that in the API yet.
func testSecondDeath(o *observation) {
	first := o.owners[o.addresses[0]]
	o.powerOff(first)
	var takers []*cluster.Node
	for _, address := range o.of(first) {
		o.eventually(fmt.Sprintf("another node to answer for %s", address), func(ctx context.Context) error {
			mac, err := o.watch.AwaitSole(ctx, address, 1)
			if err == nil && o.nodeWith(mac) == first {
				err = fmt.Errorf("%s still answers", first.Name)
			}
			takers = append(takers, o.nodeWith(mac))
			return err
		})
	}
	var second *cluster.Node
	for _, address := range o.notOf(first) {
		if node := o.owners[address]; !slices.Contains(takers, node) {
			second = node
		}
	}
	if second == nil {
		o.t.Fatal("every other node with addresses has taken over some of the first one's")
	}
	o.powerOff(second)
	o.awaitMove(o.of(second), first, second)
	o.undisturbed(o.notOf(first, second))
	o.rejoin(first, second)
	for _, address := range o.of(first, second) {
		if moves := o.watch.Answers(address).Moves(); moves != 1 {
			o.t.Errorf("%s has moved %d times", address, moves)
		}
	}
}

// rejoin powers nodes on again, and expects that the addresses which they had stay where they are now.
func (o *observation) rejoin(nodes ...*cluster.Node) {
	o.t.Helper()
	for _, node := range nodes {
		if err := node.PowerOn(); err != nil {
			o.t.Fatal(err)
		}
	}
	for _, node := range nodes {
		if err := node.AwaitReady(o.ctx); err != nil {
			o.t.Fatal(err)
		}
	}
	o.awaitAllAlive()
	for _, address := range o.of(nodes...) {
		if owner := o.awaitSoleOwnerSeenBy(o.watch, address); slices.Contains(nodes, owner) {
			o.t.Errorf("%s took %s back", owner.Name, address)
		}
	}
}
