package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clarionlb/clarion/test/cluster/network"
)

// router is FRRouting on the host between the nodes and the far client.
type router struct {
	d    *deployment
	dir  string
	bgpd *network.Process
}

// startRouter has the router speak BGP in AS 65000 with whoever of AS 65001 dials from the nodes' network, and use as many
// routes to one prefix at once as there are.
func (d *deployment) startRouter(lines ...string) *router {
	d.t.Helper()
	dir, err := os.MkdirTemp("", "router")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { // the daemons give up being root
		d.t.Fatal(err)
	}
	r := &router{d: d, dir: dir}
	// Connections are told apart by their ports too, as datacenter switches do.
	if _, err := d.Router.Run(d.ctx, "sysctl", "--write", "net.ipv4.fib_multipath_hash_policy=1"); err != nil {
		d.t.Fatal(err)
	}
	config := append([]string{
		"router bgp 65000",
		" bgp router-id 192.168.10.1",
		" no bgp ebgp-requires-policy",
		" neighbor nodes peer-group",
		" neighbor nodes remote-as 65001",
	}, lines...)
	config = append(config,
		" bgp listen range 192.168.10.0/24 peer-group nodes",
		" address-family ipv4 unicast",
		"  maximum-paths 8",
		" exit-address-family",
		" address-family ipv6 unicast",
		"  neighbor nodes activate",
		"  maximum-paths 8",
		" exit-address-family",
	)
	r.daemon("zebra", "")
	r.bgpd = r.daemon("bgpd", strings.Join(config, "\n"))
	return r
}

func (r *router) daemon(name, config string) *network.Process {
	r.d.t.Helper()
	at := func(suffix string) string { return filepath.Join(r.dir, name+suffix) }
	if err := os.WriteFile(at(".conf"), []byte(config+"\n"), 0o644); err != nil {
		r.d.t.Fatal(err)
	}
	process, err := r.d.Router.Start(filepath.Join(r.d.LogDir(), "router", name+".log"), "/usr/lib/frr/"+name,
		"--config_file", at(".conf"), "--pid_file", at(".pid"), "--socket", filepath.Join(r.dir, "zserv.api"),
		"--vty_socket", r.dir, "--vty_port", "0", "--log", "stdout")
	if err != nil {
		r.d.t.Fatal(err)
	}
	r.d.t.Cleanup(func() { process.Kill() })
	r.d.eventually(name+" to answer", func(ctx context.Context) error {
		_, err := r.d.Router.Run(ctx, "vtysh", "--vty_socket", r.dir, "-d", name, "-c", "show version")
		return err
	})
	return process
}

// show reads what a command shows as JSON.
func (r *router) show(ctx context.Context, command string, into any) error {
	out, err := r.d.Router.Run(ctx, "vtysh", "--vty_socket", r.dir, "-c", command+" json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return nil
}

// hops are the next hops by which the router's kernel sends packets to a prefix, sorted.
func (r *router) hops(ctx context.Context, prefix netip.Prefix) ([]string, error) {
	family := "ip"
	if prefix.Addr().Is6() {
		family = "ipv6"
	}
	var routes map[string][]struct {
		Protocol  string
		Installed bool
		Nexthops  []struct {
			IP  string
			FIB bool
		}
	}
	if err := r.show(ctx, fmt.Sprintf("show %s route %s", family, prefix), &routes); err != nil {
		return nil, err
	}
	var hops []string
	for _, route := range routes[prefix.String()] {
		for _, hop := range route.Nexthops {
			if route.Protocol == "bgp" && route.Installed && hop.FIB {
				hops = append(hops, hop.IP)
			}
		}
	}
	slices.Sort(hops)
	return hops, nil
}

// awaitHops waits until the router sends packets to a prefix by way of these nodes and no others.
func (r *router) awaitHops(prefix netip.Prefix, nodes ...string) {
	r.d.t.Helper()
	var want []string
	for _, name := range nodes {
		want = append(want, r.d.Node(name).Address("eth0", prefix.Addr().Is6()).String())
	}
	slices.Sort(want)
	r.d.eventually(fmt.Sprintf("the router to send to %s by way of %v", prefix, nodes), func(ctx context.Context) error {
		if hops, err := r.hops(ctx, prefix); err != nil || !slices.Equal(hops, want) {
			return fmt.Errorf("by way of %v, want %v: %v", hops, want, err)
		}
		return nil
	})
}

// path is a way to a prefix, as the router was told of it.
type path struct {
	MED       uint32 `json:"metric"`
	ASPath    struct{ String string }
	Community struct{ String string }
	Peer      struct{ PeerID string }
}

// paths are the ways to a prefix that the router was told, by the node's address.
func (r *router) paths(ctx context.Context, prefix netip.Prefix) (map[string]path, error) {
	var shown struct{ Paths []path }
	family := "ipv4"
	if prefix.Addr().Is6() {
		family = "ipv6"
	}
	if err := r.show(ctx, fmt.Sprintf("show bgp %s unicast %s", family, prefix), &shown); err != nil {
		return nil, err
	}
	paths := map[string]path{}
	for _, p := range shown.Paths {
		paths[p.Peer.PeerID] = p
	}
	return paths, nil
}
