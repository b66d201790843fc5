package network

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

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
