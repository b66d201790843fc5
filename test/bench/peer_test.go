package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/comparison"
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
	// controller is the process that hands out addresses, and agent the one on each node.
	controller, agent string
	// agents are the namespace and the labels of the agents' pods.
	namespace, agents string
	// users are those of its programs in the API.
	users []string
	// sticky says that an address stays where it is when the node comes back that had it.
	sticky bool
}

var clarion = product{
	name: "Clarion", start: func(b *testing.B, config cluster.Config) *install.Installation { return install.New(b, config) },
	pool: func(addresses string) string {
		return fmt.Sprintf("apiVersion: clarionlb.io/v1alpha1\nkind: IPAddressPool\nmetadata: {name: lan}\nspec: {addresses: [%q]}\n---\n"+
			"apiVersion: clarionlb.io/v1alpha1\nkind: L2Advertisement\nmetadata: {name: lan}\nspec: {}\n", addresses)
	},
	controller: install.CCMProcess, agent: "announcer", sticky: true,
	namespace: "clarion-system", agents: "app.kubernetes.io/name=announcer",
	users: []string{"system:serviceaccount:clarion-system:announcer"},
}

// peer is the load balancer that PEER names; PEER_BIN names the folder with its programs.
func peer(b *testing.B) product {
	b.Helper()
	switch name := os.Getenv("PEER"); name {
	case "":
		b.Skip("PEER names no load balancer to measure beside Clarion: PEER=metallb PEER_BIN=FOLDER make bench")
	case "metallb":
		programs := metallb.Found(b, "PEER_BIN")
		const account = "system:serviceaccount:" + metallb.Namespace
		return product{
			name: "MetalLB", pool: func(addresses string) string { return metallb.Pool(addresses) }, controller: "controller", agent: "speaker",
			namespace: metallb.Namespace, agents: "component=speaker",
			users: []string{account + ":controller", account + ":speaker"},
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

// measured are the figures of a scenario, in the order in which they were first measured.
type measured struct{ figures []comparison.Figure }

// add takes what a run measured. Less of it is better.
func (m *measured) add(name, unit string, value float64) {
	at := slices.IndexFunc(m.figures, func(f comparison.Figure) bool { return f.Name == name })
	if at < 0 {
		at = len(m.figures)
		m.figures = append(m.figures, comparison.Figure{Name: name, Unit: unit})
	}
	m.figures[at].Clarion = append(m.figures[at].Clarion, value)
}

// BenchmarkSideBySide runs the same scenarios with Clarion and with a peer, each on a cluster of its own, one after the other. It
// logs the figures of both with their ratios, and leaves them in bin/side-by-side.json, where those of scenarios that were not run stay.
func BenchmarkSideBySide(b *testing.B) {
	other := peer(b)
	root, err := setup.Checkout()
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(root, "bin", "side-by-side.json")
	scenarios := outages
	for _, size := range sizes(b) {
		scenarios = append(scenarios, manyServices(size))
	}
	for _, s := range scenarios {
		b.Run(strings.ReplaceAll(s.name, " ", "-"), func(b *testing.B) {
			both := map[string]*measured{}
			for _, p := range []product{clarion, other} {
				b.Run(p.name, func(b *testing.B) {
					b.ReportMetric(0, "ns/op") // of no interest: it includes the preparations
					both[p.name] = &measured{}
					s.run(b, p, both[p.name])
				})
			}
			if len(both) < 2 || b.Failed() {
				return // -bench chose one of them, or one has no figures
			}
			all, err := comparison.Read(file)
			if err != nil {
				b.Fatal(err)
			}
			all.Peer = other.name
			figures := join(s.name, both[clarion.name].figures, both[other.name].figures)
			all.Replace(s.name, figures)
			if err := all.Write(file); err != nil {
				b.Fatal(err)
			}
			b.Logf("\n%s", comparison.Comparison{Peer: other.name, Figures: figures}.Table())
		})
	}
}

// join puts what was measured of two products together.
func join(scenario string, ours, others []comparison.Figure) []comparison.Figure {
	for i := range ours {
		ours[i].Scenario = scenario
		slices.Sort(ours[i].Clarion)
		for _, other := range others {
			if other.Name == ours[i].Name {
				ours[i].Other = slices.Sorted(slices.Values(other.Clarion))
			}
		}
	}
	return ours
}

// scenario is what is done with each product.
type scenario struct {
	name string
	run  func(b *testing.B, p product, results *measured)
}
