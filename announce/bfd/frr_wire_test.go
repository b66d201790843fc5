package bfd

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
)

// patient is the multiplier of sessions that must not fail because a machine is busy.
const patient = 30

// neighbours connects the node with a router, each with addresses of both families.
func neighbours(t testing.TB) (*host, *host) {
	n, router := node(t), newHost(t)
	cable(t, n, "eth0", router, "eth0")
	n.Address("eth0", "192.0.2.1/24")
	n.Address("eth0", "2001:db8::1/64")
	router.Address("eth0", "192.0.2.2/24")
	router.Address("eth0", "2001:db8::2/64")
	return n, router
}

// withFRR has a session with FRR be up.
func withFRR(t testing.TB, session Session) (*host, *frr, *Speaker) {
	n, router := neighbours(t)
	multiplier := patient
	if session.Multiplier != 0 {
		multiplier = int(session.Multiplier)
	}
	f := startFRR(router, frrConfig(every(100, multiplier), "192.0.2.1 interface eth0")...)
	s, _ := speak(t)
	session.Peer, session.Multiplier = right4, uint8(multiplier)
	s.Set(map[string]Session{"router": session})
	expect(t, s, "a session with FRR", isUp)
	f.awaitPeers("a session in FRR", frrIsUp)
	return n, f, s
}

var hundred = Session{Transmit: 100 * ms, Receive: 100 * ms}

func TestSessionsWithFRRComeUp(t *testing.T) {
	for name, test := range map[string]struct {
		frr     func(node, router *host) string
		session func(node, router *host) Session
	}{
		"IPv4": {
			func(_, _ *host) string { return "192.0.2.1 interface eth0" },
			func(_, _ *host) Session { return Session{Peer: right4} },
		},
		"IPv4, addresses as given": {
			func(_, _ *host) string { return "192.0.2.1 local-address 192.0.2.2" },
			func(_, _ *host) Session { return Session{Peer: right4, Local: left4, Interface: "eth0"} },
		},
		"IPv6": {
			func(_, _ *host) string { return "2001:db8::1 local-address 2001:db8::2 interface eth0" },
			func(_, _ *host) Session { return Session{Peer: right6} },
		},
		"IPv6, link-local": {
			func(n, router *host) string {
				return fmt.Sprintf("%s local-address %s interface eth0", n.linkLocal("eth0"), router.linkLocal("eth0"))
			},
			func(_, router *host) Session { return Session{Peer: router.linkLocal("eth0").WithZone("eth0")} },
		},
		"multihop, next to it": {
			func(_, _ *host) string { return "192.0.2.1 multihop local-address 192.0.2.2" },
			func(_, _ *host) Session { return Session{Peer: right4, MultiHop: true} },
		},
		"multihop, IPv6": {
			func(_, _ *host) string { return "2001:db8::1 multihop local-address 2001:db8::2" },
			func(_, _ *host) Session { return Session{Peer: right6, Local: left6, MultiHop: true} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, router := neighbours(t)
			f := startFRR(router, frrConfig(every(100, patient), test.frr(n, router))...)
			s, _ := speak(t)
			session := test.session(n, router)
			session.Transmit, session.Receive, session.Multiplier = 100*ms, 100*ms, patient
			s.Set(map[string]Session{"router": session})
			expect(t, s, "a session with FRR", isUp)
			f.awaitPeers("a session in FRR", frrIsUp)
			expect(t, s, "no error", func(s Status) bool { return s.Err == nil && s.Failures == 0 })
		})
	}
}

func TestOneSideMayBePassive(t *testing.T) {
	for name, passive := range map[string]struct {
		profile []string
		session bool
	}{"FRR": {[]string{"passive-mode"}, false}, "this side": {nil, true}} {
		t.Run(name, func(t *testing.T) {
			_, router := neighbours(t)
			f := startFRR(router, frrConfig(every(100, patient, passive.profile...), "192.0.2.1 interface eth0")...)
			s, _ := speak(t)
			s.Set(map[string]Session{"router": {Peer: right4, Multiplier: patient, Passive: passive.session}})
			expect(t, s, "a session with FRR", isUp)
			f.awaitPeers("a session in FRR", frrIsUp)
		})
	}
}

// Three routers on the way leave a TTL of 252.
func TestASessionReachesOverThreeRouters(t *testing.T) {
	n := node(t)
	hosts := []*host{n}
	for hop := range 4 {
		h := newHost(t)
		cable(t, hosts[hop], "right", h, "left")
		hosts[hop].Address("right", fmt.Sprintf("10.0.%d.1/24", hop))
		h.Address("left", fmt.Sprintf("10.0.%d.2/24", hop))
		hosts = append(hosts, h)
	}
	for at, h := range hosts {
		if at > 0 && at < 4 {
			h.forward()
		}
		for hop := range 4 {
			if hop > at {
				h.route(fmt.Sprintf("10.0.%d.0/24", hop), fmt.Sprintf("10.0.%d.2", at))
			} else if hop < at-1 {
				h.route(fmt.Sprintf("10.0.%d.0/24", hop), fmt.Sprintf("10.0.%d.1", at-1))
			}
		}
	}
	f := startFRR(hosts[4], frrConfig(every(100, patient, "minimum-ttl 252"), "10.0.0.1 multihop local-address 10.0.3.2")...)
	s, _ := speak(t)
	session := Session{Peer: netip.MustParseAddr("10.0.3.2"), MultiHop: true, Multiplier: patient}
	s.Set(map[string]Session{"router": session})
	expect(t, s, "word that packets come from too far", func(s Status) bool { return s.Err != nil && s.Refused > 0 && s.State == Down })
	session.MinimumTTL = 252
	s.Set(map[string]Session{"router": session})
	expect(t, s, "a session with FRR", func(s Status) bool { return s.State == Up && s.Err == nil })
	f.awaitPeers("a session in FRR", frrIsUp)
}

func TestFRRAndThisSideNoticeADeadPath(t *testing.T) {
	for name, cut := range map[string]func(node, router *host) []*host{
		"both directions": func(n, router *host) []*host { return []*host{n, router} },
		"there":           func(_, router *host) []*host { return []*host{router} },
		"back":            func(n, _ *host) []*host { return []*host{n} },
	} {
		t.Run(name, func(t *testing.T) {
			n, f, s := withFRR(t, Session{Transmit: 100 * ms, Receive: 100 * ms, Multiplier: 20})
			for _, h := range cut(n, f.host) {
				h.deaf()
			}
			downs := expect(t, s, "the end of the session", isDown)
			f.awaitPeers("the end of the session in FRR", func(p frrPeer) bool { return !frrIsUp(p) })
			want := DetectionTimeExpired
			if name == "there" {
				want = NeighborSignaledDown
			}
			if got := downs[0]; got.Diagnostic != want || got.Failures == 0 || (got.LastDetection > 0) != (want == DetectionTimeExpired) {
				t.Errorf("%+v", got)
			}
			for _, h := range cut(n, f.host) {
				h.hear()
			}
			expect(t, s, "another session with FRR", isUp)
			f.awaitPeers("another session in FRR", frrIsUp)
		})
	}
}

func TestFRREndsTheSessionOnPurpose(t *testing.T) {
	_, f, s := withFRR(t, hundred)
	f.configure("bfd", "peer 192.0.2.1 interface eth0", "shutdown")
	got := expect(t, s, "the end of the session", isDown)[0]
	if got.RemoteState != AdminDown || got.Failures > 0 || got.Diagnostic != NeighborSignaledDown {
		t.Errorf("%+v", got)
	}
	f.configure("bfd", "peer 192.0.2.1 interface eth0", "no shutdown")
	expect(t, s, "another session with FRR", isUp)
}

func TestFRRIsToldThatTheSessionEndsOnPurpose(t *testing.T) {
	_, f, s := withFRR(t, hundred)
	s.Set(nil)
	f.awaitPeers("the end of the session in FRR", func(p frrPeer) bool {
		return !frrIsUp(p) && p.RemoteDiagnostic == "administratively down"
	})
	s.Set(map[string]Session{"router": {Peer: right4, Multiplier: patient}})
	expect(t, s, "another session with FRR", isUp)
	f.awaitPeers("another session in FRR", frrIsUp)
}

func TestIntervalsChangeInTheMidstOfASessionWithFRR(t *testing.T) {
	_, f, s := withFRR(t, hundred)
	f.configure("bfd", "profile test", "transmit-interval 400", "receive-interval 250")
	expectNow := func(what string, is func(Status) bool) {
		t.Helper()
		await(t, what, func() bool { return is(s.Sessions()[0]) })
	}
	expectNow("FRR's new intervals", func(s Status) bool { return s.Transmit == 250*ms && s.Detection == patient*400*ms })
	s.Set(map[string]Session{"router": {Peer: right4, Transmit: 500 * ms, Receive: 600 * ms, Multiplier: patient / 2}})
	f.awaitPeers("the new intervals in FRR", func(p frrPeer) bool {
		return frrIsUp(p) && p.RemoteTransmit == 500 && p.RemoteReceive == 600 && p.RemoteMultiplier == patient/2
	})
	expectNow("the end of the poll", func(s Status) bool { return s.Transmit == 500*ms && s.Detection == patient*600*ms })
	s.Set(map[string]Session{"router": {Peer: right4, Transmit: 100 * ms, Receive: 100 * ms, Multiplier: patient}})
	f.configure("bfd", "profile test", "transmit-interval 100", "receive-interval 100")
	expectNow("the old intervals", func(s Status) bool { return s.Transmit == 100*ms && s.Detection == patient*100*ms })
	f.awaitPeers("the old intervals in FRR", func(p frrPeer) bool { return frrIsUp(p) && p.RemoteTransmit == 100 })
	if got := s.Sessions()[0]; got.State != Up || got.Failures > 0 {
		t.Errorf("interrupted: %+v", got)
	}
}

func TestASessionOutlastsARestartOfFRR(t *testing.T) {
	_, f, s := withFRR(t, Session{Transmit: 100 * ms, Receive: 100 * ms, Multiplier: 10})
	f.bfdd.kill()
	expect(t, s, "the end of the session", isDown)
	expect(t, s, "word that nobody listens", func(s Status) bool { return s.Err != nil })
	f.startBFD()
	expect(t, s, "another session with FRR", func(s Status) bool { return s.State == Up && s.Err == nil })
}

func TestASessionOutlastsARestartOfThisSide(t *testing.T) {
	_, router := neighbours(t)
	f := startFRR(router, frrConfig(every(100, 10), "192.0.2.1 interface eth0")...)
	for range 3 {
		s, stop := speak(t)
		s.Set(map[string]Session{"router": {Peer: right4}})
		expect(t, s, "a session with FRR", isUp)
		f.awaitPeers("a session in FRR", frrIsUp)
		stop()
	}
}

// hundredSessions are sessions between a router and 100 addresses of the node, with FRR's
// configuration of them.
func hundredSessions(n *host, profile []string, session Session) (sessions map[string]Session, config []string) {
	sessions = map[string]Session{}
	var peers []string
	for k := range 100 {
		address := fmt.Sprintf("192.0.2.%d", 100+k)
		n.Address("eth0", address+"/32")
		peers = append(peers, address+" interface eth0")
		session.Peer, session.Local = right4, netip.MustParseAddr(address)
		sessions[address] = session
	}
	return sessions, frrConfig(profile, peers...)
}

func TestAHundredSessionsWithFRRComeUp(t *testing.T) {
	n, router := neighbours(t)
	sessions, config := hundredSessions(n, every(100, patient), Session{Transmit: 100 * ms, Receive: 100 * ms, Multiplier: patient})
	f := startFRR(router, config...)
	s, _ := speak(t)
	s.Set(sessions)
	expect(t, s, "all sessions", isUp)
	f.awaitPeers("all sessions in FRR", frrIsUp)
}

func TestASessionWithFRRComesUpAtFiftyMilliseconds(t *testing.T) {
	_, router := neighbours(t)
	f := startFRR(router, frrConfig(every(50, 3), "192.0.2.1 interface eth0")...)
	s, _ := speak(t)
	s.Set(map[string]Session{"router": {Peer: right4, Transmit: 50 * ms, Receive: 50 * ms}})
	await(t, "the agreed intervals", func() bool {
		got := s.Sessions()[0]
		return got.State == Up && got.Transmit == 50*ms && got.Detection == 150*ms
	})
	router.deaf()
	expect(t, s, "the end of the session", isDown)
	router.hear()
	f.awaitPeers("another session in FRR", frrIsUp)
}

// What FRR has on the node keeps this package from its port, and nothing else.
func TestThePortThatFRRHasOnTheNodeIsReported(t *testing.T) {
	n, _ := neighbours(t)
	f := startFRR(n, "bfd", "exit")
	s, _ := speak(t)
	s.Set(map[string]Session{"router": {Peer: right4}})
	expect(t, s, "word that the port is taken", func(s Status) bool { return errors.Is(s.Err, ErrPortTaken) })
	f.bfdd.kill()
	await(t, "the port", func() bool { return s.Sessions()[0].Sent > 0 })
}
