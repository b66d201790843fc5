package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

const (
	fastProfile = `
apiVersion: clarionlb.io/v1alpha1
kind: BFDProfile
metadata: {name: fast}
spec: {transmitInterval: 100, receiveInterval: 100, detectMultiplier: 3}
`
	// watchedPeer has a hold time that is longer than anything here takes, so that nothing but BFD can notice anything.
	watchedPeer = `
apiVersion: clarionlb.io/v1alpha1
kind: BGPPeer
metadata: {name: tor}
spec: {myASN: 65001, peerASN: 65000, peerAddress: 192.168.10.1, connectTime: 2s, bfdProfile: fast, enableGracefulRestart: true}
`
)

// TestADeadNodeIsNoticedByBFDAndARestartedAnnouncerIsNot has the router keep the routes of an announcer that restarts.
func TestADeadNodeIsNoticedByBFDAndARestartedAnnouncerIsNot(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 2})
	router := d.startRouter(" bgp graceful-restart", " neighbor nodes bfd profile fast")
	d.apply(samples + "deployment.yaml")
	d.kubectl("rollout", "status", "deployment/myapp", "--timeout=120s")
	d.applyYAML(routedPool + "---" + routedAdvertisement + "---" + watchedPeer + "---" + fastProfile)
	d.loadBalancer("web", nil)
	address := d.awaitAddress("web")
	web := netip.PrefixFrom(address, address.BitLen())
	router.awaitHops(web, "n1", "n2")
	d.awaitBFD("tor", v1alpha1.BFDUp, "300ms", "")
	d.awaitBGPReady("bgppeer/tor", v1alpha1.ReasonValid, "The nodes that are selected speak with the router.")
	d.awaitBGPReady("bfdprofile/fast", v1alpha1.ReasonValid, "")

	t.Run("the router's kernel sees nothing of an upgrade", func(t *testing.T) {
		d := d.in(t)
		before := d.sessions("tor")
		monitor, err := d.Router.Start(t.TempDir()+"/routes", "ip", "monitor", "route")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { monitor.Kill() })
		d.kubectl("rollout", "restart", "--namespace=clarion-system", "daemonset/announcer")
		d.kubectl("rollout", "status", "--namespace=clarion-system", "daemonset/announcer", "--timeout=120s")
		d.eventually("new sessions", func(context.Context) error {
			for node, session := range d.sessions("tor") {
				if session.State != v1alpha1.BGPEstablished || session.Since.Equal(before[node].Since) {
					return fmt.Errorf("%s has %+v", node, session)
				}
			}
			return nil
		})
		d.awaitBFD("tor", v1alpha1.BFDUp, "300ms", "")
		router.in(d).awaitHops(web, "n1", "n2")
		if seen := readFile(t, monitor.Log); strings.Contains(seen, address.String()) {
			t.Errorf("the router's kernel saw changes of the way to %s:\n%s", address, seen)
		}
	})

	t.Run("a node without power is left out, and let in again", func(t *testing.T) {
		d := d.in(t)
		if err := d.Node("n2").PowerOff(); err != nil {
			t.Fatal(err)
		}
		router.in(d).awaitHops(web, "n1")
		if err := d.Node("n2").PowerOn(); err != nil {
			t.Fatal(err)
		}
		if err := d.Node("n2").AwaitReady(d.ctx); err != nil {
			t.Fatal(err)
		}
		router.in(d).awaitHops(web, "n1", "n2")
		d.awaitBFD("tor", v1alpha1.BFDUp, "300ms", "")
	})
}

// awaitBFD waits until all nodes that have a session with a BGPPeer report its path so, with a problem that begins so.
func (d *deployment) awaitBFD(peer string, state v1alpha1.BFDState, detection, problem string) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("BFD with %s to be %s", peer, state), func(context.Context) error {
		sessions := d.sessions(peer)
		if len(sessions) == 0 {
			return fmt.Errorf("no session")
		}
		for node, session := range sessions {
			switch b := session.BFD; {
			case session.State != v1alpha1.BGPEstablished || b == nil:
				return fmt.Errorf("%s: %+v", node, session)
			case b.State != state || !strings.HasPrefix(b.LastError, problem) || problem == "" && b.LastError != "",
				detection != "" && (b.DetectionTime == nil || b.DetectionTime.Duration.String() != detection):
				return fmt.Errorf("%s: %+v", node, b)
			}
		}
		return nil
	})
}
