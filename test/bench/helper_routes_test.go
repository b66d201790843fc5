package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/frr"
	"github.com/clarionlb/clarion/test/install"
)

// protocolBGP is the protocol of routes that the router learned by BGP (linux/rtnetlink.h).
const protocolBGP = 186

// newRouted returns a cluster whose two nodes have sessions with its router. Fields are added to
// the spec of the BGPPeer, and lines to the BGP configuration of the router. The router does not wait
// for more routes before it tells the kernel of one (zebra work-queue, 10 ms if nothing is said).
func newRouted(b *testing.B, fields string, lines ...string) *install.Installation {
	b.Helper()
	i := install.New(b, cluster.Config{Nodes: 2})
	r, err := frr.Start(b.Context(), i.Router, filepath.Join(i.LogDir(), "router"), lines...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close() })
	if err := r.Configure(b.Context(), "zebra work-queue 0"); err != nil {
		b.Fatal(err)
	}
	i.StartApp(b)
	if err := i.ApplyYAML(b.Context(), `
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: routed}
spec: {addresses: [203.0.112.0/20], reuseAfter: 0s}
---
apiVersion: clarionlb.io/v1alpha1
kind: BGPPeer
metadata: {name: tor}
spec: {myASN: 65001, peerASN: 65000, defaultGateway: IPv4`+fields+`}
---
apiVersion: clarionlb.io/v1alpha1
kind: BGPAdvertisement
metadata: {name: all}
`); err != nil {
		b.Fatal(err)
	}
	install.Eventually(b, "sessions", func(ctx context.Context) error {
		peer, err := i.Clarion.ClarionV1alpha1().BGPPeers().Get(ctx, "tor", metav1.GetOptions{})
		if err == nil && peer.Status.Established != 2 {
			err = fmt.Errorf("%d", peer.Status.Established)
		}
		return err
	})
	return i
}

// bgpRoutes returns a function that lists the IPv4 routes which the router's kernel has by BGP.
func bgpRoutes(b *testing.B, i *install.Installation) func() []netlink.Route {
	b.Helper()
	inside, err := netns.GetFromName(i.Router.Namespace())
	if err != nil {
		b.Fatal(err)
	}
	defer inside.Close()
	handle, err := netlink.NewHandleAt(inside)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(handle.Close)
	return func() []netlink.Route {
		routes, err := handle.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: protocolBGP}, netlink.RT_FILTER_PROTOCOL)
		if err != nil {
			b.Fatal(err)
		}
		return routes
	}
}
