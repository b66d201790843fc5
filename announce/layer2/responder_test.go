package layer2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2/ktesting"
	"pgregory.net/rapid"
)

var (
	vip1 = netip.MustParseAddr("192.0.2.101")
	vip2 = netip.MustParseAddr("192.0.2.102")

	vip61 = netip.MustParseAddr("2001:db8::101")
	vip62 = netip.MustParseAddr("2001:db8::102")
)

// bubble runs a test in fake time, with a responder that runs on a fake LAN with eth0 and eth1.
func bubble(t *testing.T, f func(*testing.T, *fakeLAN, *Responder)) {
	synctest.Test(t, func(t *testing.T) {
		lan := newFakeLAN("eth0", "eth1")
		r := newResponder(lan)
		_, ctx := ktesting.NewTestContext(t)
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		f(t, lan, r)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// lines renders what was sent as one line each: when, where, form and address.
func lines(start time.Time, all []sent) []string {
	var out []string
	for _, s := range all {
		out = append(out, fmt.Sprintf("%v %s %s %s", s.at.Sub(start), s.ifi, s.form, s.addr))
	}
	return out
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

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

func TestQuestionsForExactlyTheAddressesItOwnsAreWanted(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		want := func(what string, addresses ...netip.Addr) {
			t.Helper()
			synctest.Wait()
			if got := lan.joined("eth0", ndpProtocol); !slices.Equal(got, addresses) {
				t.Errorf("%s: joined for %v, want %v", what, got, addresses)
			}
		}
		r.Set(map[netip.Addr][]string{vip61: {"eth0"}})
		want("one", vip61)
		r.Set(map[netip.Addr][]string{vip61: {"eth0"}, vip62: {"eth0", "eth1"}})
		want("two", vip61, vip62)
		r.Set(map[netip.Addr][]string{vip62: {"eth0"}})
		want("the second", vip62)
		r.Set(map[netip.Addr][]string{vip61: {"eth0"}})
		r.Set(map[netip.Addr][]string{vip62: {"eth0"}})
		want("one that left and came back", vip62)
		lan.change("eth0", func(i *Interface) { i.Up = false })
		want("interface down")
		r.Set(map[netip.Addr][]string{vip61: {"eth0"}, vip62: {"eth0"}})
		lan.change("eth0", func(i *Interface) { i.Up = true })
		want("interface up", vip61, vip62)
		lan.breakSocket("eth0", ndpProtocol)
		time.Sleep(time.Second)
		want("a socket that broke", vip61, vip62)
		r.Set(nil)
		want("none")
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

func TestOnlyWhatIsNewIsAnnounced(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}})
		time.Sleep(30 * time.Second)
		lan.take()
		start := time.Now()
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}})
		synctest.Wait()
		_, announced := lan.take()
		same(t, "after setting the same", lines(start, announced), nil)

		r.Set(map[netip.Addr][]string{vip1: {"eth0", "eth1"}, vip2: {"eth0"}})
		synctest.Wait()
		_, announced = lan.take()
		got := lines(start, announced)
		slices.Sort(got)
		same(t, "after adding an interface and an address", got, []string{
			"0s eth0 reply 192.0.2.102", "0s eth0 request 192.0.2.102",
			"0s eth1 reply 192.0.2.101", "0s eth1 request 192.0.2.101",
		})
	})
}

func TestRemovedAddressGoesSilentAndOneThatComesBackIsNew(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}, vip2: {"eth0"}})
		synctest.Wait()
		lan.take()
		r.Set(map[netip.Addr][]string{vip2: {"eth0"}})
		lan.ask("eth0", vip1)
		synctest.Wait()
		answers, _ := lan.take()
		same(t, "answers for a removed address", lines(time.Now(), answers), nil)
		time.Sleep(20 * time.Second)
		_, announced := lan.take()
		for _, s := range announced {
			if s.addr == vip1 {
				t.Errorf("%v was announced after its removal", vip1)
			}
		}

		start := time.Now()
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}, vip2: {"eth0"}})
		time.Sleep(2 * time.Second)
		_, announced = lan.take()
		same(t, "announcements of one that came back", lines(start, announced), []string{
			"0s eth0 request 192.0.2.101", "0s eth0 reply 192.0.2.101",
			"1.1s eth0 request 192.0.2.101", "1.1s eth0 reply 192.0.2.101",
		})
	})
}

func TestAddressIsAnnouncedAgainOnDemandAndAnswersWithoutABreak(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.Set(map[netip.Addr][]string{vip1: {"eth0", "eth1"}, vip2: {"eth0"}, vip61: {"eth0"}})
		r.Care(map[netip.Addr]Care{vip62: {[]string{"eth0"}, ownerMAC}})
		time.Sleep(30 * time.Second)
		lan.take()
		start := time.Now()
		r.Again(vip1, vip61, vip62, netip.MustParseAddr("192.0.2.103"))
		lan.ask("eth0", vip1)
		synctest.Wait()
		answers, announced := lan.take()
		if len(answers) != 1 {
			t.Errorf("answers %q", lines(start, answers))
		}
		got := lines(start, announced)
		slices.Sort(got)
		same(t, "announcements", got, []string{
			"0s eth0 advertisement 2001:db8::101",
			"0s eth0 reply 192.0.2.101", "0s eth0 request 192.0.2.101",
			"0s eth1 reply 192.0.2.101", "0s eth1 request 192.0.2.101",
		})
		if joined := lan.joined("eth0", ndpProtocol); !slices.Equal(joined, []netip.Addr{vip61, vip62}) {
			t.Errorf("joined for %v", joined)
		}
		time.Sleep(2 * time.Second)
		_, announced = lan.take()
		if len(announced) != 5 {
			t.Errorf("repeats %q", lines(start, announced))
		}
	})
}

func TestWhatIsSentIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.Set(map[netip.Addr][]string{vip1: {"eth0", "eth1"}, vip61: {"eth0"}})
		synctest.Wait()
		lan.ask("eth0", vip1)
		lan.ask("eth0", vip2)
		lan.ask("eth0", vip61)
		synctest.Wait()
		if n := r.Announced(); n != (Counts{ARP: 4, NDP: 1}) {
			t.Errorf("announced %+v", n)
		}
		if n := r.Answered(); n != (Counts{ARP: 1, NDP: 1}) {
			t.Errorf("answered %+v", n)
		}
		if n := r.Conflicts(); n != (Counts{}) {
			t.Errorf("conflicts %+v", n)
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
			if allowed := r.Burst + int(s.at.Sub(start).Seconds()*float64(r.Rate)) + 1; n+1 > allowed {
				t.Fatalf("%d frames within %v", n+1, s.at.Sub(start))
			}
		}
		last := announced[many-1].at.Sub(start)
		if want := time.Duration(many-r.Burst) * time.Second / time.Duration(r.Rate); last > want+10*time.Millisecond {
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

// After any sequence of orders and changes of interfaces, exactly that is answered which was ordered last, on the
// interfaces that are up.
func TestAnswersExactlyWhatItOwns(t *testing.T) {
	names := []string{"eth0", "eth1"}
	addresses := []netip.Addr{vip1, vip2, vip61, vip62}
	breaks := []place{{"eth0", arpProtocol}, {"eth0", ndpProtocol}, {"eth1", arpProtocol}, {"eth1", ndpProtocol}}
	// step toggles an interface, or breaks a socket, or else gives an order.
	type step struct {
		Toggle string
		Break  place
		Order  map[netip.Addr][]string
	}
	steps := rapid.SliceOfN(rapid.OneOf(
		rapid.Map(rapid.SampledFrom(names), func(name string) step { return step{Toggle: name} }),
		rapid.Map(rapid.SampledFrom(breaks), func(at place) step { return step{Break: at} }),
		rapid.Map(rapid.MapOf(rapid.SampledFrom(addresses), rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID)),
			func(order map[netip.Addr][]string) step { return step{Order: order} }),
	), 1, 10)
	rapid.Check(t, func(rt *rapid.T) {
		steps := steps.Draw(rt, "steps")
		var failure string
		bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
			var owned map[netip.Addr][]string
			for n, step := range steps {
				switch {
				case step.Toggle != "":
					lan.change(step.Toggle, func(i *Interface) { i.Up = !i.Up })
				case step.Break != place{}:
					lan.breakSocket(step.Break.ifi, step.Break.protocol)
					time.Sleep(time.Minute)
				default:
					owned = step.Order
					r.Set(owned)
				}
				synctest.Wait()
				lan.take()
				var want, got []string
				for _, i := range lan.Interfaces() {
					for _, addr := range addresses {
						if i.Up && slices.Contains(owned[addr], i.Name) {
							want = append(want, i.Name+" "+addr.String())
						}
						lan.ask(i.Name, addr)
						synctest.Wait()
					}
				}
				answers, _ := lan.take()
				for _, s := range answers {
					got = append(got, s.ifi+" "+s.addr.String())
					if !slices.Equal(s.to, asker) {
						failure = fmt.Sprintf("answered to %v, asked by %v", s.to, asker)
					}
				}
				if !slices.Equal(got, want) {
					failure = fmt.Sprintf("after step %d: answers %q, owns %q", n, got, want)
				}
			}
		})
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}
