package bfd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/internal/netnstest"
)

// programs are what the tests need, and the Debian packages that they come from.
var programs = map[string]string{"nft": "nftables", "bird": "bird2", "vtysh": "frr", frrDirectory + "bfdd": "frr"}

// TestMain runs the tests in a network namespace of their own, which plays the node, with what they need installed. Whoever is
// not root has those run that need neither.
func TestMain(m *testing.M) {
	if os.Geteuid() == 0 {
		if err := install(); err != nil {
			fmt.Fprintln(os.Stderr, "install what the tests need:", err)
			os.Exit(1)
		}
		os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	}
	netnstest.MainOfShares(m.Run, "TestNoSessionIsTakenForDeadWithoutReasonUnderPressure")
}

// install installs the Debian packages that are missing. What they start is of no use and stopped.
func install() error {
	var missing []string
	for program, name := range programs {
		found := false
		for _, dir := range []string{"", "/usr/sbin/", "/sbin/"} {
			_, err := exec.LookPath(dir + program)
			found = found || err == nil
		}
		if !found && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	apt := func(args ...string) error {
		cmd := exec.Command("apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=300"}, args...)...)
		// RUNLEVEL keeps the daemons from being started.
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
		return nil
	}
	packages := append([]string{"install", "--yes", "--no-install-recommends"}, missing...)
	if apt(packages...) == nil {
		return nil
	}
	return errors.Join(apt("update"), apt(packages...))
}

// host is a machine.
type host struct {
	*netnstest.Host
	t testing.TB
}

func newHost(t testing.TB) *host {
	t.Helper()
	return &host{netnstest.NewHost(t), t}
}

// node is the machine that the speaker is on.
func node(t testing.TB) *host {
	t.Helper()
	return &host{netnstest.Node(t), t}
}

// run runs a command on the host, and returns what it says.
func (h *host) run(name string, args ...string) string {
	h.t.Helper()
	out, err := h.try(name, args...)
	must(h.t, err)
	return out
}

func (h *host) try(name string, args ...string) (out string, err error) {
	h.t.Helper()
	h.In(func() error {
		var b []byte
		if b, err = exec.Command(name, args...).CombinedOutput(); err != nil {
			err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, b)
		}
		out = string(b)
		return nil
	})
	return out, err
}

// daemon is a program that runs on a host.
type daemon struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	gone   chan struct{}
}

// start starts a program on the host, which ends with the test.
func (h *host) start(name string, args ...string) *daemon {
	h.t.Helper()
	// A program that changes its user does not hear of the death of this process any more. timeout does, and passes it on to its group.
	d := &daemon{cmd: exec.Command("timeout", append([]string{"10m", name}, args...)...), gone: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = &d.output, &d.output
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // it must outlive the program, and is then thrown away
		err := netns.Set(h.NS)
		if err == nil {
			// The host stands for another machine, which has processors of its own.
			err = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20)
		}
		if err == nil {
			err = d.cmd.Start()
		}
		started <- err
		if err == nil {
			d.cmd.Wait()
		}
		close(d.gone)
	}()
	must(h.t, <-started)
	h.t.Cleanup(func() {
		d.kill()
		if h.t.Failed() {
			h.t.Logf("%s said:\n%s", name, &d.output)
		}
	})
	return d
}

// awaitAnswer waits until the program answers a command, which it never does if it has ended.
func (h *host) awaitAnswer(d *daemon, name string, args ...string) {
	h.t.Helper()
	await(h.t, name+" to be answered", func() bool {
		select {
		case <-d.gone:
			h.t.Fatalf("%s has ended", d.cmd.Args[2])
		default:
		}
		_, err := h.try(name, args...)
		return err == nil
	})
}

func (d *daemon) kill() {
	select {
	case <-d.gone:
	default:
		syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) // its group
		<-d.gone
	}
}

// route has the host send what is for a network to a gateway.
func (h *host) route(to, via string) {
	h.t.Helper()
	dst, err := netlink.ParseIPNet(to)
	must(h.t, err)
	must(h.t, h.NL.RouteAdd(&netlink.Route{Dst: dst, Gw: netip.MustParseAddr(via).AsSlice()}))
}

// forward has the host be a router.
func (h *host) forward() {
	h.t.Helper()
	h.In(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) })
}

// deaf has what arrives at the host for BFD and heartbeats be dropped, until hear.
func (h *host) deaf() {
	h.t.Helper()
	h.run("nft", "add table inet deaf; add chain inet deaf in { type filter hook input priority 0 ; }; add rule inet deaf in udp dport { 3784, 4784, 7950 } drop")
}

func (h *host) hear() {
	h.t.Helper()
	h.run("nft", "delete table inet deaf")
}

var cables atomic.Int64

// cable connects an interface of one host to one of another, both up. The link-local addresses can be used at once.
func cable(t testing.TB, a *host, aName string, b *host, bName string) {
	t.Helper()
	temporary := fmt.Sprintf("cable%d", cables.Add(1))
	for _, h := range []*host{a, b} {
		h.In(func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0) })
	}
	must(t, a.NL.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: temporary},
		PeerName:      bName,
		PeerNamespace: netlink.NsFd(b.NS),
	}))
	link, err := a.NL.LinkByName(temporary)
	must(t, err)
	must(t, a.NL.LinkSetName(link, aName))
	t.Cleanup(func() { a.NL.LinkDel(link) })
	a.Up(aName)
	b.Up(bName)
}

// linkLocal is the link-local address of an interface.
func (h *host) linkLocal(name string) netip.Addr {
	h.t.Helper()
	link, err := h.NL.LinkByName(name)
	must(h.t, err)
	var addr netip.Addr
	await(h.t, "a link-local address of "+name, func() bool {
		addrs, err := h.NL.AddrList(link, unix.AF_INET6)
		must(h.t, err)
		for _, a := range addrs {
			if a.IP.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				addr, _ = netip.AddrFromSlice(a.IP)
			}
		}
		return addr.IsValid()
	})
	return addr
}

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// await waits for something that nobody tells of.
func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(patience)
	for !is() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// speak runs a speaker on the node until the test ends or the function that is returned is called.
func speak(t testing.TB) (*Speaker, func()) {
	logger := klog.Logger{}
	if testing.Verbose() {
		logger = klog.Background()
	}
	return speakTo(t, logger)
}

func speakTo(t testing.TB, logger klog.Logger) (*Speaker, func()) {
	s := NewSpeaker()
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), logger))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := func() {
		if cancel(); done != nil {
			if err := <-done; err != nil {
				t.Error(err)
			}
			done = nil
		}
	}
	t.Cleanup(stop)
	return s, stop
}

// expect waits until every session is as described, and returns how they all are.
func expect(t testing.TB, s *Speaker, what string, is func(Status) bool) []Status {
	t.Helper()
	timeout := time.After(patience)
	for {
		sessions := s.Sessions()
		if len(sessions) > 0 && !slices.ContainsFunc(sessions, func(s Status) bool { return !is(s) }) {
			return sessions
		}
		select {
		case <-s.Changed():
		case <-timeout:
			t.Fatalf("waited in vain for %s: %+v", what, slices.DeleteFunc(s.Sessions(), is))
		}
	}
}

func isUp(s Status) bool { return s.State == Up }

func isDown(s Status) bool { return s.State != Up }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write writes a file into a directory.
func write(t testing.TB, directory, name, text string) string {
	t.Helper()
	path := filepath.Join(directory, name)
	must(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}
