package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// TestBothFamiliesOfAServiceAnswerAndFailOver takes the power from the node that announces an IPv4
// and an IPv6 address of one Service, and many others.
func TestBothFamiliesOfAServiceAnswerAndFailOver(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 3, Families: []corev1.IPFamily{ipv4, ipv6}})
	const addressPool, advertisement = `
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: public}
spec:
  addresses: [192.168.10.200-192.168.10.250, "fd00:10::200-fd00:10::250"]
`, `
apiVersion: clarionlb.io/v1alpha1
kind: L2Advertisement
metadata: {name: public}
spec:
  ipAddressPools: [public, many]
`
	d.applyYAML(addressPool + "---" + manyPool)
	// At first one node alone may announce, so that it gets both addresses.
	const first = "n2"
	d.applyYAML(advertisement + "  nodeSelectors: [{matchLabels: {kubernetes.io/hostname: " + first + "}}]\n")
	d.StartApp(d.t)
	d.loadBalancer("dual", families(prefer))
	both := d.awaitAddressCount("dual", 2)
	if !both[0].Is4() || !both[1].Is6() {
		t.Fatalf("addresses %v, want an IPv4 and an IPv6 address", both)
	}
	answered := func(d *deployment) {
		d.t.Helper()
		for _, address := range both {
			for _, from := range []*network.Host{d.Client, d.FarClient} {
				d.awaitAnswer(from, address)
			}
		}
	}
	owners := func(d *deployment) []string {
		d.t.Helper()
		return []string{d.awaitSoleOwner(both[0]).Name, d.awaitSoleOwner(both[1]).Name}
	}

	t.Run("both addresses answer a client on the LAN and one behind the router", func(t *testing.T) {
		d := d.in(t)
		answered(d)
		if got := owners(d); !slices.Equal(got, []string{first, first}) {
			t.Errorf("announced by %v, want %s, the only node selected", got, first)
		}
	})

	many := d.newMany()
	many.record(d.Node(first))
	d.applyYAML(advertisement)
	t.Run("both addresses move when their owner loses its power", func(t *testing.T) {
		d := d.in(t)
		var meters []*network.Meter
		for _, address := range both {
			for _, from := range []*network.Host{d.Client, d.FarClient} {
				meters = append(meters, from.Measure(netip.AddrPortFrom(address, 80), network.MeterOptions{Interval: 20 * time.Millisecond}))
			}
		}
		for _, meter := range meters {
			d.awaitSuccess(meter)
		}
		d.powerOff(d.Node(first))
		for _, address := range both {
			d.awaitOtherOwner(address, d.Node(first))
		}
		for _, meter := range meters {
			d.awaitSuccess(meter)
		}
		for i, meter := range meters {
			report := meter.Stop()
			t.Logf("%s from the client %s: longest gap %s; %s", both[i/2], []string{"on the LAN", "behind the router"}[i%2], report.LongestGap, report)
		}
		answered(d)
	})
	t.Run("so does every one of many", many.run(testManyMoved(d.Node(first))))

	t.Run("both addresses stay when their former owner returns", func(t *testing.T) {
		d := d.in(t)
		before := owners(d)
		d.powerOn(d.Node(first))
		d.awaitAnnouncers()
		if now := owners(d); !slices.Equal(now, before) {
			t.Errorf("announced by %v, want %v as before", now, before)
		}
		answered(d)
	})

	t.Run("many addresses stay through restarts of everything and tampering with ClaimSlices", many.run(testManyStay))

	t.Run("a Service with an IPv6 address alone is announced, too", func(t *testing.T) {
		d := d.in(t)
		d.loadBalancer("six", func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{ipv6} })
		address := d.awaitAddress("six")
		d.awaitAnswer(d.Client, address)
		d.awaitSoleOwner(address)
		d.delete("six")
		d.eventually("nobody to claim its address", func(ctx context.Context) error {
			claims, err := d.Claims(ctx)
			if claim, claimed := claims[address.String()]; claimed {
				err = fmt.Errorf("%s does", claim.Node.Name)
			}
			return err
		})
	})
	t.Run("an address moves when the link goes on which it is announced", d.run(testLinkLost))
}

// testLinkLost takes the link to the management LAN from the node that announces an address there. With it the node loses the API server,
// so that it cannot record that it has it no more: the others know from the node itself, over the other link.
func testLinkLost(d *deployment) {
	d.applyYAML(pool("management", "172.30.0.200-172.30.0.210") + `---
apiVersion: clarionlb.io/v1alpha1
kind: L2Advertisement
metadata: {name: management}
spec: {ipAddressPools: [management], interfaces: [eth1]}
`)
	d.loadBalancer("management", annotate("clarionlb.io/address-pool", "management"))
	address := d.awaitAddress("management")
	watch, err := d.Control.Watch(d.ctx, "eth0", network.WatchOptions{}, address)
	if err != nil {
		d.t.Fatal(err)
	}
	var owner *cluster.Node
	d.eventually("a node to answer", func(ctx context.Context) (err error) {
		if _, err = watch.AwaitSole(ctx, address, 10); err == nil {
			owner, err = d.Owner(ctx, address)
		}
		return err
	})
	meter := d.Control.Measure(netip.AddrPortFrom(address, 80), network.MeterOptions{Interval: 20 * time.Millisecond})
	d.awaitSuccess(meter)
	if err := owner.CutLink("eth1"); err != nil {
		d.t.Fatal(err)
	}
	d.awaitOtherOwner(address, owner)
	d.awaitSuccess(meter)
	d.t.Logf("a client beside the control plane: %s", meter.Stop())
	if err := watch.Stop(); err != nil {
		d.t.Fatal(err)
	}
	answers := watch.Answers(address)
	d.t.Logf("nobody answered for %s: %s", answers.LongestGap(), d.named(answers.String()))
	if answers.Moves() != 1 || answers.MostAtOnce() != 1 {
		d.t.Errorf("there were %d moves, and %d nodes answered at once", answers.Moves(), answers.MostAtOnce())
	}
	if err := owner.RestoreLink("eth1"); err != nil {
		d.t.Fatal(err)
	}
	d.awaitAnnouncers()
}
