package layer2

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnotherHostThatClaimsAnAddressIsSeen(t *testing.T) {
	lan := newFakeLAN("eth0", "eth1")
	own0, own1 := lan.interfaces[0].MAC, lan.interfaces[1].MAC
	for name, c := range map[string]struct {
		ifi         string
		addr        netip.Addr
		source, mac net.HardwareAddr
		seen        bool
	}{
		"another host":                            {"eth0", vip1, otherMAC, otherMAC, true},
		"another host, for an IPv6 address":       {"eth1", vip61, otherMAC, otherMAC, true},
		"another host, for a proxied address":     {"eth0", vip2, otherMAC, otherMAC, true},
		"one that answers for another host":       {"eth0", vip1, asker, otherMAC, true},
		"the owner of a proxied address":          {"eth0", vip2, ownerMAC, ownerMAC, false},
		"a proxy for this node":                   {"eth0", vip1, asker, own0, false},
		"this node on another interface":          {"eth0", vip1, own1, own1, false},
		"this node as a proxy for another":        {"eth0", vip1, own1, otherMAC, false},
		"another host, on another interface":      {"eth1", vip1, otherMAC, otherMAC, false},
		"another host, for its own address":       {"eth0", vip1.Next().Next(), otherMAC, otherMAC, false},
		"one without an address that asks for it": {"eth0", netip.IPv4Unspecified(), otherMAC, otherMAC, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
				r.Set(map[netip.Addr][]string{vip1: {"eth0"}, vip61: {"eth1"}})
				r.SetProxied(map[netip.Addr]Proxied{vip2: {[]string{"eth0"}, ownerMAC}})
				synctest.Wait()
				for range 3 {
					lan.claim(c.ifi, c.addr, c.source, c.mac)
					time.Sleep(time.Second)
				}
				seen, conflicts := r.Sightings(), r.Conflicts()
				if !c.seen {
					if len(seen) > 0 || conflicts != (Counts{}) {
						t.Errorf("seen: %+v", seen)
					}
					return
				}
				select {
				case <-r.Sighted():
				default:
					t.Error("nobody was told")
				}
				want := Sighting{c.addr, c.ifi, c.mac, c.mac, 3, time.Now().Add(-time.Second)}
				if len(seen) != 1 || !equalSighting(seen[0], want) {
					t.Errorf("seen %+v, want %+v", seen, want)
				}
				if conflicts.ARP+conflicts.NDP != 3 {
					t.Errorf("conflicts %+v", conflicts)
				}
				if again := r.Sightings(); len(again) > 0 {
					t.Errorf("seen again: %+v", again)
				}
			})
		})
	}
}

func equalSighting(a, b Sighting) bool {
	return a.Address == b.Address && a.Interface == b.Interface && slices.Equal(a.MAC, b.MAC) && slices.Equal(a.LastMAC, b.LastMAC) &&
		a.Packets == b.Packets && a.At.Equal(b.At)
}

func TestSeveralConflictingHostsAreOneAndEveryMemberIsOne(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}, vip2: {"eth0"}})
		r.SetMembers([]net.HardwareAddr{ownerMAC, otherMAC})
		synctest.Wait()
		strange := net.HardwareAddr{2, 0, 1, 0, 0, 1}
		for range 5 {
			for _, addr := range []netip.Addr{vip1, vip2} {
				for _, mac := range []net.HardwareAddr{asker, otherMAC, ownerMAC, strange} {
					lan.claim("eth0", addr, mac, mac)
					synctest.Wait()
				}
			}
		}
		seen := r.Sightings()
		if len(seen) != 6 {
			t.Errorf("seen %+v", seen)
		}
		for _, s := range seen {
			if first := s.MAC.String(); first == asker.String() && (s.LastMAC.String() != strange.String() || s.Packets != 10) {
				t.Errorf("of the others, seen %+v", s)
			} else if first == strange.String() {
				t.Errorf("seen by itself: %+v", s)
			}
		}
	})
}

func TestAFloodOfClaimsTakesLimitedRoomAndWakesNobodyTooOften(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}, vip61: {"eth1"}})
		synctest.Wait()
		const packets = 4000
		woken, kept := 0, 0
		for n := range packets {
			mac := net.HardwareAddr{2, 0, 1, 0, byte(n >> 8), byte(n)}
			lan.claim("eth0", vip1, mac, mac)
			lan.claim("eth1", vip61, mac, mac)
			time.Sleep(5 * time.Millisecond)
			synctest.Wait()
			select {
			case <-r.Sighted():
				woken++
				for _, s := range r.Sightings() {
					kept += s.Packets
				}
			default:
			}
		}
		if limit := sightingBurst + 20*sightingRate; woken > limit {
			t.Errorf("woken %d times in 20 s, want %d at most", woken, limit)
		}
		time.Sleep(time.Second)
		if left := r.Sightings(); len(left) > 0 && len(r.Sighted()) == 0 {
			t.Errorf("nobody was told of %+v", left)
		} else {
			for _, s := range left {
				kept += s.Packets
			}
		}
		if kept != 2*packets {
			t.Errorf("told of %d packets of %d", kept, 2*packets)
		}
	})
}

func TestClaimsForgedForMembersTakeLimitedRoom(t *testing.T) {
	s := newSightings()
	var macs []net.HardwareAddr
	for n := range maxSightings + 100 {
		macs = append(macs, net.HardwareAddr{2, 0, 1, 0, byte(n >> 8), byte(n)})
	}
	s.setMembers(macs)
	for _, mac := range macs {
		s.add(vip1, "eth0", mac, time.Now())
	}
	if seen := s.take(); len(seen) != maxSightings {
		t.Errorf("%d kept, want %d", len(seen), maxSightings)
	}
	s.add(vip1, "eth0", otherMAC, time.Now())
	if seen := s.take(); len(seen) != 1 {
		t.Errorf("%d seen after they were taken", len(seen))
	}
}
