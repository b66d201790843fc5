package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

// TestUpgradesDrainsAndRebalancingLoseNothing does what moves addresses on purpose, and kills
// announcers. Meanwhile clients use the addresses, and a host on the LAN asks all the time who has
// them.
func TestUpgradesDrainsAndRebalancingLoseNothing(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 3, Families: []corev1.IPFamily{ipv4, ipv6}})
	f := d.newFleet(3)
	f.addLocal()
	awaitAnnounced := testConflictingHost(d)
	f.during("the announcers are upgraded", testUpgrade)
	f.during("an announcer is killed", testKilled)
	f.during("a node is excluded by its label", testDrain(
		[]string{"label", "node", "%s", corev1.LabelNodeExcludeBalancers + "=true"},
		[]string{"label", "node", "%s", corev1.LabelNodeExcludeBalancers + "-"}))
	f.during("a node is drained by the plugin", testPluginDrain)
	f.during("a node is drained by a taint", testDrain(
		[]string{"taint", "node", "%s", corev1.TaintNodeOutOfService + "=maintenance:NoSchedule"},
		[]string{"taint", "node", "%s", corev1.TaintNodeOutOfService + "-"}))
	f.during("one node after the other is drained", testDrainedInTurn)
	f.during("all nodes are drained", testAllDrained)
	f.during("addresses are spread evenly on request", testRebalance)
	f.during("nodes are preferred", testPreferredNodes)
	f.during("the kernel of a node answers for an address", testStrictARP)
	awaitAnnounced()
	f.during("a node is taken out of service as the guide says", testGuidedDrain) // pods are not spread evenly after that
}

func testUpgrade(o *observation) {
	clients := o.connect(o.addresses)
	o.restartAnnouncers()
	o.awaitAllAlive()
	o.undisturbed(o.addresses)
	clients.lostNothing()
}

func testKilled(o *observation) {
	address := o.addresses[0]
	node := o.owners[address]
	clients := o.connect(o.of(node))
	announcer := o.killAnnouncer(node)
	// A client that does not know yet where the address is gets an answer, too.
	if _, err := o.Client.Run(o.ctx, "ip", "neigh", "flush", "to", address.String(), "dev", "eth0"); err != nil {
		o.t.Fatal(err)
	}
	if _, err := o.Client.Run(o.ctx, "curl", "--silent", "--show-error", "--fail", "--max-time", "10", "http://"+address.String()); err != nil {
		o.t.Error(err)
	}
	o.eventually("a new announcer", func(context.Context) error {
		if again, err := node.Process("announcer"); err != nil || again.PID == announcer.PID {
			return fmt.Errorf("there is none on %s (%v)", node.Name, err)
		}
		return nil
	})
	o.awaitAllAlive()
	for _, address := range o.of(node) {
		o.awaitSoleOwnerSeenBy(o.watch, address)
		if answers := o.watch.Answers(address); answers.Moves() != 0 {
			o.t.Errorf("%s has moved", address)
		}
	}
	o.undisturbed(o.notOf(node))
	clients.lostNothing()
}

// testDrain drains a node that has addresses by one kubectl command, and ends that by another. %s
// stands for the node.
func testDrain(begin, end []string) func(*observation) {
	on := func(command []string, node *cluster.Node) []string {
		command = slices.Clone(command)
		command[2] = fmt.Sprintf(command[2], node.Name)
		return command
	}
	return func(o *observation) {
		o.overlaps = true
		node := o.owners[o.addresses[0]]
		clients := o.connect(o.of(node))
		o.kubectl(on(begin, node)...)
		o.t.Cleanup(func() { o.Kubectl(context.Background(), on(end, node)...) })
		o.awaitMove(o.of(node), node)
		o.awaitReadyReason(node, v1alpha1.ReasonDraining)
		o.answeredThroughout(o.of(node))
		o.undisturbed(o.notOf(node))
		o.kubectl(on(end, node)...)
		o.awaitReadyReason(node, v1alpha1.ReasonRunning)
		for _, address := range o.of(node) {
			if owner := o.awaitSoleOwnerSeenBy(o.watch, address); owner == node {
				o.t.Errorf("%s took %s back", node.Name, address)
			}
		}
		clients.lostNothing()
	}
}

// testPluginDrain drains a node by kubectl clarion, which has said before where its addresses go.
func testPluginDrain(o *observation) {
	o.overlaps = true
	node := o.owners[o.addresses[0]]
	clients := o.connect(o.of(node))
	predicted := o.predicted("drain", node.Name)
	o.t.Cleanup(func() { o.Kubectl(context.Background(), "annotate", "node", node.Name, v1alpha1.AnnotationDrain+"-") })
	o.asks(0, "drain "+node.Name, "announces nothing any more")
	o.awaitMove(o.of(node), node)
	for _, address := range o.of(node) {
		if owner := o.awaitSoleOwnerSeenBy(o.watch, address); owner.Name != predicted[address.String()] {
			o.t.Errorf("%s has taken %s over, and kubectl clarion simulate said that %q would", owner.Name, address, predicted[address.String()])
		}
	}
	o.asks(0, "why node/"+node.Name, "drained")
	o.answeredThroughout(o.of(node))
	o.undisturbed(o.notOf(node))
	o.asks(0, "undrain "+node.Name)
	o.awaitReadyReason(node, v1alpha1.ReasonRunning)
	for _, address := range o.of(node) {
		if owner := o.awaitSoleOwnerSeenBy(o.watch, address); owner == node {
			o.t.Errorf("%s took %s back", node.Name, address)
		}
	}
	clients.lostNothing()
}

// testGuidedDrain takes a node out of service and back by the commands of the guide.
func testGuidedDrain(o *observation) {
	o.overlaps = true
	node := o.owners[o.addresses[0]]
	had := o.of(node)
	steps := documentedCommands(o.t, "../../docs/guides/draining.md", "## Before a reboot")
	if len(steps) != 5 {
		o.t.Fatalf("the guide has steps %q", steps)
	}
	run := func(step int) (out string) {
		o.t.Helper()
		for _, line := range steps[step] {
			out += o.shell(strings.ReplaceAll(line, "NODE", node.Name))
		}
		return out
	}
	// established are the connections by which the guide has the user wait.
	established := func(address netip.Addr) string {
		o.t.Helper()
		out, err := node.Run(o.ctx, "sh", "-c", strings.ReplaceAll(steps[2][0], "ADDRESS", address.String()))
		if err != nil {
			o.t.Fatal(err)
		}
		return out
	}
	clients := o.connect(had)
	o.t.Cleanup(func() {
		o.Kubectl(context.Background(), "uncordon", node.Name)
		o.Kubectl(context.Background(), "annotate", "node", node.Name, v1alpha1.AnnotationDrain+"-")
	})
	run(0)
	o.eventually(node.Name+" to announce nothing any more", func(context.Context) error {
		if message := run(1); !strings.Contains(message, "announces no address") {
			return errors.New(message)
		}
		return nil
	})
	o.awaitMove(had, node)
	for _, address := range had {
		if established(address) == "" {
			o.t.Errorf("%s serves no connection to %s that began there", node.Name, address)
		}
	}
	clients.lostNothing()
	for _, address := range had {
		o.eventually("connections to "+address.String()+" to end", func(context.Context) error {
			if left := established(address); left != "" {
				return errors.New(left)
			}
			return nil
		})
	}
	run(3)
	o.eventually("pods to be elsewhere", func(ctx context.Context) error {
		out, err := o.Kubectl(ctx, "get", "pods", "--selector=app=myapp", "--field-selector=spec.nodeName="+node.Name, "--output=name")
		if err == nil && out != "" {
			err = errors.New(out)
		}
		return err
	})
	o.answeredThroughout(had)
	o.undisturbed(o.notOf(node))
	run(4)
	o.awaitReadyReason(node, v1alpha1.ReasonRunning)
	for _, address := range had {
		if owner := o.awaitSoleOwnerSeenBy(o.watch, address); owner == node {
			o.t.Errorf("%s took %s back", node.Name, address)
		}
	}
}

// testAllDrained drains all nodes. Addresses stay where they are then, because there is no better
// node for them.
func testAllDrained(o *observation) {
	o.overlaps = true // those on the first node to be drained move
	drain := func(value string) []string {
		return []string{"annotate", "nodes", "--all", v1alpha1.AnnotationDrain + value}
	}
	o.t.Cleanup(func() { o.Kubectl(context.Background(), drain("-")...) })
	o.kubectl(drain("=")...)
	for _, node := range o.Nodes() {
		o.awaitReadyReason(node, v1alpha1.ReasonDraining)
	}
	for _, address := range o.addresses {
		o.awaitSoleOwnerSeenBy(o.watch, address)
	}
	o.kubectl(drain("-")...)
	for _, node := range o.Nodes() {
		o.awaitReadyReason(node, v1alpha1.ReasonRunning)
	}
	o.answeredThroughout(o.addresses)
}
