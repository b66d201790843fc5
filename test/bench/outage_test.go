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

// BenchmarkOutage measures how long a client on the nodes' LAN gets no answer at an address when the node that answers for
// it fails. The client opens a fresh connection every 5 ms, with its ARP cache warm; the outage is the longest time
// between two connections that were answered.
func BenchmarkOutage(b *testing.B) {
	o := newOutage(b)
	b.Run("power-off", func(b *testing.B) {
		o.measure(b, func(owner *cluster.Node) error { return owner.PowerOff() }, func(owner *cluster.Node) {
			o.awaitMembers(b, 2) // which the status of those that are left says late
			if err := owner.PowerOn(); err != nil {
				b.Fatal(err)
			}
			if err := owner.AwaitReady(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("announcer-killed", func(b *testing.B) {
		o.measure(b, func(owner *cluster.Node) error {
			announcer, err := owner.Process("announcer")
			if err != nil {
				return err
			}
			return announcer.Kill()
		}, func(owner *cluster.Node) {
			// A new pod, because the kubelet holds back containers that die again and again.
			o.kubectl(b, "delete", "pods", "--namespace=clarion-system", "--field-selector=spec.nodeName="+owner.Name)
			o.kubectl(b, "rollout", "status", "--namespace=clarion-system", "daemonset/announcer", "--timeout=120s")
		})
	})
}

// observation is how long the client goes on at least after a failure.
const observation = 3 * time.Second

// outage is a cluster of three nodes with a Service.
type outage struct {
	*install.Installation
	address netip.Addr
}

func newOutage(b *testing.B) *outage {
	b.Helper()
	o := &outage{Installation: install.New(b, cluster.Config{Nodes: 3})}
	err := o.Apply(b.Context(), o.Sample("pool.yaml"), o.Sample("l2advertisement.yaml"), o.Sample("deployment.yaml"), o.Sample("service.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	o.kubectl(b, "rollout", "status", "deployment/myapp", "--timeout=120s")
	install.Eventually(b, "the address", func(ctx context.Context) error {
		service, err := o.Kubernetes().CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "myapp", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(service.Status.LoadBalancer.Ingress) == 0 {
			return fmt.Errorf("status %v", service.Status)
		}
		o.address, err = netip.ParseAddr(service.Status.LoadBalancer.Ingress[0].IP)
		return err
	})
	return o
}

func (o *outage) kubectl(b *testing.B, args ...string) {
	b.Helper()
	if _, err := o.Kubectl(b.Context(), args...); err != nil {
		b.Fatal(err)
	}
}

// measure has the owner of the address fail, and heals it, in each run.
func (o *outage) measure(b *testing.B, fail func(owner *cluster.Node) error, heal func(owner *cluster.Node)) {
	results := figures{}
	for b.Loop() {
		o.awaitMembers(b, 3)
		var owner *cluster.Node
		install.Eventually(b, "an owner", func(ctx context.Context) (err error) {
			owner, err = o.Owner(ctx, o.address)
			return err
		})
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		meter := o.Client.Measure(netip.AddrPortFrom(o.address, 80), network.MeterOptions{})
		if _, err := meter.Await(ctx, network.Succeeded); err != nil {
			b.Fatal(err)
		}
		if err := fail(owner); err != nil {
			b.Fatal(err)
		}
		time.Sleep(observation)
		if _, err := meter.Await(ctx, network.Succeeded); err != nil {
			b.Fatal(err)
		}
		cancel()
		report := meter.Stop()
		b.Logf("%s: %s", owner.Name, report)
		results.addDuration("ms", report.LongestGap)
		heal(owner)
	}
	results.report(b, "ms")
}

// awaitMembers waits until an announcer and those that it sees are that many.
func (o *outage) awaitMembers(b *testing.B, count int32) {
	b.Helper()
	install.Eventually(b, fmt.Sprintf("%d announcers", count), func(ctx context.Context) error {
		list, err := o.Clarion.ClarionV1alpha1().Announcers().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		seen := map[string]int32{}
		agree := int32(0)
		for _, announcer := range list.Items {
			seen[announcer.Name] = announcer.Status.Members.Alive
			if announcer.Status.Members.Alive == count {
				agree++
			}
		}
		if agree < count {
			return fmt.Errorf("members seen: %v", seen)
		}
		return nil
	})
}
