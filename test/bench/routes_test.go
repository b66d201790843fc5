package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/frr"
	"github.com/clarionlb/clarion/test/install"
)

// protocolBGP is what routes say that came by BGP (linux/rtnetlink.h).
const protocolBGP = 186

// routed has both nodes of a cluster speak BGP with its router, with more lines in the configuration of that and more fields in the
// BGPPeer.
func routed(b *testing.B, fields string, lines ...string) *install.Installation {
	b.Helper()
	i := install.New(b, cluster.Config{Nodes: 2})
	r, err := frr.Start(b.Context(), i.Router, filepath.Join(i.LogDir(), "router"), lines...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Stop() })
	if err := i.Apply(b.Context(), i.Sample("deployment.yaml")); err != nil {
		b.Fatal(err)
	}
	if _, err := i.Kubectl(b.Context(), "rollout", "status", "deployment/myapp", "--timeout=120s"); err != nil {
		b.Fatal(err)
	}
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

// learned returns what lists the IPv4 routes that the router's kernel has by BGP.
func learned(b *testing.B, i *install.Installation) func() []netlink.Route {
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

// BenchmarkServiceToRoute creates Services and measures how long it takes until the router's kernel has a route to the address of
// each, by way of both nodes.
func BenchmarkServiceToRoute(b *testing.B) {
	i := routed(b, "")
	routes := learned(b, i)
	// await waits until there are so many routes by way of both nodes, or none at all, and returns when.
	await := func(want int) time.Time {
		b.Helper()
		for deadline := time.Now().Add(install.Patience); ; time.Sleep(2 * time.Millisecond) {
			routes := routes()
			now, complete := time.Now(), 0
			for _, route := range routes {
				if len(route.MultiPath) == 2 {
					complete++
				}
			}
			if complete == want && (want > 0 || len(routes) == 0) {
				return now
			}
			if now.After(deadline) {
				b.Fatalf("%d routes, %d of them by way of both nodes, want %d", len(routes), complete, want)
			}
		}
	}
	services := i.Kubernetes().CoreV1().Services(metav1.NamespaceDefault)
	for _, count := range []int{1, batch} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			results := figures{}
			for run := 0; b.Loop(); run++ {
				all := names(fmt.Sprintf("app-%d-%d", count, run), count)
				began := time.Now()
				forEach(b, all, func(name string) error {
					_, err := services.Create(b.Context(), &corev1.Service{
						ObjectMeta: metav1.ObjectMeta{Name: name},
						Spec: corev1.ServiceSpec{
							Type:                          corev1.ServiceTypeLoadBalancer,
							Selector:                      map[string]string{"app": "myapp"},
							Ports:                         []corev1.ServicePort{{Port: 80}},
							AllocateLoadBalancerNodePorts: ptr.To(false),
						},
					}, metav1.CreateOptions{})
					return err
				})
				created, routed := time.Now(), await(count)
				results.addDuration("ms", routed.Sub(began))
				results.addDuration("ms-after-creation", routed.Sub(created))
				forEach(b, all, func(name string) error {
					return services.Delete(b.Context(), name, metav1.DeleteOptions{})
				})
				await(0)
			}
			results.report(b, "ms")
		})
	}
}

// forEach calls f for every name, for some at a time.
func forEach(b *testing.B, names []string, f func(name string) error) {
	b.Helper()
	var g errgroup.Group
	g.SetLimit(workers)
	for _, name := range names {
		g.Go(func() error { return f(name) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}
