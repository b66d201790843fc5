package layer2

import (
	"context"
	"fmt"
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

func TestItJoinsTheGroupsOfExactlyTheAddressesItOwns(t *testing.T) {
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
		r.SetProxied(map[netip.Addr]Proxied{vip62: {[]string{"eth0"}, ownerMAC}})
		time.Sleep(30 * time.Second)
		lan.take()
		start := time.Now()
		r.Reannounce(vip1, vip61, vip62, netip.MustParseAddr("192.0.2.103"))
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

// TestWhatIsAskedWhileItHoldsBackIsAnsweredAfterIt also has an address go meanwhile, and more requests than are kept.
func TestWhatIsAskedWhileItHoldsBackIsAnsweredAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}, vip2: {"eth0"}})
		time.Sleep(time.Minute)
		lan.take()
		start := time.Now()
		r.Hold = func() time.Duration { return max(time.Until(start.Add(100*time.Millisecond)), 0) }
		lan.ask("eth0", vip1)
		lan.ask("eth0", vip2)
		synctest.Wait()
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}})
		time.Sleep(50 * time.Millisecond)
		answers, announcements := lan.take()
		same(t, "answers and announcements meanwhile", lines(start, append(answers, announcements...)), nil)
		for range maxKept + 10 {
			lan.ask("eth0", vip1)
			synctest.Wait()
		}
		time.Sleep(51 * time.Millisecond)
		synctest.Wait()
		answers, _ = lan.take()
		if want := maxKept - 1; len(answers) != want || answers[0].addr != vip1 { // and one that is kept is for the address that went
			t.Errorf("%d requests were answered, want %d", len(answers), want)
		}
		lan.ask("eth0", vip1)
		synctest.Wait()
		if answers, _ := lan.take(); len(answers) != 1 {
			t.Errorf("%d answers after it", len(answers))
		}
	})
}

func TestWhatIsNewWhileItHoldsBackIsAnnouncedAtOnceAndRepeatedAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		start := time.Now()
		r.Hold = func() time.Duration { return max(time.Until(start.Add(time.Minute)), 0) }
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}, vip61: {"eth0"}})
		time.Sleep(59 * time.Second)
		_, announcements := lan.take()
		got := lines(start, announcements)
		slices.Sort(got)
		same(t, "announcements meanwhile", got, []string{
			"0s eth0 advertisement 2001:db8::101", "0s eth0 reply 192.0.2.101", "0s eth0 request 192.0.2.101",
		})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, announcements = lan.take(); len(announcements) == 0 || announcements[0].at.Sub(start) != time.Minute {
			t.Errorf("after it, it announced %v", lines(start, announcements))
		}
	})
}

// After any sequence of calls of Set and changes of interfaces, exactly the addresses of the last
// Set are answered for, on the interfaces that are up.
func TestAnswersExactlyWhatItOwns(t *testing.T) {
	names := []string{"eth0", "eth1"}
	addresses := []netip.Addr{vip1, vip2, vip61, vip62}
	breaks := []ifaceProtocol{{"eth0", arpProtocol}, {"eth0", ndpProtocol}, {"eth1", arpProtocol}, {"eth1", ndpProtocol}}
	// step toggles an interface, or breaks a socket, or else calls Set.
	type step struct {
		Toggle string
		Break  ifaceProtocol
		Set    map[netip.Addr][]string
	}
	steps := rapid.SliceOfN(rapid.OneOf(
		rapid.Map(rapid.SampledFrom(names), func(name string) step { return step{Toggle: name} }),
		rapid.Map(rapid.SampledFrom(breaks), func(at ifaceProtocol) step { return step{Break: at} }),
		rapid.Map(rapid.MapOf(rapid.SampledFrom(addresses), rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID)),
			func(set map[netip.Addr][]string) step { return step{Set: set} }),
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
				case step.Break != ifaceProtocol{}:
					lan.breakSocket(step.Break.ifi, step.Break.protocol)
					time.Sleep(time.Minute)
				default:
					owned = step.Set
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
