package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/install"
)

// BenchmarkServiceToRoute creates Services and measures how long it takes until the router's kernel
// has a route to the address of each, with both nodes as next hops.
func BenchmarkServiceToRoute(b *testing.B) {
	i := newRouted(b, "")
	routes := bgpRoutes(b, i)
	// await waits until that many routes have both nodes as next hops, or no routes are left if
	// that is none, and returns when that was.
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
				b.Fatalf("%d routes, %d of them with both next hops, want %d", len(routes), complete, want)
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
				forEach(b, all, func(ctx context.Context, name string) error {
					_, err := services.Create(ctx, newService(name), metav1.CreateOptions{})
					return err
				})
				created, routed := time.Now(), await(count)
				results.addDuration("ms", routed.Sub(began))
				results.addDuration("ms-after-creation", routed.Sub(created))
				forEach(b, all, func(ctx context.Context, name string) error {
					return services.Delete(ctx, name, metav1.DeleteOptions{})
				})
				await(0)
			}
			results.report(b, "ms")
		})
	}
}
