package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/clarionlb/clarion/test/frr"
)

// router is FRRouting on the host between the nodes and the far client.
type router struct {
	*frr.Router
	d *deployment
}

// startRouter has it run until the test ends.
func (d *deployment) startRouter(lines ...string) *router {
	d.t.Helper()
	r, err := frr.Start(d.ctx, d.Router, filepath.Join(d.LogDir(), "router"), lines...)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			d.t.Error(err)
		}
	})
	return &router{r, d}
}

// in returns the router for use in a subtest.
func (r *router) in(d *deployment) *router { return &router{r.Router, d} }

// awaitHops waits until the router sends packets to a prefix by way of these nodes and no others.
func (r *router) awaitHops(prefix netip.Prefix, nodes ...string) {
	r.d.t.Helper()
	var want []string
	for _, name := range nodes {
		want = append(want, r.d.Node(name).Address("eth0", prefix.Addr().Is6()).String())
	}
	slices.Sort(want)
	r.d.eventually(fmt.Sprintf("the router to send to %s by way of %v", prefix, nodes), func(ctx context.Context) error {
		if hops, err := r.Hops(ctx, prefix); err != nil || !slices.Equal(hops, want) {
			return fmt.Errorf("by way of %v, want %v: %v", hops, want, err)
		}
		return nil
	})
}
