package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clarionlb/clarion/test/frr"
)

// router is a host that speaks BGP with the nodes, by FRR: the one between the nodes and the far
// client, or the far client.
type router struct {
	*frr.Router
	d *deployment
}

// startRouter has the host between the nodes and the far client speak BGP until the test ends.
// Lines are added to its BGP configuration.
func (d *deployment) startRouter(lines ...string) *router {
	d.t.Helper()
	r, err := frr.Start(d.ctx, d.Router, filepath.Join(d.LogDir(), "router"), lines...)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		if err := r.Close(); err != nil {
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

// awaitWeights waits until the router spreads packets to a prefix over its next hops with these
// weights, in rising order.
func (r *router) awaitWeights(prefix netip.Prefix, want ...int) {
	r.d.t.Helper()
	r.d.eventually(fmt.Sprintf("the router to send to %s with the weights %v", prefix, want), func(ctx context.Context) error {
		weights, err := r.Weights(ctx, prefix)
		if got := slices.Sorted(maps.Values(weights)); err != nil || !slices.Equal(got, want) {
			return fmt.Errorf("weights %v: %v", weights, err)
		}
		return nil
	})
}

// unchangedRoutes returns a check that the routes of the router's kernel to prefixes have not
// changed since.
func (r *router) unchangedRoutes(prefixes ...netip.Prefix) (check func()) {
	r.d.t.Helper()
	monitor, err := r.d.Router.Start(filepath.Join(r.d.t.TempDir(), "routes"), "ip", "monitor", "route")
	if err != nil {
		r.d.t.Fatal(err)
	}
	r.d.t.Cleanup(func() { monitor.Kill() })
	return func() {
		r.d.t.Helper()
		seen, err := os.ReadFile(monitor.Log)
		if err != nil {
			r.d.t.Fatal(err)
		}
		for _, prefix := range prefixes {
			if strings.Contains(string(seen), prefix.Addr().String()) {
				r.d.t.Errorf("the router's kernel saw changes of the way to %s:\n%s", prefix, seen)
			}
		}
	}
}

// awaitAttributes waits until exactly these neighbors announce a prefix to a router, with these
// attributes: the AS path, the local preference (0 on external sessions), the MED, and the
// communities of all kinds.
func (r *router) awaitAttributes(prefix netip.Prefix, want map[string]string) {
	r.d.t.Helper()
	r.d.eventually(fmt.Sprintf("the attributes of %s", prefix), func(ctx context.Context) error {
		paths, err := r.Paths(ctx, prefix)
		if err != nil {
			return err
		}
		said := map[string]string{}
		for from, p := range paths {
			said[from] = strings.TrimRight(fmt.Sprintf("%s, %d, %d, %s %s", p.ASPath.String, p.LocalPref, p.MED, p.Community.String, p.LargeCommunity.String), " ")
		}
		if !maps.Equal(said, want) {
			return fmt.Errorf("%q, want %q", said, want)
		}
		return nil
	})
}

// awaitPathsFrom waits until exactly these neighbors announce a prefix to a router.
func (r *router) awaitPathsFrom(prefix netip.Prefix, want ...string) {
	r.d.t.Helper()
	r.d.eventually(fmt.Sprintf("%v to announce %s", want, prefix), func(ctx context.Context) error {
		paths, err := r.Paths(ctx, prefix)
		if err != nil {
			return err
		}
		if from := slices.Sorted(maps.Keys(paths)); !slices.Equal(from, want) {
			return fmt.Errorf("%v do", from)
		}
		return nil
	})
}
