package layer2

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestNewAddressIsAnnouncedAtOnceAndRepeatedPastTheLockTime(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		start := time.Now()
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}})
		time.Sleep(30 * time.Second)
		_, announced := lan.take()
		same(t, "announcements", lines(start, announced), []string{
			"0s eth0 request 192.0.2.101", "0s eth0 reply 192.0.2.101",
			"1.1s eth0 request 192.0.2.101", "1.1s eth0 reply 192.0.2.101",
			"2.2s eth0 request 192.0.2.101", "2.2s eth0 reply 192.0.2.101",
			"3.3s eth0 request 192.0.2.101", "3.3s eth0 reply 192.0.2.101",
			"5s eth0 request 192.0.2.101", "5s eth0 reply 192.0.2.101",
		})
	})
}

func TestNewIPv6AddressIsAnnouncedAtOnceAndTwiceMore(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		start := time.Now()
		r.Set(map[netip.Addr][]string{vip61: {"eth0"}})
		time.Sleep(30 * time.Second)
		_, announced := lan.take()
		same(t, "announcements", lines(start, announced), []string{
			"0s eth0 advertisement 2001:db8::101",
			"1.1s eth0 advertisement 2001:db8::101",
			"3.3s eth0 advertisement 2001:db8::101",
		})
		time.Sleep(time.Minute)
		_, announced = lan.take()
		if len(announced) != 1 {
			t.Errorf("%d announcements in the minute after, want one: %q", len(announced), lines(start, announced))
		}
	})
}

// A client that has heard the next owner of an address would take it to be here again.
func TestAQuiescedAddressIsAnsweredForButNotAnnouncedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}})
		time.Sleep(time.Second)
		lan.take()
		r.Quiesce(vip1, vip2)
		start := time.Now()
		lan.ask("eth0", vip1)
		time.Sleep(10 * time.Minute)
		answers, announced := lan.take()
		same(t, "answers", lines(start, answers), []string{"0s eth0 answer 192.0.2.101"})
		same(t, "announcements", lines(start, announced), nil)

		// It stays after all.
		start = time.Now()
		r.Reannounce(vip1)
		time.Sleep(2 * time.Second)
		_, announced = lan.take()
		same(t, "announcements", lines(start, announced), []string{
			"0s eth0 request 192.0.2.101", "0s eth0 reply 192.0.2.101",
			"1.1s eth0 request 192.0.2.101", "1.1s eth0 reply 192.0.2.101",
		})
	})
}

func TestFamiliesDoNotWaitForEachOther(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		addresses := block(2000, "eth0")
		addresses[vip61] = []string{"eth0"}
		start := time.Now()
		r.Set(addresses)
		synctest.Wait()
		_, announced := lan.take()
		announced = slices.DeleteFunc(announced, func(s sent) bool { return s.addr.Is4() })
		same(t, "announcements", lines(start, announced), []string{"0s eth0 advertisement 2001:db8::101"})

		lan.breakSocket("eth0", ndpProtocol)
		lan.ask("eth0", netip.MustParseAddr("10.0.0.1"))
		synctest.Wait()
		answers, _ := lan.take()
		same(t, "answers without NDP", lines(start, answers), []string{"0s eth0 answer 10.0.0.1"})
	})
}

func TestRepeatsOfAnAddressStayASecondApartWhenTheyArePaced(t *testing.T) {
	const many = 3000
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		addresses := map[netip.Addr][]string{}
		for addr := vip61; len(addresses) < many; addr = addr.Next() {
			addresses[addr] = []string{"eth0"}
		}
		r.Set(addresses)
		time.Sleep(30 * time.Second)
		_, announced := lan.take()
		if len(announced) != 3*many {
			t.Errorf("%d announcements, want %d", len(announced), 3*many)
		}
		last := map[netip.Addr]time.Time{}
		for _, s := range announced {
			if before, ok := last[s.addr]; ok && s.at.Sub(before) < time.Second {
				t.Fatalf("%v was announced again after %v", s.addr, s.at.Sub(before))
			}
			last[s.addr] = s.at
		}
	})
}

func TestAddressIsRefreshedEveryMinuteGiveOrTakeATenth(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}})
		time.Sleep(30 * time.Second)
		_, announced := lan.take()
		last := announced[len(announced)-1].at
		time.Sleep(10 * time.Minute)
		_, announced = lan.take()
		if len(announced) < 18 || len(announced) > 24 {
			t.Errorf("%d frames in ten minutes, want about 20", len(announced))
		}
		for n := 0; n < len(announced); n += 2 {
			if gap := announced[n].at.Sub(last); gap < 54*time.Second || gap > 66*time.Second {
				t.Errorf("refreshed after %v", gap)
			}
			last = announced[n].at
		}
	})
}

func TestManyAddressesArePacedAndAllAreAnnouncedBeforeAnyIsRepeated(t *testing.T) {
	const many = 2000
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		addresses := block(many, "eth0")
		start := time.Now()
		r.Set(addresses)
		time.Sleep(time.Minute)
		_, announced := lan.take()
		if len(announced) < 10*many {
			t.Fatalf("%d frames, want %d", len(announced), 10*many)
		}
		seen := map[netip.Addr]int{}
		for n, s := range announced[:10*many] {
			if round := n / many; round < 2 && seen[s.addr] != round {
				t.Fatalf("frame %d repeats %v before all have had their turn", n, s.addr)
			}
			seen[s.addr]++
			after := s.at.Sub(start).Seconds()
			if first := r.FirstBurst + int(after*float64(r.FirstRate)) + 1; n < many && n+1 > first {
				t.Fatalf("%d first frames within %vs", n+1, after)
			}
			if repeats := r.Burst + int(after*float64(r.Rate)) + 1; n >= many && n+1-many > repeats {
				t.Fatalf("%d frames that repeat within %vs", n+1-many, after)
			}
		}
		last := announced[many-1].at.Sub(start)
		if want := time.Duration(many-r.FirstBurst) * time.Second / time.Duration(r.FirstRate); last > want+10*time.Millisecond {
			t.Errorf("all were announced after %v, the rate allows %v", last, want)
		}
	})
}

func TestNewAddressIsNotDelayedByTheRepeatsOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		addresses := block(2000, "eth0")
		r.Set(addresses)
		time.Sleep(9 * time.Second) // repeats have piled up by now
		lan.take()
		start := time.Now()
		addresses[vip1] = []string{"eth0"}
		r.Set(addresses)
		time.Sleep(time.Second)
		_, announced := lan.take()
		n := slices.IndexFunc(announced, func(s sent) bool { return s.addr == vip1 })
		if n < 0 || announced[n].at.Sub(start) > 2*time.Second/time.Duration(r.Rate) {
			t.Errorf("the new address was not announced with the next frame")
		}
	})
}
