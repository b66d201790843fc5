package layer2

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

var ownerMAC = net.HardwareAddr{2, 7, 7, 7, 7, 7}

// answersFor asks for an address on an interface and returns the hardware address in the reply; "" if
// there is none.
func answersFor(t *testing.T, lan *fakeLAN, ifi string, addr netip.Addr) string {
	t.Helper()
	lan.take()
	lan.ask(ifi, addr)
	synctest.Wait()
	answers, _ := lan.take()
	if len(answers) > 1 {
		t.Errorf("%d answers to a question", len(answers))
	}
	for _, s := range answers {
		return s.mac.String()
	}
	return ""
}

func TestAProxyAnswersWithTheOwnersMACAndAnnouncesNothing(t *testing.T) {
	for _, addr := range []netip.Addr{vip1, vip61} {
		bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
			own := lan.Interfaces()[0].MAC.String()
			r.SetProxied(map[netip.Addr]Proxied{addr: {[]string{"eth0"}, ownerMAC}})
			time.Sleep(5 * time.Minute)
			if _, announced := lan.take(); len(announced) > 0 {
				t.Errorf("announced what is another's: %q", lines(time.Now(), announced))
			}
			want := func(what, mac string) {
				t.Helper()
				synctest.Wait()
				if got := answersFor(t, lan, "eth0", addr); got != mac {
					t.Errorf("%s: answered with %q, want %q", what, got, mac)
				}
			}
			want("proxied", ownerMAC.String())
			if got := answersFor(t, lan, "eth1", addr); got != "" {
				t.Errorf("answered on another interface with %q", got)
			}
			if addr.Is6() {
				if joined := lan.joined("eth0", ndpProtocol); !slices.Equal(joined, []netip.Addr{addr}) {
					t.Errorf("joined for %v", joined)
				}
			}

			r.Set(map[netip.Addr][]string{addr: {"eth0"}})
			synctest.Wait()
			if _, announced := lan.take(); len(announced) == 0 {
				t.Error("what has become its own was not announced")
			}
			want("owned and proxied", own)
			r.SetProxied(map[netip.Addr]Proxied{addr: {[]string{"eth0"}, otherMAC}})
			want("owned and proxied for another", own)
			r.Set(nil)
			time.Sleep(5 * time.Minute)
			if _, announced := lan.take(); len(announced) > 0 {
				t.Errorf("announced what is no longer its own: %q", lines(time.Now(), announced))
			}
			want("proxied for another", otherMAC.String())
			lan.change("eth0", func(i *Interface) { i.Up = false })
			synctest.Wait()
			lan.change("eth0", func(i *Interface) { i.Up = true })
			want("proxied on an interface that came back", otherMAC.String())
			r.Set(map[netip.Addr][]string{addr: {"eth0"}})
			r.SetProxied(nil)
			want("owned", own)
			r.Set(nil)
			want("neither", "")
			if joined := lan.joined("eth0", ndpProtocol); len(joined) > 0 {
				t.Errorf("still joined for %v", joined)
			}
		})
	}
}

func TestNothingIsProxiedWithoutAUnicastMAC(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.SetProxied(map[netip.Addr]Proxied{vip1: {[]string{"eth0"}, ownerMAC}})
		for _, mac := range []net.HardwareAddr{nil, broadcast, {1, 2, 3}} {
			r.SetProxied(map[netip.Addr]Proxied{vip1: {[]string{"eth0"}, mac}})
			synctest.Wait()
			if got := answersFor(t, lan, "eth0", vip1); got != "" {
				t.Errorf("%v: answered with %q", mac, got)
			}
		}
	})
}
