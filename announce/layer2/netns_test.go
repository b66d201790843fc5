package layer2

import (
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/clarionlb/clarion/internal/netnstest"
)

// TestMain runs the tests in a network namespace of their own, which plays the node and goes when they end.
func TestMain(m *testing.M) { netnstest.MainOfShares(m.Run) }

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

// cable connects the node to the interface peer of a host, both ends up, and returns the name of the node's end.
func cable(t testing.TB, h *host, peer string) string {
	t.Helper()
	return h.Cable(peer)
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
