package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

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
		moved := d.routeChanges(routed)
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
		if moved.count() == 0 {
			t.Error("the router kept its routes: nothing is heard of their changes")
		}
		for what, meter := range meters {
			d.awaitSuccess(meter)
			report := meter.Stop()
			t.Logf("%s: %s; answers by pod: %v", what, report, report.Pods())
			for _, attempt := range report.Attempts {
				if attempt.Err != nil && !(errors.Is(attempt.Err, unix.ECONNRESET) && moved.during(attempt)) {
					t.Errorf("%s: %s: %v after %v", what, report, attempt.Err, attempt.End.Sub(report.Start))
				}
			}
		}
	})
}

// routeChanges are the times at which the router got another way to an address. With it, its kernel spreads flows anew: what is under way
// just then comes to a node that does not know it and resets it, whoever announces (docs/bgp.md, "A next hop that comes or goes").
type routeChanges struct {
	mu    sync.Mutex
	times []time.Time
}

func (d *deployment) routeChanges(address netip.Addr) *routeChanges {
	d.t.Helper()
	updates, done := make(chan netlink.RouteUpdate), make(chan struct{})
	if err := d.Router.Do(func() error { return netlink.RouteSubscribe(updates, done) }); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { close(done) })
	c := &routeChanges{}
	go func() {
		for update := range updates {
			if update.Dst != nil && update.Dst.IP.String() == address.String() {
				c.mu.Lock()
				c.times = append(c.times, time.Now())
				c.mu.Unlock()
			}
		}
	}()
	return c
}

func (c *routeChanges) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.times)
}

// during says whether there was a change while an attempt was under way. It is heard of a moment after it.
func (c *routeChanges) during(attempt network.Attempt) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.times, func(at time.Time) bool {
		return attempt.Start.Before(at) && attempt.End.After(at.Add(-20*time.Millisecond))
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
