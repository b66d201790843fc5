package bgp

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// frr is FRRouting on a host.
type frr struct {
	*host
	dir string
}

// frr starts it with these lines of configuration.
func (h *host) frr(lines ...string) *frr {
	h.t.Helper()
	f := &frr{host: h, dir: tempDir(h.t)}
	for daemon, config := range map[string]string{"zebra": "", "bgpd": strings.Join(lines, "\n")} {
		must(h.t, os.WriteFile(filepath.Join(f.dir, daemon+".conf"), []byte(config+"\n"), 0o644))
	}
	f.daemon("zebra")
	f.daemon("bgpd")
	return f
}

// daemon starts one and waits until it can be talked to.
func (f *frr) daemon(name string) (stop func()) {
	f.t.Helper()
	at := func(suffix string) string { return filepath.Join(f.dir, suffix) }
	stop = f.start("/usr/lib/frr/"+name, "--config_file", at(name+".conf"), "--pid_file", at(name+".pid"), "--socket", at("zserv.api"),
		"--vty_socket", f.dir, "--vty_port", "0", "--log", "stdout")
	eventually(f.t, name+" runs", func() (bool, any) {
		out, err := f.vtysh("show version")
		return err == nil && f.answers(name), out
	})
	return stop
}

// answers says whether a daemon does.
func (f *frr) answers(daemon string) bool {
	_, err := exec.Command("vtysh", "--vty_socket", f.dir, "-d", daemon, "-c", "show version").CombinedOutput()
	return err == nil
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
	State           string `json:"bgpState"`
	RemoteAS        uint32 `json:"remoteAs"`
	RemoteRouterID  string `json:"remoteRouterId"`
	HoldTimeMsecs   int    `json:"bgpTimerHoldTimeMsecs"`
	KeepaliveMsecs  int    `json:"bgpTimerKeepAliveIntervalMsecs"`
	Resets          int    `json:"connectionsDropped"`
	Established     int    `json:"connectionsEstablished"`
	LastResetDueTo  string `json:"lastResetDueTo"`
	LastCode        string `json:"lastErrorCodeSubcode"`
	LastShutdown    string `json:"lastShutdownDescription"`
	LastNotify      string `json:"lastNotificationReason"`
	UpSince         int64  `json:"bgpTimerUpEstablishedEpoch"`
	PortForeign     int    `json:"portForeign"`
	HostForeign     string `json:"hostForeign"`
	HostLocal       string `json:"hostLocal"`
	GracefulRestart struct {
		Remote string `json:"remoteGrMode"`
		RBit   bool   `json:"rBit"`
	} `json:"gracefulRestartInfo"`
	MessageStats struct {
		UpdatesRecv int `json:"updatesRecv"`
	} `json:"messageStats"`
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

// has waits until the kernel of the router has exactly these routes by BGP.
func (h *host) has(want map[string]string) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("the routes %v", want), func() (bool, any) {
		table := h.kernel()
		if len(table) != len(want) {
			return false, table
		}
		for prefix, hop := range want {
			if table[netip.MustParsePrefix(prefix)] != hop {
				return false, table
			}
		}
		return true, nil
	})
}

// router is a host with FRR, 192.0.2.1 and 2001:db8::1, on a cable to the node, which has 192.0.2.2 and 2001:db8::2. The
// lines are those of its "router bgp 65001".
func router(t testing.TB, lines ...string) *frr {
	t.Helper()
	h, eth := cable(t)
	h.address("lan", "192.0.2.1/24")
	h.address("lan", "2001:db8::1/64")
	give(t, eth, "192.0.2.2/24")
	give(t, eth, "2001:db8::2/64")
	return h.frr(append([]string{
		"router bgp 65001",
		"bgp router-id 192.0.2.1",
		"no bgp ebgp-requires-policy",
		"no bgp network import-check",
		"timers bgp 1 3",
	}, lines...)...)
}

// node is the Peer for a router.
var node = Peer{
	Address:  netip.MustParseAddr("192.0.2.1"),
	LocalASN: 65000, PeerASN: 65001,
	RouterID: netip.MustParseAddr("192.0.2.2"),
	HoldTime: minHoldTime, ConnectTime: minConnectTime,
}
