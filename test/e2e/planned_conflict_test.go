package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// stranger is a host on the nodes' LAN that has addresses of a pool.
type stranger struct {
	*network.Host
	// guest is the first address of the pool, and insisted another one that it has.
	guest, insisted netip.Addr
}

// meetStranger announces addresses two of which a stranger has, who leaves after that. The function that it returns awaits
// that they are announced then.
func (d *deployment) meetStranger() (await func()) {
	d.t.Helper()
	const number = 240
	host, err := d.AddHost("stranger", number)
	if err != nil {
		d.t.Fatal(err)
	}
	s := stranger{host, host.Address("eth0", false), netip.MustParseAddr("192.168.10.242")}
	if _, err := host.Run(d.ctx, "ip", "address", "add", s.insisted.String()+"/24", "dev", "eth0"); err != nil {
		d.t.Fatal(err)
	}
	mac := host.MAC("eth0").String()
	watch := d.watch(s.guest, s.insisted)
	d.applyYAML(pool("guests", "192.168.10.240-192.168.10.242") + "---\n" + `
apiVersion: clarionlb.io/v1alpha1
kind: L2Advertisement
metadata: {name: guests}
spec: {ipAddressPools: [guests]}
`)

	// Who does not mind gets another one.
	d.loadBalancer("flexible", annotate("clarionlb.io/address-pool", "guests"))
	d.eventually("another address than the stranger's", func(context.Context) error {
		if got := addressTexts(d.service("flexible")); len(got) != 1 || got[0] != "192.168.10.241" {
			return fmt.Errorf("it has %v", got)
		}
		return nil
	})
	d.awaitEvent("flexible", corev1.EventTypeWarning, "AddressConflict", mac)
	d.awaitSoleOwner(netip.MustParseAddr("192.168.10.241"))
	d.awaitAnnounced("flexible", v1alpha1.ReasonAnnounced, "192.168.10.241 is announced by .*")
	// Who insists keeps the address, which is not announced.
	d.loadBalancer("insisting", wish(s.insisted.String()))
	d.awaitAnnounced("insisting", v1alpha1.ReasonAddressConflict, ".*"+mac+".*")
	d.awaitAddresses("insisting", s.insisted.String())
	// Who asks for an address that is known to be a stranger's waits.
	d.loadBalancer("late", wish(s.guest.String()))
	d.awaitRefusal("late", "AddressConflict", mac)

	if err := host.PowerOff(); err != nil {
		d.t.Fatal(err)
	}
	for _, address := range []netip.Addr{s.guest, s.insisted} {
		if answers := watch.Answers(address); answers.MostAtOnce() != 1 || answers.Moves() != 0 {
			d.t.Errorf("others answered for the stranger's address: %s", d.named(answers.String()))
		}
	}
	return func() {
		d.t.Helper()
		for name, address := range map[string]netip.Addr{"insisting": s.insisted, "late": s.guest} {
			d.awaitAddresses(name, address.String())
			d.awaitAnnounced(name, v1alpha1.ReasonAnnounced, ".*")
			d.awaitSoleOwner(address)
		}
	}
}

// testStrictARP gives an address to an interface of a node, as kube-proxy does in IPVS mode.
func testStrictARP(o *observation) {
	node := o.Nodes()[0]
	address := o.awaitAddress("flexible")
	on := func(command ...string) {
		o.t.Helper()
		if _, err := node.Run(o.ctx, command...); err != nil {
			o.t.Fatal(err)
		}
	}
	quiet := func(status metav1.ConditionStatus, text string) {
		o.t.Helper()
		o.awaitAnnouncerCondition(node, v1alpha1.ConditionStrictARP, func(c metav1.Condition) bool {
			return c.Status == status && strings.Contains(c.Message, text)
		})
	}
	quiet(metav1.ConditionTrue, "")
	on("ip", "link", "add", "kube-ipvs0", "type", "bridge")
	on("ip", "address", "add", address.String()+"/32", "dev", "kube-ipvs0")
	quiet(metav1.ConditionFalse, "strictARP")
	on("ip", "link", "delete", "kube-ipvs0")
	quiet(metav1.ConditionTrue, "")
}
