package layer2

import (
	"fmt"
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

// TestMain runs the tests in a network namespace of their own, which plays the node and goes when they end.
func TestMain(m *testing.M) {
	const inside = "CLARION_TEST_IN_NAMESPACE"
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the death signal comes when this thread ends
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "tests in a network namespace (they need root):", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// host is another machine: a network namespace.
type host struct {
	t  testing.TB
	ns netns.NsHandle
	nl *netlink.Handle
}

func newHost(t testing.TB) *host {
	t.Helper()
	h := &host{t: t}
	do(t, func() error {
		var err error
		if h.ns, err = netns.New(); err != nil {
			return err
		}
		h.nl, err = netlink.NewHandle()
		return err
	})
	t.Cleanup(func() {
		h.nl.Close()
		h.ns.Close()
	})
	h.up("lo")
	return h
}

// do runs f on a thread that is thrown away, so that it may leave it in another namespace.
func do(t testing.TB, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// in runs f on the host.
func (h *host) in(f func() error) {
	h.t.Helper()
	do(h.t, func() error {
		if err := netns.Set(h.ns); err != nil {
			return err
		}
		return f()
	})
}

func (h *host) up(name string) {
	h.t.Helper()
	link, err := h.nl.LinkByName(name)
	if err == nil {
		err = h.nl.LinkSetUp(link)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) address(name, prefix string) {
	h.t.Helper()
	link, err := h.nl.LinkByName(name)
	if err != nil {
		h.t.Fatal(err)
	}
	addr, err := netlink.ParseAddr(prefix)
	if err != nil {
		h.t.Fatal(err)
	}
	if addr.IP.To4() == nil {
		addr.Flags = unix.IFA_F_NODAD // to be usable at once
	}
	if err := h.nl.AddrAdd(link, addr); err != nil {
		h.t.Fatal(err)
	}
}

var cables atomic.Int64

// cable connects the node to the interface peer of a host, both ends up, and returns the name of the node's end.
func cable(t testing.TB, h *host, peer string) string {
	t.Helper()
	name := fmt.Sprintf("eth%d", cables.Add(1))
	must(t, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: name},
		PeerName:      peer,
		PeerNamespace: netlink.NsFd(h.ns),
	}))
	t.Cleanup(func() {
		if link, err := netlink.LinkByName(name); err == nil {
			netlink.LinkDel(link)
		}
	})
	must(t, netlink.LinkSetUp(link(t, name)))
	h.up(peer)
	return name
}

func link(t testing.TB, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
