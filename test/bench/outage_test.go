package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

// BenchmarkOutage measures for how long clients get no answer at the IPv4 and the IPv6 address of a
// Service when something happens to the node that answers for them.
//
// One client is on the nodes' LAN, with a warm ARP cache, and one is behind the router. Each opens
// a fresh connection to each address every 10 ms, and sends a request every 50 ms on a connection
// that it keeps. The outage is the longest time between two fresh connections that were answered.
//
// A client that does not know the address yet has to ask for it first. How long it would have asked
// in vain is the longest time in which no ARP request or neighbour solicitation was answered. One
// is sent every 5 ms.
func BenchmarkOutage(b *testing.B) {
	o := newOutage(b)
	b.Run("nothing", func(b *testing.B) { // shows what other work on the machine does to the figures
		o.measure(b, func(*cluster.Node) error { return nil }, func(*cluster.Node) {})
	})
	powerOn := func(b *testing.B, owner *cluster.Node) {
		b.Helper()
		o.awaitMembers(b, 2) // so that all have noticed
		if err := owner.PowerOn(); err != nil {
			b.Fatal(err)
		}
		if err := owner.AwaitReady(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("power-off", func(b *testing.B) {
		o.measure(b, func(owner *cluster.Node) error { return owner.PowerOff() }, func(owner *cluster.Node) { powerOn(b, owner) })
	})
	b.Run("shutdown", func(b *testing.B) { // as the init system does it: processes are told to end, and the power goes
		o.measure(b, func(owner *cluster.Node) error {
			announcer, err := owner.Process("announcer")
			if err != nil {
				return err
			}
			return errors.Join(announcer.Terminate(), announcer.Wait(b.Context()), owner.PowerOff())
		}, func(owner *cluster.Node) { powerOn(b, owner) })
	})
	b.Run("link-cut", func(b *testing.B) {
		o.measure(b, func(owner *cluster.Node) error { return owner.CutLink("eth0") }, func(owner *cluster.Node) {
			if err := owner.RestoreLink("eth0"); err != nil {
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
			o.replaceAnnouncer(b, owner)
		})
	})
	b.Run("announcer-restarted", func(b *testing.B) {
		o.measure(b, func(owner *cluster.Node) error {
			o.replaceAnnouncer(b, owner)
			return nil
		}, func(*cluster.Node) {})
	})
	b.Run("drain", func(b *testing.B) {
		drain := func(owner *cluster.Node, value *string) error {
			patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, v1alpha1.AnnotationDrain)
			if value != nil {
				patch = fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationDrain, *value)
			}
			_, err := o.Kubernetes().CoreV1().Nodes().Patch(b.Context(), owner.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			return err
		}
		o.measure(b, func(owner *cluster.Node) error { return drain(owner, ptr.To("")) }, func(owner *cluster.Node) {
			if err := drain(owner, nil); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// observation is how long the clients go on after a failure, at least.
const observation = 3 * time.Second

// slowOutage is from when on an outage is so long that what the announcers say of it is of interest.
const slowOutage = 300 * time.Millisecond

// replaceAnnouncer deletes the announcer's pod on a node, as an upgrade does, and waits until the
// new one is ready.
func (o *outage) replaceAnnouncer(b *testing.B, node *cluster.Node) {
	b.Helper()
	o.replaceAgent(b, clarion.namespace, clarion.agents, node)
}

// replaceAgent does that with a pod that has labels.
func (o *outage) replaceAgent(b *testing.B, namespace, labels string, node *cluster.Node) {
	b.Helper()
	pods := o.Kubernetes().CoreV1().Pods(namespace)
	agents := metav1.ListOptions{LabelSelector: labels, FieldSelector: "spec.nodeName=" + node.Name}
	if err := pods.DeleteCollection(b.Context(), metav1.DeleteOptions{}, agents); err != nil {
		b.Fatal(err)
	}
	install.Eventually(b, "another agent", func(ctx context.Context) error {
		list, err := pods.List(ctx, agents)
		if err != nil {
			return err
		}
		for _, pod := range list.Items {
			for _, condition := range pod.Status.Conditions {
				if pod.DeletionTimestamp == nil && condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
					return nil
				}
			}
		}
		return fmt.Errorf("%d pods, none is ready", len(list.Items))
	})
}

// measure calls fail with the owner of the addresses in each run, and heal at its end.
func (o *outage) measure(b *testing.B, fail func(owner *cluster.Node) error, heal func(owner *cluster.Node)) {
	results := figures{}
	for b.Loop() {
		owner := o.awaitOwner(b)
		watch, err := o.watcher.Watch(b.Context(), "eth0", network.WatchOptions{}, o.addresses...)
		if err != nil {
			b.Fatal(err)
		}
		type client struct {
			name  string
			meter *network.Meter
			// session is the connection that it has.
			session *network.Session
		}
		var clients []client
		for _, address := range o.addresses {
			family := map[bool]string{false: "4", true: "6"}[address.Is6()]
			for name, from := range map[string]*network.Host{"lan": o.Client, "router": o.FarClient} {
				meter := from.Measure(netip.AddrPortFrom(address, 80), network.MeterOptions{Interval: 10 * time.Millisecond})
				session, err := from.Talk(netip.AddrPortFrom(address, 80))
				if err != nil {
					b.Fatal(err)
				}
				clients = append(clients, client{name + family, meter, session})
			}
		}
		answered := func() {
			ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
			defer cancel()
			for _, client := range clients {
				if _, err := client.meter.Await(ctx, network.Succeeded); err != nil {
					b.Fatal(err)
				}
			}
			for _, address := range o.addresses {
				if _, err := watch.AwaitSole(ctx, address, 10); err != nil {
					b.Fatal(err)
				}
			}
		}
		answered()
		logs := readLogs(b, o.Cluster)
		if err := fail(owner); err != nil {
			b.Fatal(err)
		}
		time.Sleep(observation)
		answered()

		failed, broken, longest := 0, 0, time.Duration(0)
		for _, client := range clients {
			report := client.meter.Stop()
			b.Logf("%s, %s: %s", owner.Name, client.name, report)
			results.addDuration(client.name+"-ms", report.LongestGap)
			failed += report.Failures
			longest = max(longest, report.LongestGap)
			if answers, err := client.session.Stop(); err != nil {
				b.Logf("%s, %s: its connection broke after %d answers: %v", owner.Name, client.name, answers, err)
				broken++
			}
		}
		results.add("failed", float64(failed))
		results.add("broken", float64(broken))
		said := logs.rest(b, o.Cluster)
		results.add("heartbeats", map[bool]float64{true: 1}[byHeartbeats(said)])
		if longest > slowOutage {
			for node, lines := range said {
				b.Logf("the announcer of %s said meanwhile:\n%s", node, strings.Join(lines, "\n"))
			}
		}
		if err := watch.Stop(); err != nil {
			b.Fatal(err)
		}
		for _, address := range o.addresses {
			results.addDuration(map[bool]string{false: "arp-ms", true: "nd-ms"}[address.Is6()], watch.Answers(address).LongestGap())
		}
		heal(owner)
	}
	results.report(b, "lan4-ms", "router4-ms", "lan6-ms", "router6-ms", "arp-ms", "nd-ms", "failed", "broken", "heartbeats")
}

// awaitOwner waits until all announcers see each other and one node has all the addresses.
func (o *outage) awaitOwner(b *testing.B) (owner *cluster.Node) {
	b.Helper()
	o.awaitMembers(b, len(o.Nodes()))
	install.Eventually(b, "one owner", func(ctx context.Context) (err error) {
		if owner, err = o.Owner(ctx, o.addresses[0]); err != nil {
			return err
		}
		for _, address := range o.addresses[1:] {
			if other, err := o.Owner(ctx, address); err != nil || other != owner {
				return fmt.Errorf("%s has %s, %v has %s (%v)", owner.Name, o.addresses[0], other, address, err)
			}
		}
		return nil
	})
	return owner
}

// newOutage returns a cluster of three nodes with a Service that has an address of each family.
func newOutage(b *testing.B) *outage {
	b.Helper()
	config := cluster.Config{Nodes: 3, Families: []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}}
	o := &outage{Installation: install.New(b, config)}
	var err error
	if o.watcher, err = o.AddHost("watcher", 101); err != nil {
		b.Fatal(err)
	}
	if err := o.ApplyYAML(b.Context(), `
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: public}
spec: {addresses: [192.168.10.200-192.168.10.250, "fd00:10::200-fd00:10::250"]}
---
apiVersion: v1
kind: Service
metadata: {name: myapp}
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  selector: {app: myapp}
  ports: [{port: 80, targetPort: 8080}]
`); err != nil {
		b.Fatal(err)
	}
	if err := o.Apply(b.Context(), o.Sample("l2advertisement.yaml")); err != nil {
		b.Fatal(err)
	}
	o.StartApp(b)
	install.Eventually(b, "the addresses", func(ctx context.Context) error {
		service, err := o.Kubernetes().CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "myapp", metav1.GetOptions{})
		if err != nil {
			return err
		}
		o.addresses = nil
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			o.addresses = append(o.addresses, netip.MustParseAddr(ingress.IP))
		}
		if len(o.addresses) != 2 {
			return fmt.Errorf("status %v", service.Status)
		}
		return nil
	})
	// A new address is announced once nobody else is found to have it.
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	for _, address := range o.addresses {
		meter := o.Client.Measure(netip.AddrPortFrom(address, 80), network.MeterOptions{})
		_, err := meter.Await(ctx, network.Succeeded)
		meter.Stop()
		if err != nil {
			b.Fatal(err)
		}
	}
	return o
}
