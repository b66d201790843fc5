package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/install"
)

// releaseImage is the repository of the last release's image on the nodes.
const releaseImage = "release.example/clarion"

const releaseOverlay = `
resources: [%s/manifests]
images:
- {name: ghcr.io/clarionlb/clarion, newName: %s}
`

// manyAdvertisement has one node alone announce many addresses.
const manyAdvertisement = `
apiVersion: clarionlb.io/v1alpha1
kind: L2Advertisement
metadata: {name: many}
spec: {ipAddressPools: [many], nodeSelectors: [{matchLabels: {kubernetes.io/hostname: n2}}]}
`

// TestUpgradeAndDowngradeLoseNothing goes from the last release to this checkout and back, while clients use a Service that is
// announced on layer 2 and one that is announced by BGP. Many others have addresses on one node.
func TestUpgradeAndDowngradeLoseNothing(t *testing.T) {
	release, err := setup.LastRelease(t.Context(), os.Stderr)
	if errors.Is(err, setup.ErrNotInHistory) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	d := newDeployment(t, install.Bare(t, cluster.Config{Nodes: 3, Images: map[string]string{releaseImage: release.Programs}}))
	before := d.releaseOverlay(release)
	d.apply(before)
	d.AwaitReady(t)
	d.startRouter()
	d.StartApp(t)
	d.applyYAML(manyPool + "---" + manyAdvertisement)
	d.applyYAML(routedPool + "---" + routedAdvertisement + "---" + torPeer + "  peerAddress: 192.168.10.1\n  enableGracefulRestart: true\n---\n" + pool("public", "192.168.10.200-192.168.10.219"))
	d.apply(samples + "l2advertisement.yaml")
	many := d.newMany()
	d.loadBalancer("lan", wish("192.168.10.200"))
	d.loadBalancer("routed", wish("203.0.113.1"))
	lan, routed := d.awaitAddress("lan"), d.awaitAddress("routed")
	d.awaitSoleOwner(lan)
	// Until all is as it stays, Services are written, and a node whose kube-proxy knows nothing yet refuses connections.
	d.awaitAnnounced("lan", "Announced", ".*")
	d.awaitAnnounced("routed", "Announced", ".* from 3 nodes to 1 peer")
	for _, node := range d.Nodes() {
		d.awaitAnswer(node.Host, lan)
		d.awaitAnswer(node.Host, routed)
	}
	d.awaitAnswer(d.FarClient, routed)

	for _, step := range []struct{ name, manifests string }{
		{"upgrade", "../../manifests"},
		{"downgrade", before},
		{"upgrade after a downgrade", "../../manifests"},
	} {
		t.Run(step.name, func(t *testing.T) {
			d := d.in(t)
			meters := map[string]*network.Meter{}
			for _, use := range []struct {
				from *network.Host
				to   netip.Addr
			}{{d.Client, lan}, {d.FarClient, lan}, {d.FarClient, routed}} {
				meter := use.from.Measure(netip.AddrPortFrom(use.to, 80), network.MeterOptions{Interval: 20 * time.Millisecond, Timeout: 5 * time.Second})
				t.Cleanup(func() { meter.Stop() })
				d.awaitSuccess(meter)
				meters[fmt.Sprintf("from %s to %s", use.from.Name, use.to)] = meter
			}
			many := many.in(t)
			unmoved := many.unmoved()
			versions := map[string]string{"lan": d.service("lan").ResourceVersion, "routed": d.service("routed").ResourceVersion}
			d.apply(step.manifests)
			d.AwaitReady(t)
			d.awaitSoleOwner(lan)
			d.awaitRoutes("routed", 1)
			for what, meter := range meters {
				d.awaitSuccess(meter)
				if report := meter.Stop(); report.Failures > 0 {
					t.Errorf("%s: %s", what, report)
				}
			}
			for name, version := range versions {
				if service := d.service(name); service.ResourceVersion != version {
					t.Errorf("Service %s was written: %+v", name, service)
				}
			}
			d.awaitAddresses("lan", lan.String())
			d.awaitAddresses("routed", routed.String())
			unmoved()
			// What is new works.
			d.loadBalancer("new", nil)
			d.awaitAddress("new")
			d.delete("new")
			if step.manifests != before {
				many.record(d.Nodes()[1]) // the next step begins with claims that are in a ClaimSlice alone
			}
		})
	}
}

// releaseOverlay makes an overlay of the last release's manifests, with its image, and returns its folder.
func (d *deployment) releaseOverlay(release setup.Release) string {
	d.t.Helper()
	dir := d.t.TempDir()
	source, err := filepath.Rel(dir, release.Source)
	if err != nil {
		d.t.Fatal(err)
	}
	text := fmt.Sprintf(releaseOverlay, source, releaseImage)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
	return dir
}
