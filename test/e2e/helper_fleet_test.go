package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// fleet is a deployment whose announcers have addresses of several Services to answer for.
type fleet struct {
	*deployment
	addresses []netip.Addr
}

// during runs a subtest that begins and ends with all announcers in sight of each other, and with each address announced by
// exactly one node. In between, no two may answer for an address at once.
func (f *fleet) during(what string, scenario func(*observation)) {
	f.t.Run(what, func(t *testing.T) {
		o := f.observe(t)
		defer o.report()
		scenario(o)
		o.awaitAllInSight()
		for _, address := range f.addresses {
			o.awaitSoleOwnerSeenBy(o.watch, address)
		}
		if err := o.watch.Stop(); err != nil {
			t.Error(err)
		}
		for _, address := range f.addresses {
			if answers := o.watch.Answers(address); answers.MostAtOnce() > 1 && !o.overlaps {
				t.Errorf("%d nodes answered at once for %s", answers.MostAtOnce(), address)
			}
		}
	})
}

// observation is what can be seen of a fleet during a scenario.
type observation struct {
	*fleet
	watch *network.Watch
	// owners are the nodes that had the addresses in the beginning.
	owners map[netip.Addr]*cluster.Node
	// overlaps says that addresses move on purpose, so that two nodes may answer for a moment.
	overlaps bool
}

func (f *fleet) observe(t *testing.T) *observation {
	sub := *f
	sub.deployment = f.in(t)
	o := &observation{fleet: &sub, owners: map[netip.Addr]*cluster.Node{}}
	o.awaitAllInSight()
	o.watch = o.deployment.watch(f.addresses...)
	for _, address := range f.addresses {
		o.owners[address] = o.awaitSoleOwnerSeenBy(o.watch, address)
	}
	return o
}

// report shows what was seen, if the test has failed.
func (o *observation) report() {
	for _, address := range o.addresses {
		if answers := o.watch.Answers(address); o.t.Failed() {
			o.t.Logf("%s had %s, %s", o.owners[address].Name, address, o.named(answers.String()))
		} else if answers.Moves() > 0 {
			o.t.Log(o.named(answers.String()))
		}
	}
}

// of returns the addresses that nodes had in the beginning.
func (o *observation) of(nodes ...*cluster.Node) []netip.Addr {
	var all []netip.Addr
	for _, address := range o.addresses {
		if slices.Contains(nodes, o.owners[address]) {
			all = append(all, address)
		}
	}
	return all
}

// notOf returns the others.
func (o *observation) notOf(nodes ...*cluster.Node) []netip.Addr {
	theirs := o.of(nodes...)
	return slices.DeleteFunc(slices.Clone(o.addresses), func(a netip.Addr) bool { return slices.Contains(theirs, a) })
}

// awaitMove waits until other nodes than these answer for the addresses, each for its own alone.
func (o *observation) awaitMove(addresses []netip.Addr, from ...*cluster.Node) {
	o.t.Helper()
	for _, address := range addresses {
		o.eventually(fmt.Sprintf("%s to move", address), func(ctx context.Context) error {
			mac, err := o.awaitSoleAnswerer(ctx, address)
			if err == nil && slices.Contains(from, o.nodeWith(mac)) {
				err = fmt.Errorf("%s still answers", o.nodeWith(mac).Name)
			}
			return err
		})
	}
}

func (o *observation) awaitSoleAnswerer(ctx context.Context, address netip.Addr) (net.HardwareAddr, error) {
	const questions = 20
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return o.watch.AwaitSole(ctx, address, questions)
}

// undisturbed expects that addresses were answered for by one node all the time so far, and that no question was left
// without an answer.
func (o *observation) undisturbed(addresses []netip.Addr) {
	o.t.Helper()
	for _, address := range addresses {
		answers := o.settledAnswers(address)
		if answers.Moves() != 0 || answers.Unanswered() != 0 || answers.MostAtOnce() != 1 {
			o.t.Errorf("%s of %s was disturbed: %s", address, o.owners[address].Name, o.named(answers.String()))
		}
	}
}

// settledAnswers returns the answers so far, without the last questions, to which they may be under way.
func (o *observation) settledAnswers(address netip.Addr) network.Answers {
	o.t.Helper()
	if _, err := o.awaitSoleAnswerer(o.ctx, address); err != nil {
		o.t.Error(err)
	}
	answers := o.watch.Answers(address)
	last := len(answers.Questions)
	for last > 0 && len(answers.Questions[last-1].Answers) == 0 {
		last--
	}
	answers.Questions = answers.Questions[:last]
	return answers
}

// nodeWith returns the node with a hardware address, nil if it is nobody's.
func (d *deployment) nodeWith(mac net.HardwareAddr) *cluster.Node {
	for _, node := range d.Nodes() {
		if node.MAC("eth0").String() == mac.String() {
			return node
		}
	}
	return nil
}

// named puts the names of nodes beside their hardware addresses.
func (d *deployment) named(text string) string {
	for _, node := range d.Nodes() {
		text = strings.ReplaceAll(text, node.MAC("eth0").String(), node.Name)
	}
	return text
}

// newFleet announces the addresses of Services from all nodes, one of them with an address of each family.
func (d *deployment) newFleet(services int) *fleet {
	d.t.Helper()
	d.applyYAML(pool("public", "192.168.10.200-192.168.10.219", "fd00:10::200-fd00:10::219"))
	d.apply(samples + "l2advertisement.yaml")
	d.StartApp(d.t)
	d.awaitAllInSight()
	f := &fleet{deployment: d}
	for i := range services - 1 {
		name := fmt.Sprintf("app-%d", i)
		d.loadBalancer(name, nil)
		f.addresses = append(f.addresses, d.awaitAddress(name))
	}
	d.loadBalancer("dual", families(corev1.IPFamilyPolicyRequireDualStack))
	d.eventually("an address of each family", func(context.Context) error {
		both := addresses(d.service("dual"))
		if len(both) != 2 {
			return fmt.Errorf("addresses %v", both)
		}
		f.addresses = append(f.addresses, both...)
		return nil
	})
	for _, address := range f.addresses {
		d.awaitSoleOwner(address)
	}
	return f
}

// addLocal adds the address of a Service whose traffic must stay on the node that it reaches.
func (f *fleet) addLocal() {
	f.t.Helper()
	f.loadBalancer("local", func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal })
	address := f.awaitAddress("local")
	f.awaitSoleOwner(address)
	f.addresses = append(f.addresses, address)
}
