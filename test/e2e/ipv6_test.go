package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// TestBothFamiliesOfAServiceAnswerAndFailOver announces an IPv4 and an IPv6 address of one Service and loses their owner.
func TestBothFamiliesOfAServiceAnswerAndFailOver(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 3, Families: []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}})
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
  ipAddressPools: [public]
`
	d.applyYAML(addressPool)
	// One node has both addresses in the end, for it to be lost with both.
	const first = "n2"
	d.applyYAML(advertisement + "  nodeSelectors: [{matchLabels: {kubernetes.io/hostname: " + first + "}}]\n")
	d.apply(samples + "deployment.yaml")
	d.kubectl("rollout", "status", "deployment/myapp", "--timeout=120s")
	d.loadBalancer("dual", func(s *corev1.Service) {
		policy := corev1.IPFamilyPolicyPreferDualStack
		s.Spec.IPFamilyPolicy = &policy
	})
	var both []netip.Addr
	d.eventually("an address of each family", func(context.Context) error {
		both = addresses(d.service("dual"))
		if len(both) != 2 || !both[0].Is4() || !both[1].Is6() {
			return fmt.Errorf("addresses %v", both)
		}
		return nil
	})
	answered := func(d *deployment) {
		d.t.Helper()
		for _, address := range both {
			for _, from := range []*network.Host{d.Client, d.FarClient} {
				d.eventually(fmt.Sprintf("an answer at %s for %s", address, from.Name), func(ctx context.Context) error {
					_, err := curl(ctx, from, address)
					return err
				})
			}
		}
	}
	owners := func(d *deployment) []string {
		d.t.Helper()
		return []string{d.awaitSoleOwner(both[0]).Name, d.awaitSoleOwner6(both[1]).Name}
	}

	t.Run("both answer a client on the LAN and one behind the router", func(t *testing.T) {
		d := d.in(t)
		answered(d)
		if got := owners(d); !slices.Equal(got, []string{first, first}) {
			t.Errorf("announced by %v, want %s, the only node selected", got, first)
		}
	})

	d.applyYAML(advertisement)
	t.Run("both move when their owner loses its power", func(t *testing.T) {
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
		if err := d.Node(first).PowerOff(); err != nil {
			t.Fatal(err)
		}
		for _, address := range both {
			d.eventually(fmt.Sprintf("another node to own %s", address), func(ctx context.Context) error {
				now, err := d.Owner(ctx, address)
				if err == nil && now.Name == first {
					err = fmt.Errorf("%s still owns it", first)
				}
				return err
			})
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

	t.Run("both stay when their former owner returns", func(t *testing.T) {
		d := d.in(t)
		before := owners(d)
		if err := d.Node(first).PowerOn(); err != nil {
			t.Fatal(err)
		}
		if err := d.Node(first).AwaitReady(d.ctx); err != nil {
			t.Fatal(err)
		}
		d.kubectl("rollout", "status", "--namespace=clarion-system", "daemonset/announcer", "--timeout=120s")
		if now := owners(d); !slices.Equal(now, before) {
			t.Errorf("announced by %v, want %v as before", now, before)
		}
		answered(d)
	})

	t.Run("an IPv6 Service alone is announced too", func(t *testing.T) {
		d := d.in(t)
		d.loadBalancer("six", func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} })
		address := d.awaitAddress("six")
		d.awaitAnswer(address)
		d.awaitSoleOwner6(address)
		d.delete("six")
		d.eventually("nobody to claim its address", func(ctx context.Context) error {
			list, err := d.Clarion.ClarionV1alpha1().Announcers().List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			for _, announcer := range list.Items {
				for _, claim := range announcer.Status.Layer2.Addresses {
					if claim.IP == address.String() {
						return fmt.Errorf("%s does", announcer.Name)
					}
				}
			}
			return nil
		})
	})
}

// awaitSuccess waits for an attempt of a meter that begins from now on and is answered.
func (d *deployment) awaitSuccess(meter *network.Meter) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	if _, err := meter.Await(ctx, network.Succeeded); err != nil {
		d.t.Fatal(err)
	}
}

// awaitSoleOwner6 waits until exactly one node answers neighbour solicitations for an address, the one that claims it.
func (d *deployment) awaitSoleOwner6(address netip.Addr) *cluster.Node {
	d.t.Helper()
	var owner *cluster.Node
	d.eventually(fmt.Sprintf("one node, the owner, to answer for %s", address), func(ctx context.Context) (err error) {
		if owner, err = d.Owner(ctx, address); err != nil {
			return err
		}
		answered, err := d.whoAnswers6(ctx, address)
		if err != nil {
			return err
		}
		if !slices.Equal(answered, []string{owner.Name}) {
			return fmt.Errorf("%s owns it and %v answer", owner.Name, answered)
		}
		return nil
	})
	return owner
}

// whoAnswers6 has the client solicit an address, several times over, so that the answer of a second node is seen also if it
// comes late, and returns the nodes that answered.
func (d *deployment) whoAnswers6(ctx context.Context, address netip.Addr) ([]string, error) {
	sniffer, err := d.Client.Sniff(ctx, "eth0", "icmp6")
	if err != nil {
		return nil, err
	}
	defer sniffer.Stop()
	for range 5 {
		if _, err := d.Client.Run(ctx, "ip", "neigh", "flush", "to", address.String(), "dev", "eth0"); err != nil {
			return nil, err
		}
		asked := time.Now()
		conn, err := d.Client.DialContext(ctx, "udp", netip.AddrPortFrom(address, 9).String()) // discard: any packet makes the kernel ask
		if err != nil {
			return nil, err
		}
		_, err = conn.Write([]byte{0})
		conn.Close()
		if err != nil {
			return nil, err
		}
		answered, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err = sniffer.Await(answered, func(frame network.Frame) bool {
			return isSolicitedAdvertisement(frame, address) && frame.Time.After(asked)
		})
		cancel()
		if err != nil {
			return nil, fmt.Errorf("nobody answers for %s: %w", address, err)
		}
	}
	var names []string
	for _, node := range d.Nodes() {
		if slices.ContainsFunc(sniffer.Frames(), func(frame network.Frame) bool {
			return isSolicitedAdvertisement(frame, address) && bytes.Equal(frame.Data[6:12], node.MAC("eth0"))
		}) {
			names = append(names, node.Name)
		}
	}
	return names, nil
}

// isSolicitedAdvertisement tells whether a frame is a neighbour advertisement (RFC 4861, section 4.4) that answers a
// solicitation for an address.
func isSolicitedAdvertisement(frame network.Frame, address netip.Addr) bool {
	const ipv6EtherType, icmpv6, advertisement, solicited = 0x86dd, 58, 136, 0x40
	data := frame.Data
	return len(data) >= 78 && !frame.Outgoing &&
		int(data[12])<<8|int(data[13]) == ipv6EtherType && data[20] == icmpv6 && data[54] == advertisement &&
		data[58]&solicited != 0 && bytes.Equal(data[62:78], address.AsSlice())
}
