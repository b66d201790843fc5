package bfd

import (
	"errors"
	"testing"
	"time"
)

// forge has a packet arrive that somebody else on the link sends in the name of the right end.
func forge(w *Wire, p packet) {
	p.multiplier, p.desiredMinTx, p.requiredMinRx = 3, 100*ms, 100*ms
	w.deliver(service{}, datagram{payload: p.append(nil), from: right4, to: left4, ttl: 255})
}

func TestForgedPacketsDoNotEndASessionThatIsUp(t *testing.T) {
	for name, forged := range map[string]packet{
		"Down without a discriminator":          {state: Down, myDiscriminator: 99},
		"AdminDown without a discriminator":     {state: AdminDown, myDiscriminator: 99},
		"Down with a guess":                     {state: Down, myDiscriminator: 99, yourDiscriminator: 1},
		"Init with a guess":                     {state: Init, myDiscriminator: 99, yourDiscriminator: 1},
		"a poll that is Down":                   {state: Down, myDiscriminator: 99, poll: true},
		"Down with the multiplier 3 and demand": {state: Down, myDiscriminator: 99, demand: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, left, right := pair(t)
				left.one(fast(right4))
				right.one(fast(left4))
				pass(5 * time.Second)
				<-left.Changed()
				received := left.is(Up).Received
				for range 2000 { // in 10 s
					forge(w, forged)
					pass(5 * ms)
				}
				if s := left.is(Up); s.Failures > 0 || s.Err != nil || s.RemoteState != Up || s.Detection != 300*ms {
					t.Errorf("%+v", s)
				} else if n := s.Received - received; n > 150 {
					t.Errorf("%d packets of the peer counted in 10 s", n)
				}
				select {
				case <-left.Changed():
					t.Error("somebody is told")
				default:
				}
				right.is(Up)
			})
		})
	}
}

func TestForgedPacketsDoNotHideThatThePeerIsDead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, left, right := pair(t)
		left.one(fast(right4))
		right.one(fast(left4))
		pass(5 * time.Second)
		w.lose(everything)
		died := time.Now()
		for left.peer().State == Up && time.Since(died) < time.Minute {
			w.change(func() { w.lost = nil })
			forge(w, packet{state: Down, myDiscriminator: 99})
			w.change(func() { w.lost = everything })
			pass(5 * ms)
		}
		if s := left.peer(); s.Diagnostic != DetectionTimeExpired || time.Since(died) > 310*ms {
			t.Errorf("after %v %+v", time.Since(died), s)
		}
	})
}

func TestAPeerThatSaysWithADiscriminatorOfTheSessionThatItIsDownIsBelievedAtOnce(t *testing.T) {
	for _, p := range []packet{{state: Down}, {state: AdminDown}, {state: Down, yourDiscriminator: 1}, {state: AdminDown, yourDiscriminator: 1}} {
		bubble(t, func(t *testing.T) {
			w, left, right := pair(t)
			left.one(fast(right4))
			right.one(fast(left4))
			pass(5 * time.Second)
			said := time.Now()
			p.myDiscriminator = discriminator(right)
			if p.yourDiscriminator != 0 {
				p.yourDiscriminator, p.myDiscriminator = discriminator(left), 99
			}
			forge(w, p)
			pass(ms)
			if s := left.peer(); s.Since.Before(said) || s.Diagnostic != NeighborSignaledDown {
				t.Errorf("%+v: %+v", p, s)
			}
		})
	}
}

func TestAPeerThatIsRestartedIsNoticedWithinTheDetectionTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, left, right := pair(t)
		left.one(fast(right4))
		right.one(fast(left4))
		pass(5 * time.Second)
		right.restart() // it has another discriminator, and does not know ours
		right.one(fast(left4))
		pass(300 * ms)
		if s := left.peer(); s.Failures != 1 {
			t.Errorf("%+v", s)
		}
		pass(4 * time.Second)
		if s := left.is(Up); s.Failures != 1 || errors.Is(s.Err, errUnproven) {
			t.Errorf("%+v", s)
		}
		right.is(Up)
	})
}
