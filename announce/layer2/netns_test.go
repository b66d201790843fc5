package layer2

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
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

// do runs f on a thread that is thrown away, so that it may leave it in another namespace.
func do(t testing.TB, f func() error) {
	t.Helper()
	must(t, try(f))
}

func try(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// repeatedly calls f again and again until stopped.
func repeatedly(f func()) (stop func()) {
	enough := make(chan struct{})
	var calling sync.WaitGroup
	calling.Go(func() {
		for again := time.Tick(100 * time.Millisecond); ; {
			f()
			select {
			case <-again:
			case <-enough:
				return
			}
		}
	})
	return func() {
		close(enough)
		calling.Wait()
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
