package bench

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

// BenchmarkEndpointsOfADeadNode takes the power from one of three nodes with an endpoint of a Service each, with the overlay
// withdraw-endpoints. It measures how long after that the last connection begins that fails: of clients on the LAN and behind the
// router to the address of the Service, and of one on another node to its ClusterIP. Kubernetes is kept from noticing.
//
// Each client opens a fresh connection every 10 ms, and has reached all endpoints before the power goes. A run ends when all three have had none fail for a second.
func BenchmarkEndpointsOfADeadNode(b *testing.B) {
	i := install.Bare(b, cluster.Config{Nodes: 3, Flags: map[string][]string{
		"kube-controller-manager": {"--node-monitor-grace-period=1h"},
	}})
	if err := i.Apply(b.Context(), "../../manifests/overlays/withdraw-endpoints"); err != nil {
		b.Fatal(err)
	}
	i.AwaitReady(b)
	for _, sample := range []string{"pool.yaml", "l2advertisement.yaml", "service.yaml"} {
		if err := i.Apply(b.Context(), i.Sample(sample)); err != nil {
			b.Fatal(err)
		}
	}
	i.StartApp(b)
	results := figures{}
	for b.Loop() {
		loseEndpoint(b, i, results)
	}
	results.report(b, "lan-ms", "router-ms", "clusterip-ms", "failed")
}

// loseEndpoint is one run.
func loseEndpoint(b *testing.B, i *install.Installation, results figures) {
	service := awaitEndpoints(b, i)
	dead, alive := withoutController(b, i)
	external, internal := netip.MustParseAddr(service.Status.LoadBalancer.Ingress[0].IP), netip.MustParseAddr(service.Spec.ClusterIP)
	meters := map[string]*network.Meter{
		"lan-ms":       i.Client.Measure(netip.AddrPortFrom(external, 80), network.MeterOptions{Interval: 10 * time.Millisecond}),
		"router-ms":    i.FarClient.Measure(netip.AddrPortFrom(external, 80), network.MeterOptions{Interval: 10 * time.Millisecond}),
		"clusterip-ms": alive.Measure(netip.AddrPortFrom(internal, 80), network.MeterOptions{Interval: 10 * time.Millisecond}),
	}
	awaitAllReached(b, i, meters)
	off := time.Now()
	if err := dead.PowerOff(); err != nil {
		b.Fatal(err)
	}
	install.Eventually(b, "a second without a failure", func(context.Context) error {
		for name, meter := range meters {
			if last := lastFailure(meter.Report(), off); time.Since(off)-last < 2*time.Second { // an attempt takes up to a second
				return fmt.Errorf("%s: the last connection that failed began after %s", name, last)
			}
		}
		return nil
	})
	failed := 0
	for name, meter := range meters {
		report := meter.Stop()
		b.Logf("%s, %s: the last one of %s began after %s", dead.Name, name, report, lastFailure(report, off))
		results.addDuration(name, lastFailure(report, off))
		for _, attempt := range report.Attempts {
			if attempt.Err != nil && attempt.End.After(off) {
				failed++
			}
		}
	}
	results.add("failed", float64(failed))
	if err := dead.PowerOn(); err != nil {
		b.Fatal(err)
	}
	if err := dead.AwaitReady(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// awaitAllReached waits until each client has lately been answered by every endpoint and by nothing else: a run in which nobody would
// have reached the node that dies would count for nothing.
func awaitAllReached(b *testing.B, i *install.Installation, meters map[string]*network.Meter) {
	b.Helper()
	install.Eventually(b, "every client to reach every endpoint", func(context.Context) error {
		for name, meter := range meters {
			report, reached := meter.Report(), map[string]bool{}
			for _, attempt := range report.Attempts[max(0, len(report.Attempts)-lately):] {
				if attempt.Err != nil {
					return fmt.Errorf("%s: %w", name, attempt.Err)
				}
				reached[attempt.Answer.Node] = true
			}
			if len(reached) < len(i.Nodes()) {
				return fmt.Errorf("%s has reached endpoints on %v", name, reached)
			}
		}
		return nil
	})
}

// lately is in how many of its connections a client is to have reached every endpoint: none is missed by chance.
const lately = 50

// lastFailure is how long after the power went the last connection began that failed, 0 if none did.
func lastFailure(report network.Report, off time.Time) (last time.Duration) {
	for _, attempt := range report.Attempts {
		if attempt.Err != nil {
			last = max(last, attempt.Start.Sub(off))
		}
	}
	return last
}

// awaitEndpoints waits until each node has a ready endpoint of the Service, and all announcers see each other.
func awaitEndpoints(b *testing.B, i *install.Installation) (service *corev1.Service) {
	b.Helper()
	(&outage{Installation: i}).awaitMembers(b, len(i.Nodes()))
	install.Eventually(b, "an endpoint on each node", func(ctx context.Context) (err error) {
		if service, err = i.Kubernetes().CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "myapp", metav1.GetOptions{}); err != nil {
			return err
		}
		slices, err := i.Kubernetes().DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=myapp"})
		if err != nil {
			return err
		}
		nodes := map[string]bool{}
		for _, slice := range slices.Items {
			for _, endpoint := range slice.Endpoints {
				if *endpoint.Conditions.Ready {
					nodes[*endpoint.NodeName] = true
				}
			}
		}
		if len(nodes) != len(i.Nodes()) || len(service.Status.LoadBalancer.Ingress) == 0 {
			return fmt.Errorf("there are some on %v, and the Service has %v", nodes, service.Status.LoadBalancer)
		}
		return nil
	})
	return service
}

// withoutController returns a node on which the cloud-controller-manager does not run, to lose its power, and the one on which it does.
func withoutController(b *testing.B, i *install.Installation) (dead, alive *cluster.Node) {
	b.Helper()
	pods, err := i.Kubernetes().CoreV1().Pods(metav1.NamespaceSystem).List(b.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + install.CCM})
	if err != nil || len(pods.Items) != 1 {
		b.Fatalf("%v, %v", pods, err)
	}
	for _, node := range i.Nodes() {
		switch {
		case node.Name == pods.Items[0].Spec.NodeName:
			alive = node
		default:
			dead = node
		}
	}
	return dead, alive
}
