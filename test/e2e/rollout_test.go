package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// TestRollingUpdatesBehindExternalTrafficPolicyLocalLoseNothing replaces the pods of two Services
// whose traffic stays on the node that it reaches. One is announced on layer 2, the other by BGP.
// Clients use them all the time.
func TestRollingUpdatesBehindExternalTrafficPolicyLocalLoseNothing(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 3})
	d.startRouter()
	d.StartApp(d.t)
	d.applyYAML(routedPool + "---" + routedAdvertisement + "---" + torPeer + "  peerAddress: 192.168.10.1\n---\n" + pool("public", "192.168.10.200-192.168.10.219"))
	d.apply(samples + "l2advertisement.yaml")
	// Pods go on serving for longer than everybody needs to hear that they end.
	d.kubectl("patch", "deployment/myapp", "--patch", `{"spec": {"replicas": 2, "template": {"spec": {
		"containers": [{"name": "myapp", "env": [{"name": "ECHO_STOP_DELAY", "value": "12s"}]}]}}}}`)
	d.kubectl("rollout", "status", "deployment/myapp", "--timeout=120s")
	d.loadBalancer("lan", all(trafficPolicy(onlyLocal), wish("192.168.10.200")))
	d.loadBalancer("routed", all(trafficPolicy(onlyLocal), wish("203.0.113.1")))
	lan, routed := d.awaitAddress("lan"), d.awaitAddress("routed")
	d.awaitSoleOwner(lan)
	d.awaitRoutes("routed", 1)
	d.awaitAnswer(d.FarClient, routed)

	t.Run("a port that no Service has is refused at once", func(t *testing.T) {
		d := d.in(t)
		d.refused(d.Client, lan, 81)
		d.refused(d.FarClient, lan, 81)
		d.refused(d.FarClient, routed, 81)
	})

	t.Run("no request is lost", func(t *testing.T) {
		d := d.in(t)
		meters := map[string]*network.Meter{}
		measure := func(from *network.Host, address netip.Addr) {
			meter := from.Measure(netip.AddrPortFrom(address, 80), network.MeterOptions{Interval: 20 * time.Millisecond, Timeout: 5 * time.Second})
			t.Cleanup(func() { meter.Stop() })
			d.awaitSuccess(meter)
			meters[fmt.Sprintf("from %s to %s", from.Name, address)] = meter
		}
		measure(d.Client, lan)
		measure(d.FarClient, lan)
		measure(d.FarClient, routed)
		for range 2 {
			d.kubectl("rollout", "restart", "deployment/myapp")
			d.kubectl("rollout", "status", "deployment/myapp", "--timeout=120s")
			d.eventually("the old pods to end", func(ctx context.Context) error {
				out, err := d.Kubectl(ctx, "get", "pods", "--output=name")
				if count := len(strings.Fields(out)); err == nil && count != 2 {
					err = fmt.Errorf("there are %d pods", count)
				}
				return err
			})
		}
		for what, meter := range meters {
			d.awaitSuccess(meter)
			report := meter.Stop()
			t.Logf("%s: %s; answers by pod: %v", what, report, report.Pods())
			if report.Failures > 0 {
				t.Errorf("%s: %s", what, report)
			}
		}
	})
}

// refused expects that a connection is refused, and not that nobody answers.
func (d *deployment) refused(from *network.Host, address netip.Addr, port uint16) {
	d.t.Helper()
	target := netip.AddrPortFrom(address, port)
	_, err := from.Run(d.ctx, "curl", "--silent", "--show-error", "--max-time", "10", "http://"+target.String())
	if err == nil || !strings.Contains(err.Error(), "onnect to") || strings.Contains(err.Error(), "timed out") {
		d.t.Errorf("from %s to %s: %v", from.Name, target, err)
	}
}
