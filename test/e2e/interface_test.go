package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

// TestOneInterfaceOfANodeAnswersAndOneHostThatAnswersForAllIsOneCause has a node with two interfaces in
// the LAN, and then a host that answers ARP for every address of a pool.
func TestOneInterfaceOfANodeAnswersAndOneHostThatAnswersForAllIsOneCause(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 1})
	node := d.Nodes()[0]
	d.apply(samples + "deployment.yaml")
	on := func(host interface {
		Run(ctx context.Context, command ...string) (string, error)
	}, command ...string) {
		d.t.Helper()
		if _, err := host.Run(d.ctx, command...); err != nil {
			d.t.Fatal(err)
		}
	}

	address := netip.MustParseAddr("192.168.10.241")
	second := net.HardwareAddr{2, 0, 0, 0, 1, 1}
	on(node, "ip", "link", "add", "link", "eth0", "name", "lan1", "address", second.String(), "type", "macvlan", "mode", "bridge")
	on(node, "ip", "address", "add", "192.168.10.201/24", "dev", "lan1")
	on(node, "ip", "link", "set", "lan1", "up")
	d.applyYAML(pool("two", "192.168.10.240-192.168.10.242") + `---
apiVersion: clarionlb.io/v1alpha1
kind: L2Advertisement
metadata: {name: two}
spec: {ipAddressPools: [two], interfaces: [eth0, "lan*"]}
`)
	watch := d.watch(address)
	d.loadBalancer("two", wish(address.String()))
	d.awaitSoleOwnerSeenBy(watch, address) // with the hardware address of eth0
	on(node, "ip", "route", "add", "192.168.10.240/28", "dev", "lan1")
	d.eventually("the second interface to answer alone", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if mac, err := watch.AwaitSole(ctx, address, 10); err != nil || mac.String() != second.String() {
			return fmt.Errorf("%s answers: %w", mac, err)
		}
		return nil
	})
	if answers := watch.Answers(address); answers.MostAtOnce() != 1 {
		d.t.Errorf("two answered at once: %s", d.named(answers.String()))
	}

	router, err := d.AddHost("proxy", 243)
	if err != nil {
		d.t.Fatal(err)
	}
	on(router, "ip", "route", "add", "local", "203.0.113.0/24", "dev", "lo")
	const advertisement = `---
apiVersion: clarionlb.io/v1alpha1
kind: L2Advertisement
metadata: {name: all}
spec: {ipAddressPools: [all], interfaces: [eth0]%s}
`
	d.applyYAML(pool("all", "203.0.113.10-203.0.113.29") + fmt.Sprintf(advertisement, ""))
	d.loadBalancer("all", annotate("clarionlb.io/address-pool", "all"))
	d.awaitAnnounced("all", v1alpha1.ReasonAddressConflict, ".* is not announced: the host "+router.MAC("eth0").String()+" answers for every address .*")
	d.awaitEvent("all", corev1.EventTypeWarning, "AddressConflict", "answers for every address")
	had := addressTexts(d.service("all"))
	if told := d.events("all"); len(had) != 1 || told["AddressConflict"] != 1 {
		d.t.Errorf("the Service has %v, and was told of the conflict %d times: %v", had, told["AddressConflict"], told)
	}
	d.applyYAML(fmt.Sprintf(advertisement, ", duplicateAddressDetection: Disabled"))
	d.awaitAnnounced("all", v1alpha1.ReasonAnnounced, ".* is announced by n1 on eth0 .*")
	d.awaitAddresses("all", had...)

	d.kubectl("delete", "l2advertisements", "two", "all")
	d.clear()
	t.Run("addresses of conflicting hosts are taken away, and not handed out", d.run(testConflictingHosts)) // the last: it has no announcer
}
