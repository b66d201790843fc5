package bfd

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"
	"pgregory.net/rapid"
)

var (
	left4, right4 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	left6, right6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	lonely        = netip.MustParseAddr("192.0.2.99")
)

// fast is a session with a peer at 100 ms x 3.
func fast(peer netip.Addr) Session {
	return Session{Peer: peer, Transmit: 100 * ms, Receive: 100 * ms}
}

// end is one of two speakers that have a wire between them.
type end struct {
	t *testing.T
	*fakeHost
	*Speaker
	stop context.CancelFunc
	done chan error
}

// pair returns two speakers with a wire between them, that run and have no sessions.
func pair(t *testing.T) (*Wire, *end, *end) {
	w := &Wire{}
	return w, start(t, w, left4, left6), start(t, w, right4, right6)
}

func start(t *testing.T, w *Wire, addresses ...netip.Addr) *end {
	e := &end{t: t, fakeHost: w.host(addresses...)}
	e.restart()
	t.Cleanup(e.quit)
	return e
}

// restart has a new speaker with no sessions run.
func (e *end) restart() {
	if e.stop != nil {
		e.quit()
	}
	var ctx context.Context
	ctx, e.stop = context.WithCancel(klog.NewContext(context.Background(), klog.Logger{}))
	e.Speaker, e.done = newSpeaker(e.fakeHost.attach), make(chan error, 1)
	go func() { e.done <- e.Run(ctx) }()
}

// quit ends the speaker, and checks that nothing is left of it.
func (e *end) quit() {
	e.stop()
	if e.done == nil {
		return
	}
	if err := <-e.done; err != nil {
		e.t.Error(err)
	}
	e.done = nil
	if n := e.open(); n > 0 {
		e.t.Errorf("%d sockets are left", n)
	}
}

// one says that there is to be one session.
func (e *end) one(s Session) { e.Set(map[string]Session{"peer": s}) }

// peer is how the session of that name is doing.
func (e *end) peer(name ...string) Status {
	e.t.Helper()
	for _, s := range e.Sessions() {
		if len(name) == 0 || s.Name == name[0] {
			return s
		}
	}
	e.t.Fatalf("there is no session %s", name)
	return Status{}
}

// is fails if the session is in another state.
func (e *end) is(state State) Status {
	e.t.Helper()
	s := e.peer()
	if s.State != state {
		e.t.Fatalf("%s is %s instead of %s: %+v", e.addresses[0], s.State, state, s)
	}
	return s
}

// pass lets time pass, and waits until what is due has happened.
func pass(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

// bubble runs a test in simulated time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func TestTwoSpeakersComeUpAndStayUp(t *testing.T) {
	for name, sessions := range map[string][2]Session{
		"IPv4":               {fast(right4), fast(left4)},
		"IPv6":               {fast(right6), fast(left6)},
		"several hops":       {{Peer: right4, MultiHop: true}, {Peer: left4, MultiHop: true}},
		"different speeds":   {{Peer: right4, Transmit: 50 * ms, Receive: 1500 * ms, Multiplier: 1}, {Peer: left4, Multiplier: 50}},
		"slower than slow":   {{Peer: right4, Transmit: 5 * time.Second, Receive: 7 * time.Second}, fast(left4)},
		"one side passive":   {{Peer: right4, Passive: true}, fast(left4)},
		"addresses as given": {{Peer: right4, Local: left4}, {Peer: left4, Local: right4}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, left, right := pair(t)
				left.one(sessions[0])
				right.one(sessions[1])
				pass(10 * time.Second)
				left.is(Up)
				right.is(Up)
				pass(time.Hour)
				for _, e := range []*end{left, right} {
					if s := e.is(Up); s.Failures > 0 || s.Err != nil || s.Sent == 0 || s.Received == 0 || s.Refused > 0 || time.Since(s.Since) < time.Hour {
						t.Errorf("%+v", s)
					}
				}
			})
		})
	}
}

func TestTwoPassiveSidesWaitForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, left, right := pair(t)
		left.one(Session{Peer: right4, Passive: true})
		right.one(Session{Peer: left4, Passive: true})
		pass(time.Hour)
		if s := left.is(Down); s.Sent > 0 || s.Err != nil {
			t.Errorf("%+v", s)
		}
	})
}

func TestADeadPathIsNoticedByBothSides(t *testing.T) {
	for name, lost := range map[string]func(from, to netip.Addr) bool{
		"both directions": everything,
		"there":           func(from, _ netip.Addr) bool { return from == left4 },
		"back":            func(from, _ netip.Addr) bool { return from == right4 },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, left, right := pair(t)
				left.one(fast(right4))
				right.one(fast(left4))
				pass(5 * time.Second)
				left.is(Up)
				<-left.Changed()
				w.lose(lost)
				pass(300 * ms)
				for _, e := range []*end{left, right} {
					s := e.is(Down)
					heard := name == "there" && e == left || name == "back" && e == right
					want := DetectionTimeExpired
					if heard {
						want = NeighborSignaledDown
					}
					if s.Failures != 1 || s.Diagnostic != want || !heard && s.LastDetection != 300*ms || heard && s.RemoteDiagnostic != DetectionTimeExpired {
						t.Errorf("%+v", s)
					}
				}
				select {
				case <-left.Changed():
				default:
					t.Error("nobody was told")
				}
				w.lose(nil)
				pass(3 * time.Second)
				if s := left.is(Up); s.Failures != 1 {
					t.Errorf("%+v", s)
				}
				right.is(Up)
			})
		})
	}
}

func TestASessionThatIsRemovedIsNoFailureToThePeer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, left, right := pair(t)
		left.one(fast(right4))
		right.one(fast(left4))
		pass(5 * time.Second)
		left.Set(nil)
		if n := len(left.Sessions()); n > 0 {
			t.Errorf("%d sessions are left", n)
		}
		synctest.Wait()
		s := right.is(Down)
		if s.RemoteState != AdminDown || s.RemoteDiagnostic != AdministrativelyDown || s.Diagnostic != NeighborSignaledDown || s.Failures > 0 {
			t.Errorf("%+v", s)
		}
		pass(2 * time.Second)
		if s := right.is(Down); s.RemoteState != AdminDown {
			t.Errorf("the peer was told once only: %+v", s)
		}
		pass(2 * time.Second)
		if n := left.open(); n > 0 {
			t.Errorf("%d sockets are left when the peer knows", n)
		}
		received := right.peer().Received
		pass(time.Minute)
		if s := right.is(Down); s.Received != received || s.RemoteState != AdminDown {
			t.Errorf("%+v", s)
		}
	})
}

func TestThePacketThatASessionWasRemovedIsRepeated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, left, right := pair(t)
		left.one(fast(right4))
		right.one(Session{Peer: left4, Receive: time.Second}) // so that it is patient enough
		pass(5 * time.Second)
		w.lose(everything)
		left.Set(nil)
		synctest.Wait()
		w.lose(nil)
		pass(2 * time.Second)
		if s := right.is(Down); s.RemoteState != AdminDown || s.Failures > 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestASessionThatComesBackIsUpAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, left, right := pair(t)
		left.one(fast(right4))
		right.one(fast(left4))
		pass(5 * time.Second)
		left.Set(nil)
		pass(500 * ms)
		left.one(fast(right4))
		pass(3 * time.Second)
		left.is(Up)
		right.is(Up)
		left.one(Session{Peer: right4, Local: left4}) // another session by its path
		pass(3 * time.Second)
		left.is(Up)
		right.is(Up)
	})
}

func TestASessionThatNobodyAnsweredIsRemovedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, left, _ := pair(t)
		left.one(fast(lonely))
		pass(5 * time.Second)
		if s := left.is(Down); s.Sent < 5 || s.Sent > 7 {
			t.Errorf("%+v", s)
		}
		left.Set(nil)
		synctest.Wait()
		if n := left.open(); n > 0 {
			t.Errorf("%d sockets are left", n)
		}
	})
}

func TestIntervalsChangeWithoutAnInterruption(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, left, right := pair(t)
		left.one(fast(right4))
		right.one(fast(left4))
		pass(5 * time.Second)
		since := left.is(Up).Since
		for _, interval := range []time.Duration{50 * ms, 500 * ms, 2 * time.Second, 20 * ms, 300 * ms} {
			left.one(Session{Peer: right4, Transmit: interval, Receive: interval, Multiplier: 4})
			pass(20 * time.Second)
			slower := max(interval, 100*ms)
			if s := left.peer(); s.Transmit != slower || s.Detection != 3*slower {
				t.Errorf("after a change to %s: %+v", interval, s)
			}
			if s := right.peer(); s.Transmit != slower || s.Detection != 4*slower {
				t.Errorf("after a change to %s on the other side: %+v", interval, s)
			}
		}
		// In quick succession, and while polls are lost.
		for n := range 50 {
			left.one(Session{Peer: right4, Transmit: time.Duration(20+n*97%400) * ms, Receive: time.Duration(20+n*53%300) * ms})
			pass(time.Duration(n) * 10 * ms)
		}
		pass(10 * time.Second)
		for _, e := range []*end{left, right} {
			if s := e.is(Up); s.Failures > 0 || s.Since.After(since.Add(time.Second)) {
				t.Errorf("interrupted: %+v", s)
			}
		}
		if s := left.peer(); s.Transmit != max(time.Duration(20+49*97%400)*ms, 100*ms) {
			t.Errorf("the last change was forgotten: %+v", s)
		}
	})
}

func TestOnlyChangesAreToldOf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, left, right := pair(t)
		right.one(fast(left4))
		sessions := map[string]Session{"peer": fast(right4), "invalid": {}}
		told := func() bool {
			select {
			case <-left.Changed():
				return true
			default:
				return false
			}
		}
		left.Set(sessions)
		pass(5 * time.Second)
		if !told() {
			t.Error("nobody was told of new sessions")
		}
		left.Set(sessions)
		sessions["peer"] = Session{Peer: right4, Transmit: 50 * ms}
		left.Set(sessions)
		pass(time.Minute)
		if told() {
			t.Error("somebody was told of the same sessions")
		}
		delete(sessions, "invalid")
		left.Set(sessions)
		if !told() {
			t.Error("nobody was told that a refused session is gone")
		}
		left.Set(nil)
		if !told() {
			t.Error("nobody was told that a session is gone")
		}
	})
}

func TestASpeakerThatRestartsIsMetAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, left, right := pair(t)
		left.one(fast(right4))
		right.one(fast(left4))
		pass(5 * time.Second)
		left.restart()
		left.one(fast(right4))
		pass(4 * time.Second)
		left.is(Up)
		if s := right.is(Up); s.Failures != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A process that had no processor for a while finds its timers expired and the packets of that time
// in its sockets.
func TestPacketsAreReceivedBeforeDetectionTimesAreChecked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, left, right := pair(t)
		left.one(fast(right4))
		right.one(fast(left4))
		pass(5 * time.Second)
		w.change(func() { left.stalled = true })
		pass(time.Minute)
		if s := left.is(Up); s.Failures > 0 {
			t.Errorf("%+v", s)
		}
		w.lose(everything)
		pass(600 * ms)
		left.is(Down)
	})
}

// What happens to a session is noticed as early as ever if packets are coalesced, but for what the peer says.
func TestADeadPathIsNoticedAsEarlyIfPacketsAreCoalesced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, left, right := pair(t)
		s := Session{Transmit: 50 * ms, Receive: 50 * ms, Coalesce: true}
		s.Peer = right4
		left.one(s)
		s.Peer = left4
		right.one(s)
		pass(5 * time.Second)
		for range 20 {
			pass(1003 * ms)
			var last time.Time
			w.change(func() {
				w.heard = func(d datagram) {
					if d.from == right4 {
						last = time.Now()
					}
				}
			})
			pass(100 * ms)
			w.lose(everything)
			pass(time.Until(last.Add(62 * ms)))
			if s := left.is(Up); s.Overdue || s.LastReceived != last {
				t.Fatalf("overdue too early: %+v", s)
			}
			pass(ms)
			if s := left.is(Up); !s.Overdue {
				t.Fatalf("not overdue in time: %+v", s)
			}
			pass(time.Until(last.Add(149 * ms)))
			left.is(Up)
			pass(ms)
			if s := left.is(Down); s.LastDetection != 150*ms {
				t.Fatalf("%+v", s)
			}
			w.lose(nil)
			pass(5 * time.Second)
			left.is(Up)
			right.is(Up)
		}
	})
}

// step is something that happens to two speakers, and the pause after it.
type step struct {
	what    string
	right   bool // it happens to this side
	session Session
	pause   time.Duration
}

func drawStep(t *rapid.T) step {
	interval := rapid.SampledFrom([]time.Duration{20 * ms, 100 * ms, 300 * ms, 2 * time.Second})
	return step{
		what:  rapid.SampledFrom([]string{"loss", "loss in one direction", "no loss", "change", "leave", "come", "restart"}).Draw(t, "what"),
		right: rapid.Bool().Draw(t, "right"),
		session: Session{
			Transmit:   interval.Draw(t, "transmit"),
			Receive:    interval.Draw(t, "receive"),
			Multiplier: rapid.Uint8Range(1, 5).Draw(t, "multiplier"),
			Coalesce:   rapid.Bool().Draw(t, "coalesce"),
		},
		pause: rapid.SampledFrom([]time.Duration{0, 30 * ms, 290 * ms, time.Second, 10 * time.Second}).Draw(t, "pause"),
	}
}

// TestSpeakersOutlastAnyLoss has the two sides come together again after any sequence of losses,
// changes and restarts, and then never notice a loss that was not.
func TestSpeakersOutlastAnyLoss(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 12).Draw(r, "steps")
		var left, right [2]Status // at first, and later
		bubble(t, func(t *testing.T) {
			w, l, r := pair(t)
			l.one(fast(right4))
			r.one(fast(left4))
			for _, s := range steps {
				e := l
				s.session.Peer = right4
				if s.right {
					e, s.session.Peer = r, left4
				}
				switch s.what {
				case "loss":
					w.lose(everything)
				case "loss in one direction":
					w.lose(func(_, to netip.Addr) bool { return to == s.session.Peer })
				case "no loss":
					w.lose(nil)
				case "change", "come":
					e.one(s.session)
				case "leave":
					e.Set(nil)
				case "restart":
					e.restart()
					e.one(s.session)
				}
				pass(s.pause)
			}
			w.lose(nil)
			l.one(fast(right4))
			r.one(fast(left4))
			pass(time.Minute)
			left[0], right[0] = l.peer(), r.peer()
			pass(2 * time.Minute)
			left[1], right[1] = l.peer(), r.peer()
		})
		for _, side := range [][2]Status{left, right} {
			if side[0].State != Up || side[1].State != Up || side[1].Failures != side[0].Failures || side[1].Err != nil {
				r.Fatalf("first %+v, later %+v", side[0], side[1])
			}
		}
	})
}
