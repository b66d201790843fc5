// Package frr runs FRRouting on a host of a test cluster, and reads what it shows.
package frr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clarionlb/clarion/test/cluster/network"
)

// Router is FRRouting on a host.
type Router struct {
	host *network.Host
	dir  string
	log  string
	// daemons in the order in which they were started.
	daemons []*network.Process
}

// Start runs BGP in AS 65000 on the router of a cluster. It accepts sessions from AS 65001 on the
// LAN of the nodes, and installs all paths to a prefix side by side. Lines are added to its BGP
// configuration. Logs go to the folder log.
func Start(ctx context.Context, host *network.Host, log string, lines ...string) (*Router, error) {
	return StartConfigured(ctx, host, log, slices.Concat([]string{
		"router bgp 65000",
		" bgp router-id 192.168.10.1",
		" no bgp ebgp-requires-policy",
		" neighbor nodes peer-group",
		" neighbor nodes remote-as 65001",
	}, lines, []string{
		" bgp listen range 192.168.10.0/24 peer-group nodes",
		" address-family ipv4 unicast",
		"  maximum-paths 8",
		" exit-address-family",
		" address-family ipv6 unicast",
		"  neighbor nodes activate",
		"  maximum-paths 8",
		" exit-address-family",
	})...)
}

// StartConfigured runs BGP on a host with a configuration. If a line of it is about BFD the host
// runs BFD, too, with a profile "fast" of 100 ms x 3. Logs go to the folder log.
func StartConfigured(ctx context.Context, host *network.Host, log string, config ...string) (*Router, error) {
	dir, err := os.MkdirTemp("", "router")
	if err != nil {
		return nil, err
	}
	r := &Router{host: host, dir: dir, log: log}
	// Daemons that do not stay root write to the folder. The hash policy spreads connections between
	// the same hosts by their ports, as datacenter switches do.
	err = os.Chmod(dir, 0o777)
	if err == nil {
		_, err = host.Run(ctx, "sysctl", "--quiet", "--write", "net.ipv4.fib_multipath_hash_policy=1", "net.ipv6.fib_multipath_hash_policy=1")
	}
	if err == nil {
		err = r.daemon(ctx, "zebra", nil)
	}
	if err == nil && slices.ContainsFunc(config, func(line string) bool { return strings.Contains(line, " bfd") }) {
		err = r.daemon(ctx, "bfdd", []string{
			"bfd", " profile fast", "  transmit-interval 100", "  receive-interval 100", "  detect-multiplier 3",
		}, "--bfdctl", filepath.Join(dir, "bfdd.sock"))
	}
	if err == nil {
		err = r.daemon(ctx, "bgpd", config)
	}
	if err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// daemon starts a daemon of FRR and waits until it answers.
func (r *Router) daemon(ctx context.Context, name string, config []string, options ...string) error {
	at := func(suffix string) string { return filepath.Join(r.dir, name+suffix) }
	if err := os.WriteFile(at(".conf"), []byte(strings.Join(config, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	command := append([]string{"/usr/lib/frr/" + name}, options...)
	process, err := r.host.Start(filepath.Join(r.log, name+".log"), append(command,
		"--config_file", at(".conf"), "--pid_file", at(".pid"), "--socket", filepath.Join(r.dir, "zserv.api"),
		"--vty_socket", r.dir, "--vty_port", "0", "--log", "stdout")...)
	if err != nil {
		return err
	}
	r.daemons = append(r.daemons, process)
	for {
		_, err := r.host.Run(ctx, "vtysh", "--vty_socket", r.dir, "-d", name, "-c", "show version")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-process.Done():
			return fmt.Errorf("%s ended: %w", name, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop kills the daemons.
func (r *Router) Stop() error {
	for _, daemon := range slices.Backward(r.daemons) {
		daemon.Kill() // it may have ended with the host
	}
	return os.RemoveAll(r.dir)
}

// Command returns the command line that runs a command of the FRR shell on the host.
func (r *Router) Command(command string) []string {
	return []string{"vtysh", "--vty_socket", r.dir, "-c", command}
}

// Configure changes the configuration. The lines are commands of the mode "configure terminal".
func (r *Router) Configure(ctx context.Context, lines ...string) error {
	command := r.Command("configure terminal")
	for _, line := range lines {
		command = append(command, "-c", line)
	}
	out, err := r.host.Run(ctx, command...)
	if err == nil && strings.Contains(out, "%") {
		err = fmt.Errorf("configure %q: %s", lines, out)
	}
	return err
}

// show decodes what a command shows as JSON.
func (r *Router) show(ctx context.Context, command string, into any) error {
	out, err := r.host.Run(ctx, r.Command(command+" json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return nil
}

// Hops returns the next hops, sorted, by which the kernel sends packets to a prefix according to
// BGP.
func (r *Router) Hops(ctx context.Context, prefix netip.Prefix) ([]string, error) {
	weights, err := r.Weights(ctx, prefix)
	return slices.Sorted(maps.Keys(weights)), err
}

// Weights returns the next hops by which the kernel sends packets to a prefix according to BGP,
// with their shares.
func (r *Router) Weights(ctx context.Context, prefix netip.Prefix) (map[string]int, error) {
	family := "ip"
	if prefix.Addr().Is6() {
		family = "ipv6"
	}
	var routes map[string][]struct {
		Protocol  string
		Installed bool
		Nexthops  []struct {
			IP     string
			FIB    bool
			Weight int
		}
	}
	if err := r.show(ctx, fmt.Sprintf("show %s route %s", family, prefix), &routes); err != nil {
		return nil, err
	}
	weights := map[string]int{}
	for _, route := range routes[prefix.String()] {
		for _, hop := range route.Nexthops {
			if route.Protocol == "bgp" && route.Installed && hop.FIB {
				weights[hop.IP] = hop.Weight
			}
		}
	}
	return weights, nil
}

// Neighbor is the state of a session, as the router shows it.
type Neighbor struct {
	State       string `json:"bgpState"`
	RemoteAS    uint32
	RouterID    string `json:"remoteRouterId"`
	Established int    `json:"connectionsEstablished"`
}

// Neighbors returns all neighbors that the router knows, by their addresses or interfaces.
func (r *Router) Neighbors(ctx context.Context) (map[string]Neighbor, error) {
	var shown map[string]json.RawMessage
	if err := r.show(ctx, "show bgp neighbors", &shown); err != nil {
		return nil, err
	}
	neighbors := map[string]Neighbor{}
	for name, said := range shown {
		var n Neighbor
		if err := json.Unmarshal(said, &n); err == nil { // some are about the router itself
			neighbors[name] = n
		}
	}
	return neighbors, nil
}

// BFDPeer is a BFD session of the router.
type BFDPeer struct {
	Peer   string
	Status string
	// RemoteTransmit is the interval at which the peer sends, in milliseconds.
	RemoteTransmit int `json:"remote-transmit-interval"`
}

// BFDPeers returns the BFD sessions of the router.
func (r *Router) BFDPeers(ctx context.Context) ([]BFDPeer, error) {
	var peers []BFDPeer
	err := r.show(ctx, "show bfd peers", &peers)
	return peers, err
}

// Path is a path to a prefix that the router has received.
type Path struct {
	MED            uint32 `json:"metric"`
	LocalPref      uint32 `json:"locPrf"`
	ASPath         struct{ String string }
	Community      struct{ String string }
	LargeCommunity struct{ String string }
	Nexthops       []struct{ IP string }
	Peer           struct{ PeerID string }
}

// Paths returns the paths to a prefix that the router has received, by the address of the neighbor.
func (r *Router) Paths(ctx context.Context, prefix netip.Prefix) (map[string]Path, error) {
	var shown struct{ Paths []Path }
	family := "ipv4"
	if prefix.Addr().Is6() {
		family = "ipv6"
	}
	if err := r.show(ctx, fmt.Sprintf("show bgp %s unicast %s", family, prefix), &shown); err != nil {
		return nil, err
	}
	paths := map[string]Path{}
	for _, p := range shown.Paths {
		paths[p.Peer.PeerID] = p
	}
	return paths, nil
}
