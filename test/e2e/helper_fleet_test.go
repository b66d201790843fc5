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

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// fleet is a deployment whose announcers answer for the addresses of several Services.
type fleet struct {
	*deployment
	addresses []netip.Addr
}

// during runs a subtest. When it begins and when it ends, all announcers see each other, and
// exactly one node answers for each address. In between, no two nodes may answer for an address at
// the same time, unless the scenario says that they may.
func (f *fleet) during(what string, scenario func(*observation)) {
	f.t.Run(what, func(t *testing.T) {
		o := f.observe(t)
		defer o.report()
		scenario(o)
		o.awaitAllAlive()
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
	// owners are the nodes that answered for the addresses in the beginning.
	owners map[netip.Addr]*cluster.Node
	// overlaps says that addresses move on purpose, so that two nodes may answer for a moment.
	overlaps bool
}

// observe begins to ask who has the addresses, once every one of them has its owner.
func (f *fleet) observe(t *testing.T) *observation {
	sub := *f
	sub.deployment = f.in(t)
	o := &observation{fleet: &sub, owners: map[netip.Addr]*cluster.Node{}}
	o.awaitAllAlive()
	o.watch = o.deployment.watch(f.addresses...)
	for _, address := range f.addresses {
		o.owners[address] = o.awaitSoleOwnerSeenBy(o.watch, address)
	}
	return o
}

// report shows who answered for which address: for every address if the test has failed, otherwise
// for those that moved.
func (o *observation) report() {
	for _, address := range o.addresses {
		if answers := o.watch.Answers(address); o.t.Failed() {
			o.t.Logf("%s had %s, %s", o.owners[address].Name, address, o.named(answers.String()))
		} else if answers.Moves() > 0 {
			o.t.Log(o.named(answers.String()))
		}
	}
}

// of returns the addresses for which nodes answered in the beginning.
func (o *observation) of(nodes ...*cluster.Node) []netip.Addr {
	var all []netip.Addr
	for _, address := range o.addresses {
		if slices.Contains(nodes, o.owners[address]) {
			all = append(all, address)
		}
	}
	return all
}

// notOf returns the addresses for which other nodes answered in the beginning.
func (o *observation) notOf(nodes ...*cluster.Node) []netip.Addr {
	theirs := o.of(nodes...)
	return slices.DeleteFunc(slices.Clone(o.addresses), func(a netip.Addr) bool { return slices.Contains(theirs, a) })
}

// awaitMove waits until none of these nodes answers for any of the addresses, and one other node
// does for each.
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

// awaitSoleAnswerer waits until one host alone answers for an address, and returns its hardware
// address.
func (o *observation) awaitSoleAnswerer(ctx context.Context, address netip.Addr) (net.HardwareAddr, error) {
	const questions = 20
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return o.watch.AwaitSole(ctx, address, questions)
}

// undisturbed expects that one and the same node has answered every question for each address so far.
func (o *observation) undisturbed(addresses []netip.Addr) {
	o.t.Helper()
	for _, address := range addresses {
		answers := o.settledAnswers(address)
		if answers.Moves() != 0 || answers.Unanswered() != 0 || answers.MostAtOnce() != 1 {
			o.t.Errorf("%s of %s was disturbed: %s", address, o.owners[address].Name, o.named(answers.String()))
		}
	}
}

// settledAnswers returns the questions and answers so far, without the last questions: answers to
// them may be under way.
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

// nodeWith returns the node that has a hardware address, or nil.
func (d *deployment) nodeWith(mac net.HardwareAddr) *cluster.Node {
	for _, node := range d.Nodes() {
		if node.MAC("eth0").String() == mac.String() {
			return node
		}
	}
	return nil
}

// named replaces the hardware addresses of nodes in a text by their names.
func (d *deployment) named(text string) string {
	for _, node := range d.Nodes() {
		text = strings.ReplaceAll(text, node.MAC("eth0").String(), node.Name)
	}
	return text
}

// newFleet has all nodes announce the addresses of that many Services. The last of them has an
// address of each family.
func (d *deployment) newFleet(services int) *fleet {
	d.t.Helper()
	d.applyYAML(pool("public", "192.168.10.200-192.168.10.219", "fd00:10::200-fd00:10::219"))
	d.apply(samples + "l2advertisement.yaml")
	d.StartApp(d.t)
	d.awaitAllAlive()
	f := &fleet{deployment: d}
	for i := range services - 1 {
		name := fmt.Sprintf("app-%d", i)
		d.loadBalancer(name, nil)
		f.addresses = append(f.addresses, d.awaitAddress(name))
	}
	d.loadBalancer("dual", families(require))
	f.addresses = append(f.addresses, d.awaitAddressCount("dual", 2)...)
	for _, address := range f.addresses {
		d.awaitSoleOwner(address)
	}
	return f
}

// addLocal adds a Service with the traffic policy Local: its traffic stays on the node that it reaches.
func (f *fleet) addLocal() {
	f.t.Helper()
	f.loadBalancer("local", trafficPolicy(onlyLocal))
	address := f.awaitAddress("local")
	f.awaitSoleOwner(address)
	f.addresses = append(f.addresses, address)
}
