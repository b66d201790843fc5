// Package netnstest has tests use network namespaces: one that plays the node, which a test binary
// runs in, and one for each other machine. Namespaces need root. A test that needs one is skipped
// for other users, and says so; all others run.
package netnstest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// inside is set in the environment of a process that is in a namespace of its own.
const inside = "CLARION_TEST_IN_NAMESPACE"

// Main is for TestMain, and run is testing.M.Run or calls it. It runs the tests in a namespace of
// their own, with the loopback interface up, which goes when they end, and ends the process. Whoever
// is not root has them run where they are.
func Main(run func() int) {
	mainOf(run, func() error { return runInside(os.Stdout, os.Stderr, os.Args[1:]...) })
}

// MainOfShares is Main for tests that wait most of the time. When all are to run, as many shares of
// them run side by side as -parallel says, each in a process and a namespace of its own, with one
// test or subtest at a time. Those that are named alone run after the others: they keep the
// processors busy, or have subtests that run side by side.
func MainOfShares(run func() int, alone ...string) {
	mainOf(run, func() error {
		if args := os.Args[1:]; areAll(args) {
			return runShares(args, alone)
		}
		return runInside(os.Stdout, os.Stderr, os.Args[1:]...)
	})
}

// mainOf runs tests by running this program inside of namespaces.
func mainOf(run func() int, runInNamespaces func() error) {
	if !isRoot() {
		os.Exit(run())
	}
	if os.Getenv(inside) != "" {
		if err := loopbackUp(); err != nil {
			fmt.Fprintln(os.Stderr, "bring the loopback interface up:", err)
			os.Exit(1)
		}
		os.Exit(run())
	}
	if err := runInNamespaces(); err != nil {
		fmt.Fprintln(os.Stderr, "tests in a network namespace:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runInside runs this program in a namespace of its own.
func runInside(stdout, stderr io.Writer, args ...string) error {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the death signal comes when this thread ends
	defer runtime.UnlockOSThread()
	return cmd.Run()
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

func isRoot() bool { return os.Geteuid() == 0 }

// NeedRoot skips a test that makes or changes network namespaces unless root runs it.
func NeedRoot(t testing.TB) {
	t.Helper()
	if !isRoot() {
		t.Skip("needs root: it makes network namespaces")
	}
}

// InThread runs f on a thread that is thrown away, so that f may leave it in another namespace.
func InThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}

// Host is a machine: a network namespace. Its methods fail the test that it was made for.
type Host struct {
	// NS is the namespace, and NL speaks with the kernel there. The test closes both when it ends.
	NS netns.NsHandle
	NL *netlink.Handle

	t testing.TB
}

// NewHost returns another machine, whose loopback interface is up.
func NewHost(t testing.TB) *Host {
	t.Helper()
	NeedRoot(t)
	h := &Host{t: t}
	h.open(func() error {
		return InThread(func() (err error) {
			if h.NS, err = netns.New(); err != nil {
				return err
			}
			h.NL, err = netlink.NewHandle()
			return err
		})
	})
	return h
}

// Node returns the machine that the test itself is on.
func Node(t testing.TB) *Host {
	t.Helper()
	NeedRoot(t)
	h := &Host{t: t}
	h.open(func() (err error) {
		if h.NS, err = netns.Get(); err != nil {
			return err
		}
		h.NL, err = netlink.NewHandle()
		return err
	})
	return h
}

func (h *Host) open(open func() error) {
	h.t.Helper()
	h.must(open())
	h.t.Cleanup(func() {
		h.NL.Close()
		h.NS.Close()
	})
	h.Up("lo")
}

// Try runs f on the host.
func (h *Host) Try(f func() error) error {
	return InThread(func() error {
		if err := netns.Set(h.NS); err != nil {
			return err
		}
		return f()
	})
}

// In runs f on the host, which must succeed.
func (h *Host) In(f func() error) {
	h.t.Helper()
	h.must(h.Try(f))
}

// Up brings an interface up.
func (h *Host) Up(name string) {
	h.t.Helper()
	link, err := h.NL.LinkByName(name)
	h.must(err)
	h.must(h.NL.LinkSetUp(link))
}

// Address gives an interface an address with the length of its prefix, which can be used at once.
func (h *Host) Address(name, prefix string) {
	h.t.Helper()
	link, err := h.NL.LinkByName(name)
	h.must(err)
	addr, err := ParseAddress(prefix)
	h.must(err)
	h.must(h.NL.AddrAdd(link, addr))
}

// ParseAddress reads an address with the length of its prefix. No duplicate is looked for when an
// interface gets it.
func ParseAddress(prefix string) (*netlink.Addr, error) {
	addr, err := netlink.ParseAddr(prefix)
	if err == nil && addr.IP.To4() == nil {
		addr.Flags = unix.IFA_F_NODAD
	}
	return addr, err
}

var cables atomic.Int64

// Cable connects the test's own machine to the interface peer of the host, both ends up, and
// returns the name of the near end.
func (h *Host) Cable(peer string) string {
	h.t.Helper()
	veth := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: fmt.Sprintf("eth%d", cables.Add(1))},
		PeerName:      peer,
		PeerNamespace: netlink.NsFd(h.NS),
	}
	h.must(netlink.LinkAdd(veth))
	h.t.Cleanup(func() {
		if link, err := netlink.LinkByName(veth.Name); err == nil {
			netlink.LinkDel(link)
		}
	})
	h.must(netlink.LinkSetUp(veth))
	h.Up(peer)
	return veth.Name
}

func (h *Host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}
