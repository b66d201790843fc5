package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/clarionlb/clarion/internal/routertest"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// lanRouter is a router of some kind on a host of its own on the nodes' LAN.
type lanRouter struct {
	routertest.Router
	kind    routertest.Kind
	d       *deployment
	host    lanHost
	address netip.Addr
}

// lanHost is a host that the test plugs into the switch of the cluster.
type lanHost struct {
	outside   *network.Host
	namespace string
}

func (h lanHost) inside(command []string) []string {
	return append([]string{"ip", "netns", "exec", h.namespace}, command...)
}

// Run runs a command on the host.
func (h lanHost) Run(ctx context.Context, command ...string) (string, error) {
	return h.outside.Run(ctx, h.inside(command)...)
}

// Start starts a daemon on the host.
func (h lanHost) Start(log string, command ...string) (*network.Process, error) {
	return h.outside.Start(log, h.inside(command)...)
}

// startLANRouter has a router of a kind, with an address on the nodes' LAN that ends with a number,
// know every node as a neighbor.
func (d *deployment) startLANRouter(kind routertest.Kind, number int) *lanRouter {
	d.t.Helper()
	name := strings.ToLower(kind.Name)
	r := &lanRouter{
		kind: kind, d: d,
		host:    lanHost{d.Switch, d.Switch.Namespace() + "-" + name},
		address: netip.AddrFrom4([4]byte{192, 168, 10, byte(number)}),
	}
	d.t.Cleanup(func() {
		if _, err := d.Switch.Run(context.Background(), "ip", "netns", "delete", r.host.namespace); err != nil {
			d.t.Error(err)
		}
	})
	for _, command := range []string{
		"ip netns add " + r.host.namespace,
		fmt.Sprintf("ip link add %s type veth peer name eth0 netns %s", name, r.host.namespace),
		fmt.Sprintf("ip link set %s master lan up", name),
		fmt.Sprintf("ip -netns %s link set lo up", r.host.namespace),
		fmt.Sprintf("ip -netns %s link set eth0 up", r.host.namespace),
		fmt.Sprintf("ip -netns %s address add %s/24 dev eth0", r.host.namespace, r.address),
		fmt.Sprintf("ip -netns %s address add fd00:10::%d/64 dev eth0 nodad", r.host.namespace, number),
	} {
		if _, err := d.Switch.Run(d.ctx, strings.Fields(command)...); err != nil {
			d.t.Fatal(err)
		}
	}
	config := routertest.Config{ASN: 65000, RouterID: r.address}
	for _, node := range d.Nodes() {
		config.Neighbors = append(config.Neighbors, routertest.Neighbor{Address: node.Address("eth0", false), Local: r.address, ASN: 65001, GracefulRestart: true})
	}
	var err error
	if r.Router, err = kind.New(routertest.On(r.host), filepath.Join(d.LogDir(), name), config); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		if d.t.Failed() {
			d.t.Logf("%s shows:\n%s", kind.Name, r.Diagnosis(context.Background()))
		}
		if err := r.Close(); err != nil {
			d.t.Error(err)
		}
	})
	if err := r.Router.Start(d.ctx); err != nil {
		d.t.Fatal(err)
	}
	return r
}

// awaitNodes waits until the router has a route to a prefix from each of these nodes and no others,
// by way of that node.
func (r *lanRouter) awaitNodes(prefix netip.Prefix, nodes ...string) {
	r.d.t.Helper()
	r.d.eventually(fmt.Sprintf("%s to have routes to %s from %v", r.kind.Name, prefix, nodes), func(ctx context.Context) error {
		routes, err := r.Routes(ctx, prefix)
		if err != nil {
			return err
		}
		for _, name := range nodes {
			node := r.d.Node(name)
			if route := routes[node.Address("eth0", false)]; route.NextHop != node.Address("eth0", prefix.Addr().Is6()) {
				return fmt.Errorf("%+v", routes)
			}
		}
		if len(routes) != len(nodes) {
			return fmt.Errorf("%+v", routes)
		}
		return nil
	})
}

// install puts a route that the router has into the kernel of its host, if that is not the router's
// own work.
func (r *lanRouter) install(prefix netip.Prefix) {
	r.d.t.Helper()
	if r.kind.Kernel {
		return
	}
	routes, err := r.Routes(r.d.ctx, prefix)
	if err != nil {
		r.d.t.Fatal(err)
	}
	for _, route := range routes {
		if _, err := r.host.Run(r.d.ctx, "ip", "route", "replace", prefix.String(), "via", route.NextHop.String()); err != nil {
			r.d.t.Fatal(err)
		}
	}
}

// awaitAnswerThrough waits until the host of the router gets an answer of a Service.
func (r *lanRouter) awaitAnswerThrough(address netip.Addr) {
	r.d.t.Helper()
	r.d.eventually(fmt.Sprintf("an answer at %s through %s", address, r.kind.Name), func(ctx context.Context) error {
		_, err := r.host.Run(ctx, curlCommand(address)...)
		return err
	})
}
