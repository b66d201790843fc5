package bfd

import (
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const frrDirectory = "/usr/lib/frr/"

// frr is FRR's BFD daemon, and what it needs, on a host.
type frr struct {
	*host
	directory string
	bfdd      *daemon
}

// startFRR starts FRR with a configuration.
func startFRR(h *host, config ...string) *frr {
	h.t.Helper()
	f := &frr{host: h, directory: forUser(h.t, "frr")}
	write(h.t, f.directory, "zebra.conf", "")
	write(h.t, f.directory, "bfdd.conf", strings.Join(config, "\n")+"\n")
	f.daemon("zebra")
	await(h.t, "zebra", func() bool {
		_, err := os.Stat(filepath.Join(f.directory, "zserv"))
		return err == nil
	})
	f.startBFD()
	return f
}

// forUser makes a directory in which that user can do as it likes.
func forUser(t testing.TB, name string) string {
	t.Helper()
	directory := t.TempDir()
	u, err := user.Lookup(name)
	must(t, err)
	uid, err := strconv.Atoi(u.Uid)
	must(t, err)
	must(t, os.Chown(directory, uid, -1))
	must(t, os.Chmod(filepath.Dir(directory), 0o755))
	return directory
}

func (f *frr) daemon(name string, args ...string) *daemon {
	f.t.Helper()
	in := func(file string) string { return filepath.Join(f.directory, file) }
	return f.start(frrDirectory+name, append(args, "--log", "stdout", "-f", in(name+".conf"), "-i", in(name+".pid"),
		"-z", in("zserv"), "--vty_socket", f.directory, "-P", "0")...)
}

func (f *frr) startBFD() {
	f.t.Helper()
	f.bfdd = f.daemon("bfdd", "--bfdctl", filepath.Join(f.directory, "bfdd.sock"))
	f.awaitAnswer(f.bfdd, "vtysh", "--vty_socket", f.directory, "-d", "bfdd", "-c", "show bfd peers json")
}

// configure enters lines of configuration.
func (f *frr) configure(lines ...string) {
	f.t.Helper()
	args := []string{"--vty_socket", f.directory, "-d", "bfdd", "-c", "configure terminal"}
	for _, line := range lines {
		args = append(args, "-c", line)
	}
	f.run("vtysh", args...)
}

// frrPeer is how FRR sees a session. Intervals are in milliseconds.
type frrPeer struct {
	Peer             string
	Status           string
	Diagnostic       string
	RemoteDiagnostic string `json:"remote-diagnostic"`
	Transmit         int    `json:"transmit-interval"`
	RemoteReceive    int    `json:"remote-receive-interval"`
	RemoteTransmit   int    `json:"remote-transmit-interval"`
	RemoteMultiplier int    `json:"remote-detect-multiplier"`
}

func (f *frr) peers() []frrPeer {
	f.t.Helper()
	out := f.run("vtysh", "--vty_socket", f.directory, "-d", "bfdd", "-c", "show bfd peers json")
	var peers []frrPeer
	if err := json.Unmarshal([]byte(out), &peers); err != nil {
		f.t.Fatalf("FRR says %q: %v", out, err)
	}
	return peers
}

// awaitPeers waits until FRR sees all sessions as described.
func (f *frr) awaitPeers(what string, is func(frrPeer) bool) {
	f.t.Helper()
	await(f.t, what, func() bool {
		peers := f.peers()
		for _, p := range peers {
			if !is(p) {
				return false
			}
		}
		return len(peers) > 0
	})
}

func frrIsUp(p frrPeer) bool { return p.Status == "up" }

// frrConfig is FRR's configuration of sessions with what follows "peer".
func frrConfig(profile []string, peers ...string) []string {
	lines := append([]string{"bfd", " profile test"}, indent(2, profile...)...)
	lines = append(lines, " exit")
	for _, peer := range peers {
		lines = append(lines, " peer "+peer, "  profile test", " exit")
	}
	return append(lines, "exit")
}

func indent(by int, lines ...string) []string {
	var indented []string
	for _, line := range lines {
		indented = append(indented, strings.Repeat(" ", by)+line)
	}
	return indented
}

// every is a profile of so many milliseconds in both directions.
func every(milliseconds, multiplier int, more ...string) []string {
	return append([]string{
		fmt.Sprintf("transmit-interval %d", milliseconds),
		fmt.Sprintf("receive-interval %d", milliseconds),
		fmt.Sprintf("detect-multiplier %d", multiplier),
	}, more...)
}
