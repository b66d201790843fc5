package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

func TestHostsReachEachOtherAsSoonAsTheyHavePower(t *testing.T) {
	l := newLAN(t)
	serve(t, l.b)
	for _, from := range []*Host{l.a, l.far} {
		for _, v6 := range []bool{false, true} {
			conn, err := from.DialContext(testContext(t), "tcp", netip.AddrPortFrom(l.b.Address("eth0", v6), 80).String())
			if err != nil {
				t.Fatal(err)
			}
			if got, want := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr(), from.Address("eth0", v6); got != want {
				t.Errorf("connected from %s, want %s", got, want)
			}
			conn.Close()
		}
	}
}

func TestNetworksWithTheSameAddressesLiveSideBySide(t *testing.T) {
	first, second := newLAN(t), newLAN(t)
	serve(t, first.b)
	awaitAttempt(t, meter(t, first.a, first.b.Address("eth0", false)), Succeeded)
	awaitAttempt(t, meter(t, second.a, second.b.Address("eth0", false)), Failed)
}

func TestAHostHasItsOwnNameAndDevices(t *testing.T) {
	l := newLAN(t)
	name, err := l.a.Run(testContext(t), "hostname")
	if err != nil || strings.TrimSpace(name) != "a" {
		t.Errorf("hostname is %q, %v", name, err)
	}
	links, err := l.a.Run(testContext(t), "ip", "-o", "link", "show", "eth0")
	if err != nil || !strings.Contains(links, l.a.MAC("eth0").String()) {
		t.Errorf("want the address %s in %q, %v", l.a.MAC("eth0"), links, err)
	}
	_, err = l.a.Run(testContext(t), "sh", "-c", "echo the reason >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "the reason") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("the error does not say what happened: %v", err)
	}
}

func TestDoLeavesTheThreadWhereItWas(t *testing.T) {
	l := newLAN(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	where := func() string {
		link, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		return link
	}
	home := where()
	err := l.a.Do(func() error {
		inA := where()
		if inA == home {
			t.Error("not inside the host")
		}
		err := l.b.Do(func() error {
			if where() == inA {
				t.Error("not inside the other host")
			}
			return nil
		})
		if where() != inA {
			t.Error("not back in the host")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if where() != home {
		t.Error("not back home")
	}
}

func TestACutLinkLosesItsCarrierUntilRestored(t *testing.T) {
	l := newLAN(t)
	serve(t, l.b)
	m := meter(t, l.a, l.b.Address("eth0", false))
	awaitAttempt(t, m, Succeeded)
	if err := l.b.CutLink("eth0"); err != nil {
		t.Fatal(err)
	}
	state, err := l.b.Run(testContext(t), "ip", "-o", "link", "show", "eth0")
	if err != nil || !strings.Contains(state, "NO-CARRIER") {
		t.Errorf("want no carrier: %s, %v", state, err)
	}
	awaitAttempt(t, m, Failed)
	if err := l.b.RestoreLink("eth0"); err != nil {
		t.Fatal(err)
	}
	awaitAttempt(t, m, Succeeded)
	if err := l.b.CutLink("eth7"); err == nil {
		t.Error("a device that does not exist was cut")
	}
}

func TestAReplacedCableKeepsItsCarrier(t *testing.T) {
	l := newLAN(t)
	serve(t, l.b)
	carrier := func() string {
		t.Helper()
		details, err := l.b.Run(testContext(t), "ip", "-s", "-s", "-j", "link", "show", "eth0")
		if err != nil {
			t.Fatal(err)
		}
		changes := regexp.MustCompile(`"carrier_changes":\d+`).FindString(details)
		if changes == "" {
			t.Fatal(details)
		}
		return changes
	}
	before := carrier()
	m := meter(t, l.a, l.b.Address("eth0", false))
	awaitAttempt(t, m, Succeeded)
	if err := l.b.Replug("eth0", "far"); err != nil {
		t.Fatal(err)
	}
	awaitAttempt(t, m, Failed)
	if err := l.b.Replug("eth0", "lan"); err != nil {
		t.Fatal(err)
	}
	awaitAttempt(t, m, Succeeded)
	if after := carrier(); after != before {
		t.Errorf("%s, and before %s", after, before)
	}
}

func TestBlock(t *testing.T) {
	l := newLAN(t)
	serve(t, l.b)
	ctx := testContext(t)
	tests := []struct {
		name    string
		host    *Host
		traffic Traffic
		v6      bool
		blocked bool
	}{
		{"everything", l.b, Traffic{}, false, true},
		{"from an address", l.b, Traffic{Direction: In, Peer: l.a.Address("eth0", false)}, false, true},
		{"to an address", l.b, Traffic{Direction: Out, Peer: l.a.Address("eth0", false)}, false, true},
		{"from an IPv6 address", l.b, Traffic{Peer: l.a.Address("eth0", true)}, true, true},
		{"another address", l.b, Traffic{Peer: l.router.Address("eth0", false)}, false, false},
		{"the other family", l.b, Traffic{Peer: l.a.Address("eth0", false)}, true, false},
		{"a port", l.b, Traffic{Protocol: "tcp", Port: 80}, false, true},
		{"a port in IPv6", l.b, Traffic{Protocol: "tcp", Port: 80}, true, true},
		{"a port of an address", l.b, Traffic{Peer: l.a.Address("eth0", false), Protocol: "tcp", Port: 80}, false, true},
		{"another port", l.b, Traffic{Protocol: "tcp", Port: 81}, false, false},
		{"the port of another protocol", l.b, Traffic{Protocol: "udp", Port: 80}, false, false},
		{"at the client", l.a, Traffic{Protocol: "tcp", Port: 80}, false, true},
		{"a hardware address", l.b, Traffic{PeerMAC: l.a.MAC("eth0")}, true, true},
		{"one way is enough", l.b, Traffic{Direction: Out, PeerMAC: l.a.MAC("eth0"), Protocol: "tcp"}, false, true},
		{"ICMP only", l.b, Traffic{Protocol: "icmp"}, false, false},
		{"a device that the traffic does not cross", l.router, Traffic{Device: "eth1"}, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := meter(t, l.a, l.b.Address("eth0", test.v6))
			awaitAttempt(t, m, Succeeded)
			barrier, err := test.host.Block(ctx, test.traffic)
			if err != nil {
				t.Fatal(err)
			}
			if test.blocked {
				awaitAttempt(t, m, Failed)
			} else {
				awaitAttempt(t, m, Succeeded)
			}
			if dropped, err := barrier.Dropped(ctx); err != nil || test.blocked != (dropped > 0) {
				t.Errorf("%d frames dropped, %v", dropped, err)
			}
			if err := barrier.Lift(); err != nil {
				t.Fatal(err)
			}
			awaitAttempt(t, m, Succeeded)
		})
	}
	if _, err := l.b.Block(ctx, Traffic{Port: 80}); err == nil {
		t.Error("a port without a protocol was accepted")
	}
	if _, err := l.b.Block(ctx, Traffic{Protocol: "arp", Port: 80}); err == nil {
		t.Error("a port of ARP was accepted")
	}
}

func TestBlockingARPAlone(t *testing.T) {
	l := newLAN(t)
	serve(t, l.b)
	if _, err := l.b.Block(testContext(t), Traffic{Protocol: "arp", Peer: l.a.Address("eth0", false)}); err != nil {
		t.Fatal(err)
	}
	awaitAttempt(t, meter(t, l.a, l.b.Address("eth0", false)), Failed)
	awaitAttempt(t, meter(t, l.a, l.b.Address("eth0", true)), Succeeded)
	awaitAttempt(t, meter(t, l.far, l.b.Address("eth0", false)), Succeeded)
}

func TestSniff(t *testing.T) {
	l := newLAN(t)
	ctx := testContext(t)
	sniffers := map[string]*Sniffer{}
	for where, at := range map[string]struct {
		host   *Host
		device string
	}{"client": {l.a, "eth0"}, "server": {l.b, "eth0"}, "LAN": {l.Switch(), "lan"}, "other LAN": {l.Switch(), "far"}} {
		s, err := at.host.Sniff(ctx, at.device, "arp")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Stop)
		sniffers[where] = s
	}
	serve(t, l.b)
	before := time.Now()
	awaitAttempt(t, meter(t, l.a, l.b.Address("eth0", false)), Succeeded)

	reply := func(f Frame) bool { return binary.BigEndian.Uint16(f.Data[20:]) == 2 }
	for _, where := range []string{"client", "server", "LAN"} {
		frame, err := sniffers[where].Await(ctx, reply)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		if got, want := net.HardwareAddr(frame.Data[6:12]).String(), l.b.MAC("eth0").String(); got != want {
			t.Errorf("%s: the reply is from %s, want %s", where, got, want)
		}
		if got, want := frame.Outgoing, where == "server"; got != want {
			t.Errorf("%s: outgoing is %t", where, got)
		}
		if frame.Time.Before(before) || frame.Time.After(time.Now()) {
			t.Errorf("%s: the time of the frame is %s", where, frame.Time)
		}
	}
	for where, s := range sniffers {
		for _, frame := range s.Frames() {
			if binary.BigEndian.Uint16(frame.Data[12:]) != unix.ETH_P_ARP {
				t.Errorf("%s: the filter let %s pass", where, frame)
			}
		}
	}
	if frames := sniffers["other LAN"].Frames(); len(frames) > 0 {
		t.Errorf("frames leaked to the other LAN: %v", frames)
	}
	s := sniffers["client"]
	s.Stop()
	s.Stop()
	if _, err := s.Await(ctx, func(Frame) bool { return false }); err == nil {
		t.Error("a stopped sniffer waits")
	}
	if _, err := l.a.Sniff(ctx, "eth0", "no such expression"); err == nil {
		t.Error("a wrong filter was accepted")
	}
}

func TestPowerOffIsSilentAndLeavesNothing(t *testing.T) {
	l := newLAN(t)
	ctx := testContext(t)
	log := filepath.Join(t.TempDir(), "server.log")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.b.Start(log, self, "echo", "--pod=p", "--http=80")
	if err != nil {
		t.Fatal(err)
	}
	m := meter(t, l.a, l.b.Address("eth0", false))
	awaitAttempt(t, m, Succeeded)
	m.Stop()
	conn, err := l.a.DialContext(ctx, "tcp", netip.AddrPortFrom(l.b.Address("eth0", false), 80).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	goodbyes, err := l.a.Sniff(ctx, "eth0", "tcp[tcpflags] & (tcp-fin|tcp-rst) != 0 and src host 10.0.1.12")
	if err != nil {
		t.Fatal(err)
	}
	defer goodbyes.Stop()

	if err := l.b.PowerOff(); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if l.b.On() {
		t.Error("the host is still on")
	}
	if _, err := l.b.Run(ctx, "true"); !errors.Is(err, ErrOff) {
		t.Errorf("a command on a host without power: %v", err)
	}
	if err := l.b.PowerOff(); err != nil {
		t.Errorf("power off twice: %v", err)
	}
	if frames := goodbyes.Frames(); len(frames) > 0 {
		t.Errorf("the host said goodbye: %v", frames)
	}

	if err := l.b.PowerOn(); err != nil {
		t.Fatal(err)
	}
	serve(t, l.b)
	awaitAttempt(t, meter(t, l.a, l.b.Address("eth0", false)), Succeeded)
}

func TestProcessHandles(t *testing.T) {
	l := newLAN(t)
	ctx := testContext(t)
	log := filepath.Join(t.TempDir(), "logs", "sh.log")
	before := time.Now().Add(-10 * time.Second) // the kernel counts in ticks
	started, err := l.b.Start(log, "sh", "-c", "trap 'echo asked to end; exit' TERM; echo started; while :; do sleep 0.01; done")
	if err != nil {
		t.Fatal(err)
	}
	for logged(t, log) != "started\n" {
		runtime.Gosched()
	}
	found, err := l.b.Processes(started.Name)
	// The shell is more than one for the moment before it runs sleep. It is the oldest.
	if err != nil || len(found) == 0 || found[0].PID != started.PID {
		t.Fatalf("found %v, %v; want process %d", found, err, started.PID)
	}
	p := found[0]
	if p.Started.Before(before) || p.Started.After(time.Now()) || p.Command[1] != "-c" {
		t.Errorf("%q started at %s", p.Command, p.Started)
	}
	if elsewhere, err := l.a.Processes(started.Name); err != nil || len(elsewhere) != 0 {
		t.Errorf("found %v, %v on the other host", elsewhere, err)
	}
	if err := errors.Join(p.Stop(), p.Terminate()); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(processStatus(t, p.PID), "State:\tT") {
		runtime.Gosched()
	}
	select {
	case <-p.Done():
		t.Error("a stopped process ended")
	default:
	}
	if err := p.Continue(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Wait(ctx), started.Wait(ctx)); err != nil {
		t.Fatal(err)
	}
	if got := logged(t, log); got != "started\nasked to end\n" {
		t.Errorf("the log is %q", got)
	}
	if err := p.Kill(); err == nil {
		t.Error("a process that has ended was killed")
	}
}

func logged(t *testing.T, path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func processStatus(t *testing.T, pid int) string {
	return logged(t, fmt.Sprintf("/proc/%d/status", pid))
}

func TestDestroyRemovesWhatOthersLeft(t *testing.T) {
	l := newLAN(t)
	ctx := testContext(t)
	// As a kubelet does: a namespace of a pod, with a process in it that nobody will wait for.
	pod := l.a.Namespace() + "-pod"
	if err := createNamespace(pod); err != nil {
		t.Fatal(err)
	}
	if _, err := l.a.Run(ctx, "sh", "-c", "ip netns exec "+pod+" sleep 1000 >/dev/null 2>&1 &"); err != nil {
		t.Fatal(err)
	}
	var sleepers []*Process
	for len(sleepers) == 0 {
		var err error
		if sleepers, err = l.a.Processes("sleep"); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Destroy(); err != nil {
		t.Fatal(err)
	}
	if err := sleepers[0].Wait(ctx); err != nil {
		t.Error(err)
	}
	left, err := namespaces(l.Name + "-")
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
