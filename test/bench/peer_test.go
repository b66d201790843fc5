package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
	"github.com/clarionlb/clarion/test/metallb"
)

// product is a load balancer that is measured beside others.
type product struct {
	name string
	// start starts a cluster with it.
	start func(b *testing.B, config cluster.Config) *install.Installation
	// pool is what has it hand out addresses, and announce them on layer 2.
	pool func(addresses string) string
	// controller is the process that hands out addresses.
	controller string
	// sticky says that an address stays where it is when the node comes back that had it.
	sticky bool
}

var clarion = product{
	name: "Clarion", start: func(b *testing.B, config cluster.Config) *install.Installation { return install.New(b, config) },
	pool: func(addresses string) string {
		return fmt.Sprintf("apiVersion: clarionlb.io/v1alpha1\nkind: IPAddressPool\nmetadata: {name: lan}\nspec: {addresses: [%q]}\n---\n"+
			"apiVersion: clarionlb.io/v1alpha1\nkind: L2Advertisement\nmetadata: {name: lan}\nspec: {}\n", addresses)
	},
	controller: install.CCMProcess, sticky: true,
}

// peer is the load balancer that PEER names; PEER_BIN names the folder with its programs.
func peer(b *testing.B) product {
	b.Helper()
	switch name := os.Getenv("PEER"); name {
	case "":
		b.Skip("PEER names no load balancer to measure beside Clarion: PEER=metallb PEER_BIN=FOLDER make bench")
	case "metallb":
		programs := metallb.Found(b, "PEER_BIN")
		return product{
			name: "MetalLB", pool: metallb.Pool, controller: "controller",
			start: func(b *testing.B, config cluster.Config) *install.Installation {
				config.Images = programs.Images()
				i := install.Bare(b, config)
				programs.Install(b, i.Cluster)
				return i
			},
		}
	default:
		b.Fatalf("PEER=%s: there is metallb", name)
	}
	return product{}
}

// BenchmarkSideBySide runs the same scenarios with Clarion and with a peer, each on a cluster of its own, one after the other. It
// logs the figures of both with their ratios, and as JSON.
func BenchmarkSideBySide(b *testing.B) {
	other := peer(b)
	for _, scenario := range []struct {
		name string
		run  func(*testing.B, product) figures
	}{{"many-services", manyServices}, {"power-off", powerOff}} {
		b.Run(scenario.name, func(b *testing.B) {
			both := map[string]figures{}
			for _, p := range []product{clarion, other} {
				b.Run(p.name, func(b *testing.B) {
					results := scenario.run(b, p)
					results.report(b)
					both[p.name] = results
				})
			}
			compare(b, scenario.name, other.name, both)
		})
	}
}

// comparison is how a figure of Clarion compares with a peer's: the medians, and how many times Clarion's the peer's is.
type comparison struct {
	Scenario string  `json:"scenario"`
	Figure   string  `json:"figure"`
	Clarion  float64 `json:"clarion"`
	Peer     string  `json:"peer"`
	Value    float64 `json:"value"`
	Ratio    float64 `json:"ratio"`
}

func compare(b *testing.B, scenario, peer string, both map[string]figures) {
	b.Helper()
	if len(both) < 2 {
		return // -bench chose one of them
	}
	var lines bytes.Buffer
	for _, figure := range slices.Sorted(maps.Keys(both[clarion.name])) {
		c := comparison{Scenario: scenario, Figure: figure, Peer: peer, Clarion: median(both[clarion.name][figure]), Value: median(both[peer][figure])}
		if c.Clarion != 0 {
			c.Ratio = c.Value / c.Clarion
		}
		line, err := json.Marshal(c)
		if err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(&lines, "%-24s %10.4g %10.4g %8.2f\n%s\n", figure, c.Clarion, c.Value, c.Ratio, line)
	}
	b.Logf("%s: %s, %s, ratio\n%s", scenario, clarion.name, peer, &lines)
}

// manyServices creates 1,000 Services at once, which have no endpoints.
func manyServices(b *testing.B, p product) figures {
	c := watchServices(b, p.start(b, cluster.Config{Nodes: 1}), p.pool("10.200.0.0/16"))
	controller, err := c.Nodes()[0].Process(p.controller)
	if err != nil {
		b.Fatal(err)
	}
	results := figures{}
	for run := 0; b.Loop(); run++ {
		all := names(fmt.Sprintf("app-%d", run), batch)
		busy, began := cpuTime(b, controller), time.Now()
		c.create("", all...)
		results.add("s-to-last", c.awaitServed(all...).Sub(began).Seconds())
		results.add("cpu-s", (cpuTime(b, controller) - busy).Seconds())
		results.add("MiB", residentMiB(b, controller))
		c.deleteServices(all...)
	}
	return results
}

// powerOff takes the power from the node that answers for an address.
func powerOff(b *testing.B, p product) figures {
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
	address := o.awaitAddress(b, "myapp")
	results := figures{}
	for b.Loop() {
		owner := o.awaitAnswering(b, address, nil)
		meters := map[string]*network.Meter{}
		for name, from := range map[string]*network.Host{"lan-ms": o.Client, "router-ms": o.FarClient} {
			meters[name] = from.Measure(netip.AddrPortFrom(address, 80), network.MeterOptions{Interval: 10 * time.Millisecond})
			awaitSuccess(b, meters[name])
		}
		if err := owner.PowerOff(); err != nil {
			b.Fatal(err)
		}
		time.Sleep(observation)
		for name, meter := range meters {
			awaitSuccess(b, meter)
			report := meter.Stop()
			b.Logf("%s, %s: %s", p.name, name, report)
			results.addDuration(name, report.LongestGap)
		}
		if err := owner.PowerOn(); err != nil {
			b.Fatal(err)
		}
		if err := owner.AwaitReady(b.Context()); err != nil {
			b.Fatal(err)
		}
		if p.sticky {
			o.awaitMembers(b, len(o.Nodes()))
		} else {
			o.awaitAnswering(b, address, owner)
		}
	}
	return results
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
