package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// testConflictingHost announces addresses of which another host on the nodes' LAN has two, until it
// loses its power. The function that it returns waits until these two are announced, which takes up
// to a minute.
func testConflictingHost(d *deployment) (awaitAnnounced func()) {
	d.t.Helper()
	const number = 240
	host, err := d.AddHost("conflict", number)
	if err != nil {
		d.t.Fatal(err)
	}
	// The host has the first and the last address of the pool.
	first, last := host.Address("eth0", false), netip.MustParseAddr("192.168.10.242")
	if _, err := host.Run(d.ctx, "ip", "address", "add", last.String()+"/24", "dev", "eth0"); err != nil {
		d.t.Fatal(err)
	}
	mac := host.MAC("eth0").String()
	watch := d.watch(first, last)
	d.applyYAML(pool("conflict", "192.168.10.240-192.168.10.242") + "---\n" + `
apiVersion: clarionlb.io/v1alpha1
kind: L2Advertisement
metadata: {name: conflict}
spec: {ipAddressPools: [conflict]}
`)

	// A Service that asks for no address gets another one.
	d.loadBalancer("flexible", annotate("clarionlb.io/address-pool", "conflict"))
	d.eventually("the address that the other host does not have", func(context.Context) error {
		if got := addressTexts(d.service("flexible")); len(got) != 1 || got[0] != "192.168.10.241" {
			return fmt.Errorf("it has %v", got)
		}
		return nil
	})
	d.awaitEvent("flexible", corev1.EventTypeWarning, "AddressConflict", mac)
	d.awaitSoleOwner(netip.MustParseAddr("192.168.10.241"))
	d.awaitAnnounced("flexible", v1alpha1.ReasonAnnounced, "192.168.10.241 is announced by .*")
	// A Service that asks for the address waits, whether the conflict is known already or not: the nodes
	// go on reaching the host, and not the Service.
	d.loadBalancer("late", wish(first.String()))
	d.awaitRefusal("late", "AddressConflict", mac)
	hijacked := d.answersFromANode(last)
	d.loadBalancer("insisting", wish(last.String()))
	d.awaitRefusal("insisting", "AddressConflict", mac)
	if hijacked() {
		d.t.Errorf("the Service answered a node that asked %s", last)
	}

	if err := host.PowerOff(); err != nil {
		d.t.Fatal(err)
	}
	for _, address := range []netip.Addr{first, last} {
		if answers := watch.Answers(address); answers.MostAtOnce() != 1 || answers.Moves() != 0 {
			d.t.Errorf("a node answered for an address of the other host: %s", d.named(answers.String()))
		}
	}
	return func() {
		d.t.Helper()
		for name, address := range map[string]netip.Addr{"insisting": last, "late": first} {
			d.awaitAddresses(name, address.String())
			d.awaitAnnounced(name, v1alpha1.ReasonAnnounced, ".*")
			d.awaitSoleOwner(address)
		}
	}
}

// answersFromANode has a node ask an address over HTTP again and again, until the function is called that
// it returns, which says whether there was an answer.
func (d *deployment) answersFromANode(address netip.Addr) (answered func() bool) {
	meter := d.Nodes()[0].Measure(netip.AddrPortFrom(address, 80), network.MeterOptions{Interval: 20 * time.Millisecond})
	return func() bool { return slices.ContainsFunc(meter.Stop().Attempts, network.Succeeded) }
}

// testStrictARP gives an address to an interface of a node, as kube-proxy does in IPVS mode. The
// kernel then answers for it, unless it is told not to (strictARP), and the Announcer says so.
func testStrictARP(o *observation) {
	node := o.Nodes()[0]
	address := o.awaitAddress("flexible")
	on := func(command ...string) {
		o.t.Helper()
		if _, err := node.Run(o.ctx, command...); err != nil {
			o.t.Fatal(err)
		}
	}
	awaitStrictARP := func(status metav1.ConditionStatus, text string) {
		o.t.Helper()
		o.awaitAnnouncerCondition(node, v1alpha1.ConditionStrictARP, func(c metav1.Condition) bool {
			return c.Status == status && strings.Contains(c.Message, text)
		})
	}
	awaitStrictARP(metav1.ConditionTrue, "")
	on("ip", "link", "add", "kube-ipvs0", "type", "bridge")
	on("ip", "address", "add", address.String()+"/32", "dev", "kube-ipvs0")
	awaitStrictARP(metav1.ConditionFalse, "strictARP")
	on("ip", "link", "delete", "kube-ipvs0")
	awaitStrictARP(metav1.ConditionTrue, "")
}
