package layer2

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestInterfaceThatComesBackOrChangesItsAddressAnnouncesAll(t *testing.T) {
	changes := map[string]func(*fakeLAN){
		"down and up": func(lan *fakeLAN) {
			lan.change("eth0", func(i *Interface) { i.Up = false })
			synctest.Wait()
			lan.change("eth0", func(i *Interface) { i.Up = true })
		},
		"another MAC": func(lan *fakeLAN) {
			lan.change("eth0", func(i *Interface) { i.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 99} })
		},
		"another interface of its name": func(lan *fakeLAN) { lan.change("eth0", func(i *Interface) { i.Index = 99 }) },
		"a socket that broke": func(lan *fakeLAN) {
			lan.breakSocket("eth0", arpProtocol)
			time.Sleep(100 * time.Millisecond)
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
				r.Set(map[netip.Addr][]string{vip1: {"eth0"}, vip2: {"eth1"}})
				time.Sleep(30 * time.Second)
				lan.take()
				change(lan)
				synctest.Wait()
				_, announced := lan.take()
				same(t, "announcements", lines(time.Now(), announced), []string{"0s eth0 request 192.0.2.101", "0s eth0 reply 192.0.2.101"})
				for _, s := range announced {
					if mac := lan.Interfaces()[0].MAC; !slices.Equal(s.mac, mac) {
						t.Errorf("announced at %v, the interface has %v", s.mac, mac)
					}
				}
				lan.ask("eth0", vip1)
				synctest.Wait()
				answers, _ := lan.take()
				same(t, "answers", lines(time.Now(), answers), []string{"0s eth0 answer 192.0.2.101"})
			})
		})
	}
}

func TestChangeOfAnInterfaceThatIsNoneToARPDisturbsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}})
		time.Sleep(30 * time.Second)
		lan.take()
		lan.change("eth0", func(i *Interface) { i.Prefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
		synctest.Wait()
		_, announced := lan.take()
		same(t, "announcements", lines(time.Now(), announced), nil)
	})
}

func TestSocketThatCannotBeOpenedIsTriedAgainEverMoreSlowly(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		lan.refuse = errors.New("refused")
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if lan.opened < 60 || lan.opened > 70 {
			t.Errorf("opened %d times in ten minutes, want about every ten seconds", lan.opened)
		}
		lan.mu.Lock()
		lan.refuse = nil
		lan.mu.Unlock()
		time.Sleep(11 * time.Second)
		if _, announced := lan.take(); len(announced) < 2 {
			t.Errorf("not announced once the socket opens")
		}
	})
}

func TestInterfacesWithoutAddressesHaveNoSocket(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}})
		synctest.Wait()
		if len(lan.conns) != 1 {
			t.Errorf("%d sockets, want one", len(lan.conns))
		}
		r.Set(nil)
		synctest.Wait()
		if len(lan.conns) != 0 {
			t.Errorf("%d sockets, want none", len(lan.conns))
		}
	})
}
