package speaker

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/routertest"
)

// frr is FRRouting on a host.
type frr struct {
	*host
	running *routertest.FRR
	// options are for bgpd.
	options []string
	// stopBGP kills bgpd and leaves zebra, which has the routes, alone.
	stopBGP func()
}

// frr starts it with these lines of configuration.
func (h *host) frr(lines ...string) *frr {
	h.t.Helper()
	f := &frr{host: h}
	f.begin(lines...)
	return f
}

// begin starts it with these lines of configuration.
func (f *frr) begin(lines ...string) {
	f.t.Helper()
	var err error
	f.running, err = routertest.NewFRR(routertest.On(f.Host), f.t.TempDir(), lines...)
	must(f.t, err)
	f.running.Options = f.options
	f.stopBGP = f.running.KillLast
	runRouter(f.t, f.running)
}

// daemon starts one again that was stopped.
func (f *frr) daemon(name string) (stop func()) {
	f.t.Helper()
	must(f.t, f.running.StartDaemon(f.t.Context(), name, f.running.Config, f.running.Options...))
	return f.running.KillLast
}

// runRouter runs a router until the test ends.
func runRouter(t testing.TB, r routertest.Router) {
	t.Helper()
	t.Cleanup(func() { must(t, r.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, r.Start(ctx))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the router shows:\n%s", r.Diagnosis(context.Background()))
		}
	})
}

// configure changes the configuration.
func (f *frr) configure(lines ...string) {
	f.t.Helper()
	must(f.t, f.running.Configure(f.t.Context(), lines...))
}

// frrNeighbor is what FRR shows of one.
type frrNeighbor struct {
	State            string `json:"bgpState"`
	RemoteAS         uint32 `json:"remoteAs"`
	RemoteRouterID   string `json:"remoteRouterId"`
	HoldTimeMsecs    int    `json:"bgpTimerHoldTimeMsecs"`
	Established      int    `json:"connectionsEstablished"`
	LastNotification string `json:"lastNotificationReason"`
	LastShutdown     string `json:"lastShutdownDescription"`
	GracefulRestart  struct {
		EndOfRIB map[string]bool `json:"endOfRibRecv"`
		Remote   string          `json:"remoteGrMode"`
		Restart  bool            `json:"rBit"`
	} `json:"gracefulRestartInfo"`
}

// neighbor returns what FRR shows of one, by address or interface.
func (f *frr) neighbor(name string) frrNeighbor {
	var all map[string]frrNeighbor
	if err := f.running.Show(f.t.Context(), "bgp neighbors "+name, &all); err != nil {
		return frrNeighbor{State: err.Error()}
	}
	return all[name]
}

// frrPath is what FRR shows of a path.
type frrPath struct {
	Valid     bool
	Stale     bool
	MED       *uint32 `json:"metric"`
	LocalPref *uint32 `json:"locPrf"`
	Origin    string
	ASPath    struct{ String string } `json:"aspath"`
	Community struct {
		String string
	}
	LargeCommunity struct {
		String string
	}
	ExtendedCommunity struct {
		String string
	}
	Nexthops []struct {
		IP, Afi, Scope string
		Used           bool
	}
	Peer struct{ PeerID, RouterID string }
}

// paths returns the paths that FRR has to a prefix.
func (f *frr) paths(prefix string) []frrPath {
	f.t.Helper()
	kind := "ipv4"
	if netip.MustParsePrefix(prefix).Addr().Is6() {
		kind = "ipv6"
	}
	var shown struct{ Paths []frrPath }
	if err := f.running.Show(f.t.Context(), "bgp "+kind+" unicast "+prefix, &shown); err != nil {
		return nil
	}
	return shown.Paths
}

// path waits until FRR has one path to a prefix, and returns it.
func (f *frr) path(prefix string) frrPath {
	f.t.Helper()
	var path frrPath
	eventually(f.t, "a path to "+prefix, func() (bool, any) {
		paths := f.paths(prefix)
		if len(paths) != 1 {
			return false, paths
		}
		path = paths[0]
		return true, nil
	})
	return path
}

// router is FRR on a host that shares a network with the node.
type router struct {
	*frr
	// The addresses of the router and of the node.
	v4, v6, node4, node6 netip.Addr
	// link is the node's link-local one.
	link netip.Addr
}

var sites atomic.Int64

// calmHoldTime is long enough for a machine that is busy, and short enough to wait for its end.
const calmHoldTime = 9 * time.Second

// newSite returns one that runs nothing yet.
func newSite(t testing.TB) *router {
	t.Helper()
	h, eth := cable(t)
	n := sites.Add(1)
	r := &router{
		frr:   &frr{host: h},
		v4:    netip.AddrFrom4([4]byte{10, 0, byte(n), 1}),
		node4: netip.AddrFrom4([4]byte{10, 0, byte(n), 2}),
		v6:    netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::1", n)),
		node6: netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::2", n)),
	}
	h.Address("lan", r.v4.String()+"/24")
	h.Address("lan", r.v6.String()+"/64")
	give(t, eth, r.node4.String()+"/24")
	give(t, eth, r.node6.String()+"/64")
	r.link = linkLocal(t, eth)
	return r
}

// newRouter returns one with autonomous system 65001 and these lines in its "router bgp", where
// ROUTER, NODE, ROUTER6 and NODE6 stand for the addresses.
func newRouter(t testing.TB, lines ...string) *router {
	t.Helper()
	r := newSite(t)
	r.begin(strings.Split(r.name(strings.Join(append([]string{
		"router bgp 65001",
		"bgp router-id ROUTER",
		"no bgp ebgp-requires-policy",
		"no bgp default ipv4-unicast",
		"no bgp network import-check",
		"timers bgp 3 9",
	}, lines...), "\n")), "\n")...)
	return r
}

// name puts the addresses in.
func (r *router) name(text string) string {
	return strings.NewReplacer("ROUTER6", r.v6.String(), "NODE6", r.node6.String(),
		"ROUTER", r.v4.String(), "NODE", r.node4.String()).Replace(text)
}

// peer returns the Peer to speak with the router over IPv4.
func (r *router) peer() bgp.Peer {
	return bgp.Peer{
		Address:  r.v4,
		LocalASN: 65000, PeerASN: 65001,
		RouterID: netip.MustParseAddr("192.0.2.2"),
		HoldTime: calmHoldTime, ConnectTime: bgp.MinConnectTime,
	}
}

// has waits until the kernel of the router has exactly these routes by BGP, by way of NODE or NODE6.
func (r *router) has(want map[string]string) {
	r.t.Helper()
	named := map[netip.Prefix]string{}
	for prefix, hop := range want {
		named[netip.MustParsePrefix(prefix)] = r.name(hop)
	}
	eventually(r.t, fmt.Sprintf("the routes %v", named), func() (bool, any) {
		table := r.kernel()
		return maps.Equal(table, named), table
	})
}
