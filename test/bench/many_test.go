package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/claims"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

// many is how many addresses fail over at once.
const many = 1000

// BenchmarkManyAddresses takes the power from the node that announces 1,000 addresses. It measures
// when the nodes that take over have told the LAN about the first address, half of them and the
// last, by gratuitous ARP.
func BenchmarkManyAddresses(b *testing.B) {
	o := &outage{Installation: install.New(b, cluster.Config{Nodes: 3})}
	o.createMany(b)
	const first = "n1"
	results := figures{}
	for b.Loop() {
		o.awaitMembers(b, 3)
		o.advertise(b, "{kubernetes.io/hostname: "+first+"}")
		o.awaitClaims(b, first)
		o.advertise(b, "{}")
		others := map[string]bool{}
		for _, node := range o.Nodes()[1:] {
			others[node.MAC("eth0").String()] = true
		}
		o.awaitEligible(b, first)
		o.awaitSettled(b, first)

		sniffer, err := o.Client.Sniff(b.Context(), "eth0", "arp and ether broadcast")
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if err := o.Node(first).PowerOff(); err != nil {
			b.Fatal(err)
		}
		heard := map[netip.Addr]time.Duration{} // when the LAN was told, zero until then
		for _, address := range o.addresses {
			heard[address] = 0
		}
		left := many
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		_, err = sniffer.Await(ctx, func(frame network.Frame) bool {
			address, mac, ok := gratuitous(frame)
			if after, ours := heard[address]; ok && ours && after == 0 && others[mac.String()] {
				heard[address] = frame.Time.Sub(start)
				left--
			}
			return left == 0
		})
		cancel()
		sniffer.Stop()
		if err != nil {
			b.Fatalf("no gratuitous ARP was seen for %d addresses: %v", left, err)
		}
		var times []time.Duration
		for _, after := range heard {
			times = append(times, after)
		}
		slices.Sort(times)
		results.addDuration("first-ms", times[0])
		results.addDuration("half-ms", times[many/2])
		results.addDuration("last-ms", times[many-1])
		recorded := o.awaitRecorded(b, first)
		results.addDuration("recorded-ms", recorded.Sub(start))

		o.awaitMembers(b, 2)
		if err := o.Node(first).PowerOn(); err != nil {
			b.Fatal(err)
		}
		if err := o.Node(first).AwaitReady(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	results.report(b, "first-ms", "half-ms", "last-ms", "recorded-ms")
}

// createMany creates Services with an address and an endpoint each.
func (o *outage) createMany(b *testing.B) {
	b.Helper()
	if err := o.ApplyYAML(b.Context(), "apiVersion: clarionlb.io/v1alpha1\nkind: IPAddressPool\nmetadata: {name: public}\nspec: {addresses: [10.200.0.0/20]}\n"); err != nil {
		b.Fatal(err)
	}
	o.StartApp(b)
	forEach(b, names("many", many), o.createService)
	install.Eventually(b, "the addresses", func(ctx context.Context) error {
		list, err := o.Kubernetes().CoreV1().Services(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		o.addresses = nil
		for _, service := range list.Items {
			for _, ingress := range service.Status.LoadBalancer.Ingress {
				o.addresses = append(o.addresses, netip.MustParseAddr(ingress.IP))
			}
		}
		if len(o.addresses) != many {
			return fmt.Errorf("there are %d", len(o.addresses))
		}
		return nil
	})
}

// createService creates a Service with an address and an endpoint.
func (o *outage) createService(ctx context.Context, name string) error {
	_, err := o.Kubernetes().CoreV1().Services(metav1.NamespaceDefault).Create(ctx, newService(name), metav1.CreateOptions{})
	return err
}

// advertise has only nodes with these labels announce the addresses.
func (o *outage) advertise(b *testing.B, labels string) {
	b.Helper()
	err := o.ApplyYAML(b.Context(), "apiVersion: clarionlb.io/v1alpha1\nkind: L2Advertisement\nmetadata: {name: public}\nspec: {nodeSelectors: [{matchLabels: "+labels+"}]}\n")
	if err != nil {
		b.Fatal(err)
	}
}

// awaitClaims waits until a node announces all addresses, and no other node any.
func (o *outage) awaitClaims(b *testing.B, node string) {
	b.Helper()
	install.Eventually(b, "all addresses to be on "+node, func(ctx context.Context) error {
		claims, err := o.claims(ctx)
		if err == nil && (claims[node] != many || len(claims) != 1) {
			err = fmt.Errorf("claims: %v", claims)
		}
		return err
	})
}

// awaitRecorded waits until the Announcers of other nodes have all addresses, and returns when that
// was.
func (o *outage) awaitRecorded(b *testing.B, lost string) (at time.Time) {
	b.Helper()
	install.Eventually(b, "all addresses to be on other nodes", func(ctx context.Context) error {
		claims, err := o.claims(ctx)
		if err != nil {
			return err
		}
		delete(claims, lost)
		sum := 0
		for _, n := range claims {
			sum += n
		}
		if sum != many {
			return fmt.Errorf("claims: %v", claims)
		}
		at = time.Now()
		return nil
	})
	return at
}

// claims returns how many addresses the nodes announce.
func (o *outage) claims(ctx context.Context) (map[string]int, error) {
	list, err := o.Clarion.ClarionV1alpha1().Announcers().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	slices, err := o.Clarion.ClarionV1alpha1().ClaimSlices().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, announcer := range list.Items {
		for _, claim := range claims.OfList(&announcer, slices) {
			if len(claim.Interfaces) > 0 {
				counts[announcer.Name]++
			}
		}
	}
	return counts, nil
}

// awaitEligible waits until other nodes know that they may announce addresses, too. One more
// address then goes to one of them, because they have none.
func (o *outage) awaitEligible(b *testing.B, first string) {
	b.Helper()
	if err := o.createService(b.Context(), "one-more"); err != nil {
		b.Fatal(err)
	}
	install.Eventually(b, "another node to announce one more address", func(ctx context.Context) error {
		claims, err := o.claims(ctx)
		if err == nil && len(claims) < 2 {
			err = fmt.Errorf("claims: %v", claims)
		}
		return err
	})
	if err := o.Kubernetes().CoreV1().Services(metav1.NamespaceDefault).Delete(b.Context(), "one-more", metav1.DeleteOptions{}); err != nil {
		b.Fatal(err)
	}
	o.awaitClaims(b, first)
}

// awaitSettled waits until nothing is left to do of what has changed before: every Service says that the node announces it, and each
// kube-proxy has applied all that it knows.
func (o *outage) awaitSettled(b *testing.B, announcer string) {
	b.Helper()
	install.Eventually(b, "all Services to say that "+announcer+" announces them, and the kube-proxies to be done", func(ctx context.Context) error {
		for _, node := range o.Nodes() {
			if err := proxySettled(ctx, node); err != nil {
				return err
			}
		}
		list, err := o.Kubernetes().CoreV1().Services(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, service := range list.Items {
			if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
				continue
			}
			condition := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAnnounced)
			if condition == nil || announcedByOtherThan(announcer)(*condition) {
				return fmt.Errorf("%s: %v", service.Name, condition)
			}
		}
		return nil
	})
}

// proxySettled returns an error if the kube-proxy of a node has been told of something, of either family, that it has not applied yet.
func proxySettled(ctx context.Context, node *cluster.Node) error {
	metrics, err := node.Run(ctx, "curl", "--silent", "--show-error", "http://127.0.0.1:10249/metrics")
	if err != nil {
		return err
	}
	times := map[string]float64{}
	for line := range strings.Lines(metrics) {
		if series, value, is := strings.Cut(strings.TrimSpace(line), " "); is && strings.HasPrefix(series, "kubeproxy_sync_proxy_rules_last_") {
			if times[series], err = strconv.ParseFloat(value, 64); err != nil {
				return err
			}
		}
	}
	families := 0
	for series, queued := range times {
		labels, is := strings.CutPrefix(series, "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds")
		if !is {
			continue
		}
		families++
		if applied := times["kubeproxy_sync_proxy_rules_last_timestamp_seconds"+labels]; applied < queued {
			return fmt.Errorf("kube-proxy of %s, %s: applied at %f what was there at %f", node.Name, labels, applied, queued)
		}
	}
	if families == 0 {
		return fmt.Errorf("kube-proxy of %s does not say when it was told of something", node.Name)
	}
	return nil
}

// gratuitous returns the address and hardware address that a frame announces by gratuitous ARP (RFC
// 5227).
func gratuitous(frame network.Frame) (address netip.Addr, mac net.HardwareAddr, ok bool) {
	data := frame.Data
	if len(data) < 42 || binary.BigEndian.Uint16(data[12:]) != unix.ETH_P_ARP || !bytes.Equal(data[28:32], data[38:42]) {
		return netip.Addr{}, nil, false
	}
	return netip.AddrFrom4([4]byte(data[28:32])), net.HardwareAddr(data[22:28]), true
}
