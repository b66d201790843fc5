package bench

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/install"
)

// BenchmarkDeadPath cuts the path between the router and a node. It measures how long it takes
// until the router's kernel has no route by way of the node any more, and until it has one again
// when the path is back. BFD runs at 100 ms x 3 and at 50 ms x 3, and graceful restart is on. The
// nodes are configured neighbors: one of a listen range takes FRR some milliseconds more to leave.
func BenchmarkDeadPath(b *testing.B) {
	for profile, interval := range map[string]time.Duration{"fast": 100 * time.Millisecond, "faster": 50 * time.Millisecond} {
		b.Run(interval.String(), func(b *testing.B) { deadPath(b, profile, interval) })
	}
}

// deadPath measures with a BFDProfile that the router has too.
func deadPath(b *testing.B, profile string, interval time.Duration) {
	i := newRouted(b, ", bfdProfile: "+profile+", enableGracefulRestart: true, connectTime: 2s",
		" bgp graceful-restart", " neighbor nodes bfd profile "+profile, " neighbor nodes passive",
		" neighbor 192.168.10.11 peer-group nodes", " neighbor 192.168.10.12 peer-group nodes")
	if err := i.ApplyYAML(b.Context(), fmt.Sprintf(`
apiVersion: clarionlb.io/v1alpha1
kind: BFDProfile
metadata: {name: %s}
spec: {transmitInterval: %d, receiveInterval: %[2]d, detectMultiplier: 3}
`, profile, interval.Milliseconds())); err != nil {
		b.Fatal(err)
	}
	if err := i.Apply(b.Context(), i.Sample("service-any-address.yaml")); err != nil {
		b.Fatal(err)
	}
	routes := bgpRoutes(b, i)
	// await waits until the routes have that many next hops, and returns when that was.
	await := func(nodes int) time.Time {
		b.Helper()
		for deadline := time.Now().Add(install.Patience); ; time.Sleep(time.Millisecond) {
			hops := 0
			for _, route := range routes() {
				hops += max(len(route.MultiPath), 1)
			}
			now := time.Now()
			if hops == nodes {
				return now
			}
			if now.After(deadline) {
				b.Fatalf("the routes have %d next hops, want %d", hops, nodes)
			}
		}
	}
	awaitBFD := func() {
		b.Helper()
		install.Eventually(b, "BFD to be up", func(ctx context.Context) error {
			list, err := i.Clarion.ClarionV1alpha1().Announcers().List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			for _, announcer := range list.Items {
				for _, session := range announcer.Status.BGP.Peers {
					if session.BFD == nil || session.BFD.DetectionTime == nil || session.BFD.DetectionTime.Duration != 3*interval {
						return fmt.Errorf("%s: %+v", announcer.Name, session)
					}
				}
			}
			if len(list.Items) != len(i.Nodes()) {
				return errors.New("not all nodes are there")
			}
			return nil
		})
	}
	node := i.Node("n2")
	for _, scenario := range []struct {
		name       string
		fail, heal func(*cluster.Node) error
	}{
		{"power-off", func(n *cluster.Node) error { return n.PowerOff() }, func(n *cluster.Node) error {
			return errors.Join(n.PowerOn(), n.AwaitReady(b.Context()))
		}},
		{"link-cut", func(n *cluster.Node) error { return n.CutLink("eth0") }, func(n *cluster.Node) error {
			return n.RestoreLink("eth0")
		}},
	} {
		b.Run(scenario.name, func(b *testing.B) {
			results := figures{}
			for b.Loop() {
				await(2)
				awaitBFD()
				began := time.Now()
				if err := scenario.fail(node); err != nil {
					b.Fatal(err)
				}
				results.addDuration("ms-gone", await(1).Sub(began))
				if err := scenario.heal(node); err != nil {
					b.Fatal(err)
				}
				healed := time.Now()
				results.addDuration("ms-back", await(2).Sub(healed))
			}
			results.report(b, "ms-gone", "ms-back")
		})
	}
}
