package speaker

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
)

const (
	prefixA = "198.51.100.1/32"
	prefixB = "198.51.100.2/32"
	prefix6 = "2001:db8:ff::1/128"
)

func TestRoutesWaitForTheOpensAndThenOnlyDifferencesGo(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.did("before Set")
		s.set(prefixA, prefix6)
		s.did("at first", "open 192.0.2.1", "dial")
		s.is("while it dials", bgp.Connect, bgp.Problem{})
		s.set(prefixA)
		s.set(prefixA, prefix6)
		s.did("when the routes change while it dials")
		s.open(false)
		s.did("when the OPENs have been compared", "announce "+prefixA+" "+prefix6, "begin")
		s.happen(event{state: bgp.Established})
		s.did("when the session is established")
		got := status(s.Speaker, "tor")
		if got.Prefixes != 2 || got.PeerASN != 65001 || got.Families != bgp.IPv4|bgp.IPv6 || got.Flaps != 0 {
			t.Errorf("%+v", got)
		}
		s.set(prefixA, prefixB)
		s.did("when the routes change", "announce "+prefixB, "withdraw "+prefix6)
		s.set(prefixA, prefixB)
		s.did("when they are the same")
	})
}

func TestTheStatesOfASessionAreToldAsTheyCome(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.set()
		refused := bgp.Problem{Kind: bgp.NoConnection, Detail: "refused"}
		s.happen(event{problem: refused})
		s.is("when there is no connection", bgp.Connect, refused)
		s.happen(event{state: bgp.OpenSent})
		s.is("when there is one", bgp.OpenSent, refused)
		s.happen(event{state: bgp.OpenConfirm})
		s.is("when the peer has spoken", bgp.OpenConfirm, refused)
		s.happen(event{state: bgp.Idle, problem: bgp.Problem{Kind: bgp.Refused}})
		s.is("between two attempts", bgp.Connect, bgp.Problem{Kind: bgp.Refused})
		s.take()
		time.Sleep(s.peer.EffectiveConnectTime())
		s.did("after the time between two attempts", "open 192.0.2.1", "dial")
		began := time.Now()
		s.establish(false)
		s.is("when it has accepted", bgp.Established, bgp.Problem{})
		if since := status(s.Speaker, "tor").Since; !since.Equal(began) {
			t.Errorf("since %s, want %s", since, began)
		}
	})
}

func TestAPeerThatSendsNoOpenIsGivenUpAfterTheHoldTime(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.set()
		s.happen(event{state: bgp.OpenSent})
		s.take()
		time.Sleep(s.peer.EffectiveHoldTime())
		s.did("after the hold time", "close")
		s.is("after the hold time", bgp.Connect, bgp.Problem{Kind: bgp.NoOpen})
		time.Sleep(s.peer.EffectiveConnectTime())
		s.did("after the time between two attempts", "open 192.0.2.1", "dial")
	})
}

func TestAPeerThatSendsAnOpenAndDoesNotAcceptIsGivenUpAfterTheHoldTime(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.set(prefixA)
		s.open(false)
		s.take()
		time.Sleep(s.peer.EffectiveHoldTime())
		s.did("after the hold time", "close")
		s.is("after the hold time", bgp.Connect, bgp.Problem{Kind: bgp.HoldTimerExpired})
	})
}

func TestSessionsThatAreLostEarlyAreTriedLessAndLessOften(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.set()
		lose := func() time.Duration {
			s.establish(false)
			s.take()
			lost := time.Now()
			s.happen(event{state: bgp.Idle, problem: bgp.Problem{Kind: bgp.ConnectionClosed}})
			s.is("when it is lost", bgp.Idle, bgp.Problem{Kind: bgp.ConnectionClosed})
			_, before := s.last()
			for opened := before; opened == before; _, opened = s.last() {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
			}
			s.did("when it is lost", "close", "open 192.0.2.1", "dial, preserved")
			return time.Since(lost)
		}
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			if got := lose(); got != want*time.Second {
				t.Errorf("the next attempt comes after %s, want %d s", got, want)
			}
		}
		s.establish(false)
		time.Sleep(stableAfter)
		s.take()
		s.happen(event{state: bgp.Idle, problem: bgp.Problem{Kind: bgp.HoldTimerExpired}})
		s.did("one that has lasted", "close", "open 192.0.2.1", "dial, preserved")
		if got := lose(); got != time.Second {
			t.Errorf("after one that has lasted, the pause is %s", got)
		}
		if flaps := status(s.Speaker, "tor").Flaps; flaps != 9 {
			t.Errorf("%d flaps", flaps)
		}
	})
}

func TestAPeerThatSendsTooManyRoutesIsLeftAloneForAMinute(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.set()
		s.establish(false)
		s.take()
		cease := bgp.Problem{Kind: bgp.NotificationSent, Notification: bgp.Notification{Code: 6, Subcode: 1}}
		s.happen(event{problem: bgp.Problem{Kind: bgp.PrefixLimit}}, event{problem: cease}, event{state: bgp.Idle})
		s.is("at first", bgp.Idle, bgp.Problem{Kind: bgp.PrefixLimit})
		time.Sleep(prefixLimitIdleHold - time.Second)
		s.did("for most of a minute", "close")
		time.Sleep(time.Second)
		s.did("after a minute", "open 192.0.2.1", "dial, preserved")
	})
}

func TestASuspendedSessionIsNotDialledAndOneThatIsEstablishedIsLost(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		suspend := func(why bgp.Problem) {
			suspended := map[bgp.SessionKey]bgp.Problem{}
			if why != (bgp.Problem{}) {
				suspended[key("tor")] = why
			}
			s.Suspend(suspended)
			synctest.Wait()
		}
		suspend(notYet)
		s.set()
		s.did("from the beginning")
		s.is("from the beginning", bgp.Connect, notYet)
		suspend(stillNot)
		s.is("for another reason", bgp.Connect, stillNot)
		suspend(bgp.Problem{})
		s.did("when it is not any more", "open 192.0.2.1", "dial")
		suspend(notYet)
		s.did("while it dials", "close")
		suspend(bgp.Problem{})
		s.did("when it is not any more", "open 192.0.2.1", "dial")
		s.establish(true)
		suspend(notAnyMore)
		s.did("when it is established, also if the peer keeps routes", "begin", "cease: BFD is not up: not any more")
		s.is("when it is established", bgp.Idle, notAnyMore)
		time.Sleep(minIdleHold)
		s.is("after the pause", bgp.Connect, notAnyMore)
		s.did("after the pause")
		suspend(bgp.Problem{})
		s.did("in the end", "open 192.0.2.1", "dial, preserved")
	})
}

func TestAResetHasAnEstablishedSessionLostAndNoOther(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.Reset(key("tor"), dead)
		s.set()
		s.Reset(key("tor"), dead)
		s.establish(true)
		s.take()
		s.is("one that was not established yet", bgp.Established, bgp.Problem{})
		s.Reset(key("tor"), dead)
		s.did("one that is", "cease: "+dead.String())
		s.is("one that is", bgp.Idle, dead)
		time.Sleep(minIdleHold)
		s.did("after the pause", "open 192.0.2.1", "dial, preserved")
		s.establish(true)
		s.is("the next one", bgp.Established, bgp.Problem{})
	})
}

func TestWhatAPeerIsToldAtTheEnd(t *testing.T) {
	for _, test := range []struct {
		name            string
		gracefulRestart bool
		end             func(s *fakeSpeaker)
		want            string
	}{
		{"the end of Run", false, func(s *fakeSpeaker) { s.stop() }, "cease: stopped"},
		{"the end of Run, kept routes", true, func(s *fakeSpeaker) { s.stop() }, "close"},
		{"the end of Run for long, kept routes", true, func(s *fakeSpeaker) {
			s.SetShutdownMessage("the node is drained")
			s.stop()
		}, "cease: the node is drained"},
		{"a session that is not wanted any more, kept routes", true, func(s *fakeSpeaker) {
			s.SetCloseReason("it is not wanted any more")
			s.Set(nil, nil)
		}, "cease: it is not wanted any more"},
	} {
		t.Run(test.name, func(t *testing.T) {
			onNetwork(t, false, func(s *fakeSpeaker) {
				s.set(prefixA)
				s.establish(test.gracefulRestart)
				s.take()
				test.end(s)
				s.did(test.name, test.want)
			})
		})
	}
}

func TestAChangeOfThePeerIsAnotherSession(t *testing.T) {
	for _, test := range []struct {
		name            string
		gracefulRestart bool
		change          func(*bgp.Peer)
		want            []string
	}{
		{"of a timer", false, func(p *bgp.Peer) { p.HoldTime = 9 * time.Second },
			[]string{"cease: configuration changed", "open 192.0.2.1", "dial, preserved"}},
		{"of a timer, kept routes", true, func(p *bgp.Peer) { p.HoldTime = 9 * time.Second },
			[]string{"close", "open 192.0.2.1", "dial, preserved"}},
		{"of the families", false, func(p *bgp.Peer) { p.Families = bgp.IPv4 },
			[]string{"cease: configuration changed", "open 192.0.2.1", "dial, preserved"}},
		{"of the peer's autonomous system", false, func(p *bgp.Peer) { p.PeerASN = 65009 },
			[]string{"cease: configuration changed", "open 192.0.2.1", "dial, preserved"}},
		{"to a peer of the node's autonomous system", false, func(p *bgp.Peer) { p.LocalASN, p.PeerASN = 65001, 65001 },
			[]string{"cease: configuration changed", "open 192.0.2.1", "dial, preserved"}},
		{"of the password", false, func(p *bgp.Peer) { p.Password = "other" },
			[]string{"cease: configuration changed", "open 192.0.2.1", "dial, preserved"}},
		{"of the node's autonomous system, kept routes", true, func(p *bgp.Peer) { p.LocalASN = 65009 },
			[]string{"cease: configuration changed", "open 192.0.2.1", "dial, preserved"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			onNetwork(t, false, func(s *fakeSpeaker) {
				s.set()
				s.establish(test.gracefulRestart)
				s.take()
				test.change(&s.peer)
				s.set()
				s.did(test.name, test.want...)
			})
		})
	}
}

func TestWhatNobodyNegotiatesWaitsForTheNextSession(t *testing.T) {
	for name, change := range map[string]func(*bgp.Peer){
		"the time between attempts to connect": func(p *bgp.Peer) { p.ConnectTime = 9 * time.Second },
		"the time between signs of life":       func(p *bgp.Peer) { p.KeepaliveTime = 9 * time.Second },
		"how many routes the peer may send":    func(p *bgp.Peer) { p.MaxPrefixes = 9 },
		"any autonomous system but the node's": func(p *bgp.Peer) { p.PeerASN = 0 },
		"a default by name":                    func(p *bgp.Peer) { p.Families, p.HoldTime = bgp.IPv4|bgp.IPv6, 90*time.Second },
		"several of them":                      func(p *bgp.Peer) { p.ConnectTime, p.MaxPrefixes = 9*time.Second, 9 },
	} {
		t.Run(name, func(t *testing.T) {
			onNetwork(t, false, func(s *fakeSpeaker) {
				s.set(prefixA)
				s.establish(false)
				s.take()
				change(&s.peer)
				s.set(prefixA, prefix6)
				s.did("when it changes", "announce "+prefix6)
				s.read(1)
				time.Sleep(stableAfter)
				s.happen(event{state: bgp.Idle, problem: bgp.Problem{Kind: bgp.ConnectionClosed}})
				s.did("when the session is lost", "close", "open 192.0.2.1", "dial, preserved")
				if s.opened != s.peer {
					t.Errorf("the next session is with %+v, want %+v", s.opened, s.peer)
				}
			})
		})
	}
}

func TestAfterARestartTheFirstSessionAlreadySaysSo(t *testing.T) {
	onNetwork(t, true, func(s *fakeSpeaker) {
		s.peer.RestartTime = time.Minute
		s.set()
		s.did("at first", "open 192.0.2.1", "dial, restarted, preserved")
		s.establish(true)
		s.take()
		time.Sleep(stableAfter)
		s.happen(event{state: bgp.Idle, problem: bgp.Problem{Kind: bgp.ConnectionClosed}})
		s.did("when that is lost", "close", "open 192.0.2.1", "dial, preserved")
	})
	onNetwork(t, true, func(s *fakeSpeaker) {
		s.peer.RestartTime = time.Minute
		s.set()
		s.happen(event{state: bgp.Idle, problem: bgp.Problem{Kind: bgp.NoOpen}})
		s.take()
		time.Sleep(s.peer.EffectiveConnectTime())
		s.did("after an attempt in vain", "open 192.0.2.1", "dial, restarted, preserved")
		time.Sleep(s.peer.RestartTime)
		s.happen(event{state: bgp.Idle, problem: bgp.Problem{Kind: bgp.NoOpen}})
		s.take()
		time.Sleep(s.peer.EffectiveConnectTime())
		s.did("when no peer has anything left of the earlier process", "open 192.0.2.1", "dial, preserved")
	})
}

func TestAPeerThatCannotBeHonouredIsNotDialledUntilItChanges(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.peer.LocalASN = 0
		s.set()
		s.did("at first")
		s.is("at first", bgp.Idle, bgp.Problem{Kind: bgp.InvalidPeer, Detail: "no autonomous system of this node"})
		s.peer.LocalASN = 65000
		s.set()
		s.did("when it is sound", "open 192.0.2.1", "dial")
	})
}

func TestAnUnnumberedPeerIsDialledWhereItAdvertisesItself(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.peer.Address, s.peer.Interface = netip.Addr{}, "eth0"
		s.set()
		s.did("at first")
		s.is("at first", bgp.Connect, bgp.Problem{Kind: bgp.NoRouterAdvertisement, Detail: "eth0"})
		s.find("fe80::1%eth0")
		s.did("when it is found", "open fe80::1%eth0", "dial")
		s.find("fe80::2%eth0")
		s.did("when it has moved", "close", "open fe80::2%eth0", "dial")
		s.establish(false)
		s.find("fe80::3%eth0")
		s.did("when there is a session", "begin")
	})
}

func TestOfSeveralRoutersOnAnInterfaceEachIsTried(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.peer.Address, s.peer.Interface = netip.Addr{}, "eth0"
		s.change(func() {
			s.others = []netip.Addr{netip.MustParseAddr("fe80::2%eth0"), netip.MustParseAddr("fe80::3%eth0")}
		})
		s.set()
		s.find("fe80::1%eth0")
		s.take()
		refused := bgp.Problem{Kind: bgp.NoConnection, Detail: "refused"}
		s.happen(event{problem: refused})
		s.did("when the first does not run BGP", "close", "open fe80::2%eth0", "dial")
		s.is("when the first does not run BGP", bgp.Connect, refused)
		s.happen(event{state: bgp.OpenSent}, event{state: bgp.Idle, problem: bgp.Problem{Kind: bgp.ClosedBeforeOpen}})
		s.did("when the second is the peer of others", "close", "open fe80::3%eth0", "dial")
		s.happen(event{problem: refused})
		s.did("when there is no other one")
		s.establish(false)
		s.is("when the third can be spoken with", bgp.Established, bgp.Problem{})
	})
}

func TestNextHopsFollowTheAddressesOfTheNode(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		is := func(when, v4, v6 string, prefixes int, problem bgp.Problem) {
			t.Helper()
			s.is(when, bgp.Established, problem)
			s.read(1)
			if want := (nextHops{netip.MustParseAddr(v4), netip.MustParseAddr(v6)}); s.hops != want {
				t.Errorf("%s: next hops %v, want %v", when, s.hops, want)
			}
			if got := status(s.Speaker, "tor"); got.Prefixes != prefixes {
				t.Errorf("%s: %+v", when, got)
			}
		}
		const before4, before6 = "192.0.2.2/24", "2001:db8::2/64"
		s.set(prefixA, prefix6)
		s.establish(false)
		s.did("at first", "open 192.0.2.1", "dial", "announce "+prefixA+" "+prefix6, "begin")
		is("at first", "192.0.2.2", "2001:db8::2", 2, bgp.Problem{})

		s.SetHost(hostWith(before4, before6, "2001:db8:eeee::5/128", "192.0.2.9/32"))
		s.did("with host prefixes besides")
		is("with host prefixes besides", "192.0.2.2", "2001:db8::2", 2, bgp.Problem{})

		s.SetHost(hostWith(before4, "2001:db8::1/64", before6))
		s.did("with another address that is as good")
		s.SetHost(hostWith(before4, "2001:db8::1/64"))
		s.did("when the first has gone", "announce "+prefix6)
		is("when the first has gone", "192.0.2.2", "2001:db8::1", 2, bgp.Problem{})

		s.SetHost(hostWith(before4, "2001:db8:eeee::5/128"))
		s.did("without an address", "withdraw "+prefix6)
		noIPv6 := bgp.Problem{Kind: bgp.NoNextHop, Families: bgp.IPv6, Address: external.Address}
		s.is("without an address", bgp.Established, noIPv6)
		s.set(prefixA, prefix6, "2001:db8:ff::2/128")
		s.did("another route without an address")

		s.SetHost(hostWith("2001:db8:eeee::5/128"))
		s.did("without any", "withdraw "+prefixA)
		noIPv6.Families |= bgp.IPv4
		s.is("without any", bgp.Established, noIPv6)

		s.SetHost(hostWith("192.0.2.3/24", before6))
		s.did("with others", "announce "+prefixA, "announce "+prefix6+" 2001:db8:ff::2/128")
		is("with others", "192.0.2.3", "2001:db8::2", 3, bgp.Problem{})
	})
}

func TestFaultsOfThisProgramAreToldAndTriedAgain(t *testing.T) {
	for _, test := range []struct {
		name string
		err  func(s *fakeSpeaker) *error
		want bgp.Problem
		did  []string
	}{
		{"opening", func(s *fakeSpeaker) *error { return &s.openErr }, bgp.Problem{Kind: bgp.StartFailed, Detail: errFake.Error()},
			[]string{"open 192.0.2.1"}},
		{"dialling", func(s *fakeSpeaker) *error { return &s.dialErr },
			bgp.Problem{Kind: bgp.DialFailed, Address: external.Address, Detail: errFake.Error()},
			[]string{"open 192.0.2.1", "dial", "close"}},
		{"announcing", func(s *fakeSpeaker) *error { return &s.routeErr }, bgp.Problem{Kind: bgp.AnnounceFailed, Detail: errFake.Error()},
			[]string{"open 192.0.2.1", "dial", "announce " + prefixA, "close"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			onNetwork(t, false, func(s *fakeSpeaker) {
				s.change(func() { *test.err(s) = errFake })
				s.set(prefixA)
				if test.name == "announcing" {
					s.open(false)
				}
				s.did("at first", test.did...)
				s.is("at first", bgp.Idle, test.want)
				s.change(func() { *test.err(s) = nil })
				time.Sleep(minIdleHold)
				synctest.Wait()
				s.establish(false)
				s.did("when it works", "open 192.0.2.1", "dial", "announce "+prefixA, "begin")
			})
		})
	}
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.set(prefixA)
		s.establish(false)
		s.take()
		s.change(func() { s.routeErr = errFake })
		s.set()
		s.did("withdrawing on a session", "withdraw "+prefixA, "cease: internal error")
		s.is("withdrawing on a session", bgp.Idle, bgp.Problem{Kind: bgp.WithdrawFailed, Detail: errFake.Error()})
	})
}

func TestUpdatesAreCountedOverAllConnections(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.set(prefixA)
		s.establish(false)
		s.read(2)
		s.happen(event{state: bgp.Idle})
		time.Sleep(minIdleHold)
		synctest.Wait()
		s.read(3)
		if got := status(s.Speaker, "tor").Updates; got != 5 {
			t.Errorf("%d updates, want 5", got)
		}
	})
}
