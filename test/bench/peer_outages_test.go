package bench

import (
	"bytes"
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

// outages are what happens to the node that answers for an address, while clients go on.
var outages = []scenario{
	failure("the node loses its power", func(b *testing.B, _ *outage, _ product, owner *cluster.Node) error {
		return owner.PowerOff()
	}, func(b *testing.B, owner *cluster.Node) {
		if err := owner.PowerOn(); err != nil {
			b.Fatal(err)
		}
		if err := owner.AwaitReady(b.Context()); err != nil {
			b.Fatal(err)
		}
	}),
	failure("the link of the node is cut", func(_ *testing.B, _ *outage, _ product, owner *cluster.Node) error {
		return owner.CutLink("eth0")
	}, func(b *testing.B, owner *cluster.Node) {
		if err := owner.RestoreLink("eth0"); err != nil {
			b.Fatal(err)
		}
	}),
	failure("the agent of the node is replaced, as for an upgrade", func(b *testing.B, o *outage, p product, owner *cluster.Node) error {
		o.replaceAgent(b, p.namespace, p.agents, owner)
		return nil
	}, func(*testing.B, *cluster.Node) {}),
}

// failure is a scenario in which something happens to the node that answers, and is put right again.
func failure(name string, fail func(*testing.B, *outage, product, *cluster.Node) error, heal func(*testing.B, *cluster.Node)) scenario {
	return scenario{name, func(b *testing.B, p product, results *measured) {
		o, address := newPeerOutage(b, p)
		for b.Loop() {
			owner := o.awaitAnswering(b, address, nil)
			meters := map[string]*network.Meter{}
			for client, from := range o.clients() {
				meters[client] = from.Measure(netip.AddrPortFrom(address, 80), network.MeterOptions{Interval: 10 * time.Millisecond})
				awaitSuccess(b, meters[client])
			}
			if err := fail(b, o, p, owner); err != nil {
				b.Fatal(err)
			}
			time.Sleep(observation)
			for _, client := range []string{"on the LAN", "behind the router"} {
				awaitSuccess(b, meters[client])
				report := meters[client].Stop()
				b.Logf("%s, client %s: %s", p.name, client, report)
				results.add("longest gap of a client "+client, "ms", float64(report.LongestGap.Microseconds())/1000)
				results.add("connections that failed of a client "+client, "", float64(report.Failures))
			}
			heal(b, owner)
			if p.sticky {
				o.awaitMembers(b, len(o.Nodes()))
			} else {
				o.awaitAnswering(b, address, owner)
			}
		}
	}}
}

func (o *outage) clients() map[string]*network.Host {
	return map[string]*network.Host{"on the LAN": o.Client, "behind the router": o.FarClient}
}

// newPeerOutage starts three nodes with a product and a Service, and returns its address.
func newPeerOutage(b *testing.B, p product) (*outage, netip.Addr) {
	b.Helper()
	o := &outage{Installation: p.start(b, cluster.Config{Nodes: 3})}
	var err error
	if o.watcher, err = o.AddHost("watcher", 101); err != nil {
		b.Fatal(err)
	}
	if err := o.ApplyYAML(b.Context(), p.pool("192.168.10.200-192.168.10.250")); err != nil {
		b.Fatal(err)
	}
	o.StartApp(b)
	if err := o.createService(b.Context(), "myapp"); err != nil {
		b.Fatal(err)
	}
	return o, o.awaitAddress(b, "myapp")
}

func awaitSuccess(b *testing.B, meter *network.Meter) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	if _, err := meter.Await(ctx, network.Succeeded); err != nil {
		b.Fatal(err)
	}
}

// awaitAddress waits until a Service has an address.
func (o *outage) awaitAddress(b *testing.B, name string) (address netip.Addr) {
	b.Helper()
	install.Eventually(b, "an address", func(ctx context.Context) error {
		service, err := o.Kubernetes().CoreV1().Services(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
		if err == nil && len(service.Status.LoadBalancer.Ingress) == 0 {
			err = fmt.Errorf("status %v", service.Status)
		}
		if err == nil {
			address, err = netip.ParseAddr(service.Status.LoadBalancer.Ingress[0].IP)
		}
		return err
	})
	return address
}

// awaitAnswering waits until one node answers for an address, a certain one if it is not nil, and returns it.
func (o *outage) awaitAnswering(b *testing.B, address netip.Addr, wanted *cluster.Node) (node *cluster.Node) {
	b.Helper()
	watch, err := o.watcher.Watch(b.Context(), "eth0", network.WatchOptions{}, address)
	if err != nil {
		b.Fatal(err)
	}
	defer watch.Stop()
	install.Eventually(b, "one node to answer", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // then begin anew
		defer cancel()
		mac, err := watch.AwaitSole(ctx, address, 50)
		if err != nil {
			return err
		}
		for _, node = range o.Nodes() {
			if bytes.Equal(mac, node.MAC("eth0")) && (wanted == nil || node == wanted) {
				return nil
			}
		}
		return fmt.Errorf("%s answers", mac)
	})
	return node
}
