package speaker

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/clarionlb/clarion/announce/bgp"
)

// frr is FRRouting on a host.
type frr struct {
	*host
	dir string
	// options are for bgpd.
	options []string
	stopBGP func()
}

// frr starts it with these lines of configuration.
func (h *host) frr(lines ...string) *frr {
	h.t.Helper()
	f := &frr{host: h, dir: tempDir(h.t)}
	f.begin(lines...)
	return f
}

// begin starts it with these lines of configuration.
func (f *frr) begin(lines ...string) {
	f.t.Helper()
	for daemon, config := range map[string]string{"zebra": "", "bgpd": strings.Join(lines, "\n")} {
		must(f.t, os.WriteFile(filepath.Join(f.dir, daemon+".conf"), []byte(config+"\n"), 0o644))
	}
	f.daemon("zebra")
	f.stopBGP = f.daemon("bgpd", f.options...)
	f.t.Cleanup(func() {
		if f.t.Failed() {
			out, _ := f.vtysh("show bgp neighbors", "show bgp all")
			f.t.Logf("FRR says:\n%s", out)
		}
	})
}

// daemon starts one and waits until it can be talked to.
func (f *frr) daemon(name string, options ...string) (stop func()) {
	f.t.Helper()
	at := func(suffix string) string { return filepath.Join(f.dir, suffix) }
	stop = f.start("/usr/lib/frr/"+name, append(options, "--config_file", at(name+".conf"), "--pid_file", at(name+".pid"), "--socket", at("zserv.api"),
		"--vty_socket", f.dir, "--vty_port", "0", "--log", "stdout")...)
	eventually(f.t, name+" runs", func() (bool, any) {
		out, err := exec.Command("vtysh", "--vty_socket", f.dir, "-d", name, "-c", "show version").CombinedOutput()
		return err == nil, string(out)
	})
	return stop
}

func (f *frr) vtysh(commands ...string) (string, error) {
	args := []string{"--vty_socket", f.dir}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	out, err := exec.Command("vtysh", args...).CombinedOutput()
	return string(out), err
}

// configure changes the configuration.
func (f *frr) configure(lines ...string) {
	f.t.Helper()
	out, err := f.vtysh(append([]string{"configure terminal"}, lines...)...)
	if err != nil || strings.Contains(out, "%") {
		f.t.Fatalf("%s: %v\n%s", lines, err, out)
	}
}

// show reads what a command shows as JSON.
func (f *frr) show(command string, into any) error {
	out, err := f.vtysh(command + " json")
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return nil
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
	if err := f.show("show bgp neighbors "+name, &all); err != nil {
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
	if err := f.show("show bgp "+kind+" unicast "+prefix, &shown); err != nil {
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

// newSite returns one that runs nothing yet.
func newSite(t testing.TB) *router {
	t.Helper()
	h, eth := cable(t)
	n := sites.Add(1)
	r := &router{
		frr:   &frr{host: h, dir: tempDir(t)},
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
		"timers bgp 1 3",
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
		HoldTime: bgp.MinHoldTime, ConnectTime: bgp.MinConnectTime,
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
