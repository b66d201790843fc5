package network

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clarionlb/clarion/test/cluster/echo"
)

// TestMain makes this program an echo server too, for tests that need one that can be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "echo" {
		os.Exit(echo.Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

var networks atomic.Int64

// lan is a network of two LANs: a and b on the first, far on the second, and a router between them.
type lan struct {
	*Network
	a, b, router, far *Host
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	n := &Network{Name: fmt.Sprintf("n%dx%d", os.Getpid(), networks.Add(1)), LANs: []string{"lan", "far"}}
	port := func(device, lan string, number int) Port {
		subnet := map[string]int{"lan": 1, "far": 2}[lan]
		return Port{Device: device, LAN: lan, Addresses: []netip.Prefix{
			netip.MustParsePrefix(fmt.Sprintf("10.0.%d.%d/24", subnet, number)),
			netip.MustParsePrefix(fmt.Sprintf("fd00:%d::%d/64", subnet, number)),
		}}
	}
	routes := func(subnet int) []Route {
		return []Route{
			{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr(fmt.Sprintf("10.0.%d.1", subnet))},
			{To: netip.MustParsePrefix("::/0"), Via: netip.MustParseAddr(fmt.Sprintf("fd00:%d::1", subnet))},
		}
	}
	l := &lan{
		Network: n,
		a:       n.Host(Spec{Name: "a", Ports: []Port{port("eth0", "lan", 11)}, Routes: routes(1)}),
		b:       n.Host(Spec{Name: "b", Ports: []Port{port("eth0", "lan", 12)}, Routes: routes(1)}),
		router:  n.Host(Spec{Name: "router", Forward: true, Ports: []Port{port("eth0", "lan", 1), port("eth1", "far", 1)}}),
		far:     n.Host(Spec{Name: "far", Ports: []Port{port("eth0", "far", 11)}, Routes: routes(2)}),
	}
	t.Cleanup(func() {
		if err := n.Destroy(); err != nil {
			t.Error(err)
		}
	})
	if err := n.Create(); err != nil {
		t.Fatal(err)
	}
	for _, host := range []*Host{l.a, l.b, l.router, l.far} {
		if err := host.PowerOn(); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// serve runs an echo server in a host, on HTTP port 80, until the test ends.
func serve(t *testing.T, h *Host) {
	t.Helper()
	var server *echo.Server
	err := h.Do(func() (err error) {
		server, err = echo.Listen(echo.Config{Pod: "pod-" + h.Name, Namespace: "default", Node: h.Name, HTTP: []uint16{80}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// meter measures port 80 of an address until the test ends.
func meter(t *testing.T, from *Host, to netip.Addr) *Meter {
	m := from.Measure(netip.AddrPortFrom(to, 80), MeterOptions{Timeout: 200 * time.Millisecond})
	t.Cleanup(func() { m.Stop() })
	return m
}

func awaitAttempt(t *testing.T, m *Meter, match func(Attempt) bool) {
	t.Helper()
	if _, err := m.Await(testContext(t), match); err != nil {
		t.Fatal(err)
	}
}

func logged(t *testing.T, path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
