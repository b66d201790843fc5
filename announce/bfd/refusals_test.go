package bfd

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPortThatIsTakenConcernsItsSessionsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, left, right := pair(t)
		w.change(func() { left.taken[service{}] = true })
		sessions := func(a4, a6 netip.Addr) map[string]Session {
			return map[string]Session{"v4": fast(a4), "v6": fast(a6), "far": {Peer: a4, MultiHop: true}}
		}
		left.Set(sessions(right4, right6))
		right.Set(sessions(left4, left6))
		pass(5 * time.Second)
		if s := left.peer("v4"); s.State != Down || !errors.Is(s.Err, ErrPortTaken) || s.Sent > 0 {
			t.Errorf("%+v", s)
		}
		for _, name := range []string{"v6", "far"} {
			if s := left.peer(name); s.State != Up || s.Err != nil {
				t.Errorf("%+v", s)
			}
		}
		<-left.Changed()
		w.change(func() { left.taken[service{}] = false })
		pass(4 * time.Second)
		if s := left.peer("v4"); s.State != Up || s.Err != nil {
			t.Errorf("%+v", s)
		}
		<-left.Changed()
	})
}

func TestWhatCannotBeSentIsSentOnceItCan(t *testing.T) {
	for name, err := range map[string]error{"socket is of no use": syscall.ENODEV, "dropped on the way": fmt.Errorf("%w: %w", errLost, syscall.EPERM)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, left, right := pair(t)
				left.one(fast(right4))
				right.one(fast(left4))
				pass(5 * time.Second)
				port := left.sessions[discriminator(left)].port
				w.change(func() { left.refuse = err })
				pass(2 * time.Second)
				if s := left.is(Init); !errors.Is(s.Err, err) { // it hears the peer, which does not hear it
					t.Errorf("%+v", s)
				}
				w.change(func() { left.refuse = nil })
				pass(3 * time.Second)
				if s := left.is(Up); s.Err != nil {
					t.Errorf("%+v", s)
				}
				if now := left.sessions[discriminator(left)].port; now != port {
					t.Errorf("source port %d became %d", port, now)
				}
			})
		})
	}
}

// discriminator is that of the only session.
func discriminator(e *end) uint32 {
	e.mu.Lock()
	defer e.mu.Unlock()
	for d := range e.sessions {
		return d
	}
	return 0
}

func TestEverySessionHasASourcePortOfItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, left, _ := pair(t)
		left.port = lastPort - 10
		sessions := map[string]Session{}
		peer := right4
		for n := range 100 {
			sessions[fmt.Sprint(n)] = fast(peer)
			peer = peer.Next()
		}
		left.Set(sessions)
		pass(5 * time.Second)
		ports := map[uint16]bool{}
		for _, p := range left.sessions {
			if p.port < firstPort || ports[p.port] {
				t.Errorf("source port %d", p.port)
			}
			ports[p.port] = true
		}
	})
}

func TestSessionsThatCannotBeSaySoAndLeaveTheOthersAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, left, right := pair(t)
		right.one(fast(left4))
		sessions := map[string]Session{
			"good":       fast(right4),
			"twice":      fast(right4),
			"invalid":    {},
			"families":   {Peer: right4, Local: left6},
			"link-local": {Peer: netip.MustParseAddr("fe80::1")},
			"two links":  {Peer: netip.MustParseAddr("fe80::1%eth0"), Interface: "eth1"},
			"far link":   {Peer: right4, MultiHop: true, Interface: "eth0"},
			"too fast":   {Peer: lonely, Transmit: ms},
			"too slow":   {Peer: lonely, Receive: time.Hour},
		}
		left.Set(sessions)
		pass(5 * time.Second)
		for _, s := range left.Sessions() {
			switch want := map[string]error{"good": nil, "twice": ErrDuplicate}[s.Name]; {
			case s.Name == "good" && (s.State != Up || s.Err != nil):
				t.Errorf("%+v", s)
			case s.Name == "twice" && !errors.Is(s.Err, want):
				t.Errorf("%+v", s)
			case s.Name != "good" && s.Name != "twice" && (!errors.Is(s.Err, ErrInvalid) || s.State != Down || s.Since.IsZero()):
				t.Errorf("%+v", s)
			}
		}
		sessions["another"] = fast(right4)
		left.Set(sessions)
		pass(time.Second)
		if s := left.peer("good"); s.State != Up || s.Failures > 0 {
			t.Errorf("the older session lost to one whose name comes first: %+v", s)
		}
		delete(sessions, "good")
		left.Set(sessions)
		pass(5 * time.Second)
		if s := left.peer("another"); s.State != Up || s.Err != nil {
			t.Errorf("what stood in its way is gone: %+v", s)
		}
		sessions["another"] = Session{Peer: right4, Transmit: 1}
		left.Set(sessions)
		pass(5 * time.Second)
		if s := left.peer("another"); !errors.Is(s.Err, ErrInvalid) {
			t.Errorf("%+v", s)
		}
		if s := left.peer("twice"); s.State != Up || s.Err != nil {
			t.Errorf("%+v", s)
		}
	})
}

func TestSessionsOfSeveralLinksAndAddressesAreToldApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &Wire{}
		other := netip.MustParseAddr("198.51.100.1")
		local, remote := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")
		left, right := start(t, w, left4, other, local), start(t, w, right4, remote)
		left.Set(map[string]Session{
			"eth1":  fast(remote.WithZone("eth1")),
			"eth2":  fast(remote.WithZone("eth2")),
			"near":  {Peer: right4}, // but for what comes to the other address
			"far":   {Peer: right4, Local: left4, MultiHop: true},
			"other": {Peer: right4, Local: other},
		})
		right.Set(map[string]Session{
			"eth1":  {Peer: local, Interface: "eth1"},
			"eth2":  {Peer: local, Interface: "eth2"},
			"near":  fast(left4),
			"far":   {Peer: left4, MultiHop: true},
			"other": fast(other),
		})
		pass(10 * time.Second)
		for _, s := range append(left.Sessions(), right.Sessions()...) {
			if s.State != Up || s.Failures > 0 || s.Err != nil {
				t.Errorf("%+v", s)
			}
		}
		right.Set(map[string]Session{"eth2": {Peer: local, Interface: "eth2"}})
		pass(time.Second)
		for _, s := range left.Sessions() {
			if (s.State == Up) != (s.Name == "eth2") {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestPacketsThatHaveComeTooFarAreRefused(t *testing.T) {
	for _, test := range []struct {
		session Session
		routers uint8
		want    State
	}{
		{Session{}, 0, Up},
		{Session{}, 1, Down},
		{Session{MultiHop: true}, 1, Up},
		{Session{MultiHop: true}, 2, Down},
		{Session{MultiHop: true, MinimumTTL: 252}, 3, Up},
		{Session{MultiHop: true, MinimumTTL: 252}, 4, Down},
		{Session{MinimumTTL: 252}, 1, Down},
	} {
		bubble(t, func(t *testing.T) {
			w, left, right := pair(t)
			w.routers = test.routers
			mine, its := test.session, test.session
			mine.Peer, its.Peer = right4, left4
			its.MinimumTTL = 1
			left.one(mine)
			right.one(its)
			pass(5 * time.Second)
			s := left.is(test.want)
			if (test.want == Down) != errors.Is(s.Err, ErrTTL) || (test.want == Down) != (s.Refused > 0) {
				t.Errorf("%+v", s)
			}
			w.change(func() { w.routers = 0 })
			pass(5 * time.Second)
			if s := left.is(Up); s.Err != nil {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestAuthenticationIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, left, _ := pair(t)
		left.one(fast(right4))
		pass(time.Second)
		p := packet{state: Down, multiplier: 3, myDiscriminator: 7, desiredMinTx: time.Second, authenticated: true}
		b := append(p.append(nil), 1, 9, 1, 's', 'e', 'c', 'r', 'e', 't')
		b[3] = byte(len(b))
		w.deliver(service{}, datagram{payload: b, from: right4, to: left4, ttl: 255})
		synctest.Wait()
		if s := left.is(Down); !errors.Is(s.Err, ErrAuthentication) || s.Refused != 1 || s.Received > 0 || s.RemoteState != Down {
			t.Errorf("%+v", s)
		}
		p.authenticated = false
		w.deliver(service{}, datagram{payload: p.append(nil), from: right4, to: left4, ttl: 255})
		synctest.Wait()
		if s := left.is(Init); s.Err != nil {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhatOthersSayDoesNotMatter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, left, right := pair(t)
		left.one(fast(right4))
		right.one(fast(left4))
		pass(5 * time.Second)
		p := left.sessions[discriminator(left)]
		down := packet{state: AdminDown, multiplier: 3, myDiscriminator: 7, yourDiscriminator: p.local}
		w.deliver(service{}, datagram{payload: down.append(nil), from: lonely, to: left4, ttl: 255})                                                  // somebody else
		w.deliver(service{}, datagram{payload: down.append(nil), from: right4, to: left4, ttl: 254})                                                  // from afar
		w.deliver(service{multiHop: true}, datagram{payload: down.append(nil), from: right4, to: left4, ttl: 255})                                    // wrong port
		w.deliver(service{}, datagram{payload: []byte("BFD?"), from: right4, to: left4, ttl: 255})                                                    // no packet
		w.deliver(service{}, datagram{payload: with(down, func(p *packet) { p.yourDiscriminator++ }).append(nil), from: right4, to: left4, ttl: 255}) // of an earlier life
		synctest.Wait()
		if s := left.is(Up); s.Err != nil || s.Refused != 1 {
			t.Errorf("%+v", s)
		}
		w.deliver(service{}, datagram{payload: down.append(nil), from: right4, to: left4, ttl: 255})
		synctest.Wait()
		left.is(Down)
	})
}
