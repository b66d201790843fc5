// Package frr runs FRRouting on a host of a test cluster, set up for that, and reads what tests of a
// cluster want to know of it.
package frr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/clarionlb/clarion/internal/routertest"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// Router is FRRouting on a host.
type Router struct {
	*routertest.FRR
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
// runs BFD, too, with profiles "fast" of 100 ms x 3 and "faster" of 50 ms x 3. Logs go to the folder log.
func StartConfigured(ctx context.Context, host *network.Host, log string, config ...string) (*Router, error) {
	f, err := routertest.NewFRR(routertest.On(host), log, config...)
	if err != nil {
		return nil, err
	}
	// The hash policy spreads connections between the same hosts by their ports, as datacenter
	// switches do.
	_, err = host.Run(ctx, "sysctl", "--quiet", "--write", "net.ipv4.fib_multipath_hash_policy=1", "net.ipv6.fib_multipath_hash_policy=1")
	if err == nil {
		err = f.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Router{f}, nil
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
	if err := r.Show(ctx, fmt.Sprintf("%s route %s", family, prefix), &routes); err != nil {
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
	if err := r.Show(ctx, "bgp neighbors", &shown); err != nil {
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
	err := r.Show(ctx, "bfd peers", &peers)
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
	if err := r.Show(ctx, fmt.Sprintf("bgp %s unicast %s", family, prefix), &shown); err != nil {
		return nil, err
	}
	paths := map[string]Path{}
	for _, p := range shown.Paths {
		paths[p.Peer.PeerID] = p
	}
	return paths, nil
}
