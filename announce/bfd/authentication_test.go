package bfd

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// keyed is a session at 50 ms x 3 on a port of its own, authenticated with keys.
func keyed(local, peer netip.Addr, keys ...string) Session {
	return Session{Peer: peer, Local: local, MultiHop: true, MinimumTTL: 1, Port: 7950, Transmit: 50 * ms, Receive: 50 * ms, Keys: keysOf(keys...)}
}

func keysOf(keys ...string) *Keys {
	var all [][]byte
	for _, k := range keys {
		all = append(all, []byte(k))
	}
	return NewKeys(func() [][]byte { return all })
}

var ownService = service{multiHop: true, own: 7950}

func TestSessionsThatAreAuthenticated(t *testing.T) {
	for name, tt := range map[string]struct {
		left, right Session
		up          bool
	}{
		"the same key":                        {keyed(left4, right4, "a"), keyed(right4, left4, "a"), true},
		"IPv6":                                {keyed(left6, right6, "a"), keyed(right6, left6, "a"), true},
		"one end has changed its key":         {keyed(left4, right4, "a", "b"), keyed(right4, left4, "b", "a"), true},
		"one end does not know the key yet":   {keyed(left4, right4, "b", "a"), keyed(right4, left4, "a"), false},
		"another key":                         {keyed(left4, right4, "a"), keyed(right4, left4, "b"), false},
		"no key":                              {keyed(left4, right4), keyed(right4, left4), false},
		"one end does not authenticate":       {keyed(left4, right4, "a"), without(keyed(right4, left4)), false},
		"the other end does not authenticate": {without(keyed(left4, right4)), keyed(right4, left4, "a"), false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, left, right := pair(t)
				left.one(tt.left)
				right.one(tt.right)
				pass(5 * time.Second)
				if l, r := left.peer().State == Up, right.peer().State == Up; l != tt.up || r != tt.up {
					t.Errorf("up: %t and %t, want %t; %v, %v", l, r, tt.up, left.peer().Err, right.peer().Err)
				}
			})
		})
	}
}

func without(s Session) Session {
	s.Keys = nil
	return s
}

func TestASessionThatIsAuthenticatedNeedsALocalAddress(t *testing.T) {
	if _, err := keyed(netip.Addr{}, right4, "a").normalized(); err == nil {
		t.Error("it is valid")
	}
}

// record keeps what arrives from the right end.
func record(w *Wire) *[][]byte {
	var recorded [][]byte
	w.change(func() {
		w.heard = func(d datagram) {
			if d.from == right4 {
				recorded = append(recorded, slices.Clone(d.payload))
			}
		}
	})
	return &recorded
}

func replay(w *Wire, payload []byte) {
	w.deliver(ownService, datagram{payload: payload, from: right4, to: left4, ttl: 255})
}

func TestPacketsThatAreSentAgainNeitherKeepADeadPeerAliveNorEndASession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, left, right := pair(t)
		recorded := record(w)
		left.one(keyed(left4, right4, "a"))
		right.one(keyed(right4, left4, "a"))
		pass(5 * time.Second)
		for _, payload := range *recorded {
			replay(w, payload)
			pass(ms)
		}
		if s := left.is(Up); s.Failures != 0 {
			t.Errorf("%+v", s)
		}
		// A run of the peer that was before, with its last word, and the present one.
		right.Set(nil)
		pass(time.Second)
		right.restart()
		right.one(keyed(right4, left4, "a"))
		pass(10 * time.Second)
		failures := left.is(Up).Failures
		for _, payload := range *recorded {
			replay(w, payload)
			pass(ms)
		}
		if s := left.is(Up); s.Failures != failures {
			t.Errorf("%+v", s)
		}
		all := slices.Clone(*recorded)
		w.change(func() { w.heard = nil })
		w.lose(func(from, _ netip.Addr) bool { return from == right4 })
		died := time.Now()
		again := func() {
			for _, payload := range all {
				w.change(func() { w.lost = nil })
				replay(w, payload)
				w.lose(func(from, _ netip.Addr) bool { return from == right4 })
			}
			pass(10 * ms)
		}
		for left.peer().State == Up && time.Since(died) < time.Minute {
			again()
		}
		if took := time.Since(died); took > 160*ms {
			t.Errorf("the peer is dead, and was up for %v", took)
		}
		for range 500 {
			if again(); left.peer().State == Up {
				t.Fatal("a dead peer is up again")
			}
		}
	})
}

func TestForgedAndReflectedPacketsChangeNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, left, right := pair(t)
		var sent [][]byte
		w.change(func() {
			w.heard = func(d datagram) {
				if d.from == left4 {
					sent = append(sent, slices.Clone(d.payload))
				}
			}
		})
		left.one(keyed(left4, right4, "a"))
		right.one(keyed(right4, left4, "a"))
		pass(5 * time.Second)
		for _, state := range []State{AdminDown, Down, Init, Up} {
			p := packet{state: state, multiplier: 3, myDiscriminator: discriminator(right), yourDiscriminator: discriminator(left)}
			replay(w, p.append(nil)) // not authenticated
			p.authenticated = true
			b := p.append(nil)
			b[3] = packetSize + authenticationSize
			replay(w, append(append(b, authenticationType, authenticationSize, 0, 0, 255, 255, 255, 255), make([]byte, digestSize)...))
			pass(ms)
		}
		for _, payload := range sent {
			replay(w, payload)
			pass(ms)
		}
		if s := left.is(Up); s.Failures != 0 || s.Refused == 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAPacketIsOverdueBeforeThePeerIsDown(t *testing.T) {
	for name, tt := range map[string]struct {
		interval time.Duration
		silence  time.Duration
		overdue  bool
	}{
		"50 ms, soon":        {50 * ms, 50 * ms, false},
		"50 ms, one missing": {50 * ms, 70 * ms, true},
		"20 ms, one missing": {20 * ms, 30 * ms, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, left, right := pair(t)
				l, r := keyed(left4, right4, "a"), keyed(right4, left4, "a")
				l.Transmit, l.Receive, r.Transmit, r.Receive = tt.interval, tt.interval, tt.interval, tt.interval
				left.one(l)
				right.one(r)
				pass(5 * time.Second)
				last := left.peer().Received
				for left.peer().Received == last { // until just after one has come
					pass(time.Millisecond / 10)
				}
				for len(left.Changed()) > 0 {
					<-left.Changed()
				}
				w.lose(everything)
				pass(tt.silence)
				if s := left.is(Up); s.Overdue != tt.overdue || len(left.Changed()) > 0 != tt.overdue {
					t.Errorf("overdue %t, somebody told %t; want %t", s.Overdue, len(left.Changed()) > 0, tt.overdue)
				}
				w.lose(nil)
				pass(2 * tt.interval)
				if s := left.is(Up); s.Overdue || s.Failures > 0 {
					t.Errorf("it goes on: %+v", s)
				}
				w.lose(everything)
				pass(4 * tt.interval)
				if s := left.is(Down); s.Overdue || s.Diagnostic != DetectionTimeExpired {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}
