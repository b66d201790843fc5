package why

import (
	"errors"
	"io/fs"
	"net/netip"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/internal/netnstest"
)

func TestMain(m *testing.M) { netnstest.Main(m.Run) }

// lanOf is a network of this machine and another one, which has the addresses 192.0.2.1 and 2001:db8::1. It returns the interfaces of both.
func lanOf(t *testing.T) (near string, far netlink.Link) {
	t.Helper()
	node, host := netnstest.Node(t), netnstest.NewHost(t)
	near = host.Cable("lan")
	for _, prefix := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
		host.Address("lan", prefix)
	}
	for _, prefix := range []string{"192.0.2.2/24", "2001:db8::2/64"} {
		node.Address(near, prefix)
	}
	far, err := host.NL.LinkByName("lan")
	if err != nil {
		t.Fatal(err)
	}
	return near, far
}

func TestTheHostsOfANetworkAreAskedWhoHasAnAddress(t *testing.T) {
	near, far := lanOf(t)
	var asking sync.WaitGroup
	for address, answers := range map[string]bool{"192.0.2.1": true, "2001:db8::1": true, "192.0.2.9": false, "2001:db8::9": false} {
		asking.Go(func() {
			said, err := network{}.Ask(t.Context(), netip.MustParseAddr(address))
			if err != nil || said.Interface != near || said.Router.IsValid() || said.Own == "" {
				t.Errorf("%s: %+v, %v", address, said, err)
			}
			if got := len(said.MACs) == 1 && said.MACs[0] == far.Attrs().HardwareAddr.String(); got != answers {
				t.Errorf("%s: %v answers", address, said.MACs)
			}
		})
	}
	asking.Wait()
}

func TestOfAnAddressElsewhereNobodyIsAsked(t *testing.T) {
	near, _ := lanOf(t)
	link, err := netlink.LinkByName(near)
	if err != nil {
		t.Fatal(err)
	}
	router := netip.MustParseAddr("192.0.2.1")
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: router.AsSlice()}); err != nil {
		t.Fatal(err)
	}
	if said, err := (network{}).Ask(t.Context(), netip.MustParseAddr("203.0.113.1")); err != nil || said.Router != router || said.MACs != nil {
		t.Errorf("%+v, %v", said, err)
	}
	for _, address := range []string{"192.0.2.2", "2001:db8:1::1"} { // one of its own, and one without a way
		if said, err := (network{}).Ask(t.Context(), netip.MustParseAddr(address)); err == nil {
			t.Errorf("%s: %+v", address, said)
		}
	}
}

func TestWhoMayNotAskIsTold(t *testing.T) {
	lanOf(t)
	err := netnstest.InThread(func() error {
		header, data := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
		if err := unix.Capset(&header, &data[0]); err != nil { // of this thread alone
			t.Error(err)
		}
		_, err := network{}.Ask(t.Context(), netip.MustParseAddr("192.0.2.1"))
		return err
	})
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
}
