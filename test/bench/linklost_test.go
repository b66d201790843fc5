package bench

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

// BenchmarkLinkLost cuts the link on which a node announces an address, while another link of the node lives. The lost link is that to
// the API server, too. It measures for how long nobody answers for the address (ARP), and a client there gets no answer from it.
func BenchmarkLinkLost(b *testing.B) {
	i := install.New(b, cluster.Config{Nodes: 3})
	if err := i.ApplyYAML(b.Context(), `
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: management}
spec: {addresses: [172.30.0.200-172.30.0.210]}
---
apiVersion: clarionlb.io/v1alpha1
kind: L2Advertisement
metadata: {name: management}
spec: {interfaces: [eth1]}
---
apiVersion: v1
kind: Service
metadata: {name: myapp}
spec: {type: LoadBalancer, selector: {app: myapp}, ports: [{port: 80, targetPort: 8080}]}
`); err != nil {
		b.Fatal(err)
	}
	i.StartApp(b)
	address := awaitAddress(b, i, "myapp")
	results := figures{}
	for b.Loop() {
		(&outage{Installation: i}).awaitMembers(b, len(i.Nodes()))
		watch, err := i.Control.Watch(b.Context(), "eth0", network.WatchOptions{}, address)
		if err != nil {
			b.Fatal(err)
		}
		var owner *cluster.Node
		answered := func() {
			install.Eventually(b, "a node to answer", func(ctx context.Context) error {
				before := owner
				if _, err := watch.AwaitSole(ctx, address, 10); err != nil {
					return err
				}
				var err error
				if owner, err = i.Owner(ctx, address); err == nil && owner == before {
					err = fmt.Errorf("%s still has it", owner.Name)
				}
				return err
			})
		}
		answered()
		meter := i.Control.Measure(netip.AddrPortFrom(address, 80), network.MeterOptions{Interval: 10 * time.Millisecond})
		if _, err := meter.Await(b.Context(), network.Succeeded); err != nil {
			b.Fatal(err)
		}
		lost := owner
		if err := lost.CutLink("eth1"); err != nil {
			b.Fatal(err)
		}
		answered()
		time.Sleep(observation)
		results.addDuration("client-ms", meter.Stop().LongestGap)
		if err := watch.Stop(); err != nil {
			b.Fatal(err)
		}
		results.addDuration("arp-ms", watch.Answers(address).LongestGap())
		if err := lost.RestoreLink("eth1"); err != nil {
			b.Fatal(err)
		}
		if err := lost.AwaitReady(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	results.report(b, "client-ms", "arp-ms")
}

// awaitAddress waits until a Service has an address, and returns it.
func awaitAddress(b *testing.B, i *install.Installation, name string) (address netip.Addr) {
	b.Helper()
	install.Eventually(b, "an address", func(ctx context.Context) error {
		service, err := i.Kubernetes().CoreV1().Services(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			address = netip.MustParseAddr(ingress.IP)
			return nil
		}
		return fmt.Errorf("status %v", service.Status)
	})
	return address
}
