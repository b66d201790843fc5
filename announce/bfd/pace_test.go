package bfd

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/klog/v2"
)

// countingSockets count how often the thread of a speaker wakes, and how often a timer does.
type countingSockets struct {
	*fakeHost
	threads, timers atomic.Int64
}

func (c *countingSockets) wait(arrivals bool) {
	c.fakeHost.wait(arrivals)
	c.threads.Add(1)
}

func (c *countingSockets) timer(f func()) (timer, error) {
	return c.fakeHost.timer(func() {
		c.timers.Add(1)
		f()
	})
}

// hub is a speaker that has sessions with four peers, all at 50 ms x 3.
type hub struct {
	*end
	wire  *Wire
	count *countingSockets
}

func newHub(t *testing.T, coalesce bool) *hub {
	w := &Wire{}
	h := &hub{end: &end{t: t, fakeHost: w.host(left4)}, wire: w}
	h.count = &countingSockets{fakeHost: h.fakeHost}
	ctx, stop := context.WithCancel(klog.NewContext(context.Background(), klog.Logger{}))
	h.Speaker, h.stop, h.done = newSpeaker(func() (sockets, error) {
		_, err := h.fakeHost.attach()
		return h.count, err
	}), stop, make(chan error, 1)
	go func() { h.done <- h.Run(ctx) }()
	t.Cleanup(h.quit)
	sessions := map[string]Session{}
	for _, name := range []string{"192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"} {
		peer := netip.MustParseAddr(name)
		start(t, w, peer).one(Session{Peer: left4, Transmit: 50 * ms, Receive: 50 * ms, Coalesce: coalesce})
		sessions[name] = Session{Peer: peer, Transmit: 50 * ms, Receive: 50 * ms, Coalesce: coalesce}
		pass(11 * ms)
	}
	h.Set(sessions)
	pass(10 * time.Second)
	return h
}

// wakes is how often in a second the thread wakes, and the timer, while all sessions stay up.
func (h *hub) wakes() (threads, timers int) {
	h.t.Helper()
	thread, timer := h.count.threads.Load(), h.count.timers.Load()
	pass(100 * time.Second)
	for _, s := range h.Sessions() {
		if s.State != Up || s.Failures > 0 || s.Overdue {
			h.t.Errorf("%+v", s)
		}
	}
	return int(h.count.threads.Load()-thread) / 100, int(h.count.timers.Load()-timer) / 100
}

func TestPacketsThatComeInTimeWakeNobodyIfTheyAreCoalesced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		threads, timers := newHub(t, true).wakes()
		each, _ := newHub(t, false).wakes()
		t.Logf("a timer wakes it %d times a second, and each packet %d times if they are not coalesced", timers, each)
		if threads > 0 {
			t.Errorf("the thread wakes %d times a second although nothing is late", threads)
		}
		if timers*2 > each {
			t.Error("packets that come in time wake it")
		}
	})
}

// A busy node has no processor for whatever has no priority.
func TestTheThreadTakesTheStepsOfATimerThatIsLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHub(t, true)
		var last time.Time
		var longest time.Duration
		h.wire.Hear(func(from netip.Addr) {
			if from != left4 {
				return
			}
			if now := time.Now(); !last.IsZero() {
				longest = max(longest, now.Sub(last))
			}
			last = time.Now()
		})
		h.wire.change(func() { h.late = true })
		if threads, timers := h.wakes(); threads < 40 || timers > 0 {
			t.Errorf("the thread wakes %d times a second, and the timer %d times", threads, timers)
		}
		if longest > 50*ms+grace {
			t.Errorf("%s passed between two packets to all peers", longest)
		}
		h.wire.change(func() { h.late = false })
		pass(hurry)
		if threads, timers := h.wakes(); threads > 0 || timers < 40 {
			t.Errorf("the thread still wakes %d times a second, and the timer %d times", threads, timers)
		}
	})
}

func TestWhoeverTakesTheStepsSaysThatTheProcessIsAlive(t *testing.T) {
	for name, coalesce := range map[string]bool{"timer": true, "thread": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, left, right := pair(t)
				left.quit()
				var ctx context.Context
				ctx, left.stop = context.WithCancel(klog.NewContext(context.Background(), klog.Logger{}))
				left.Speaker, left.done = newSpeaker(left.fakeHost.attach), make(chan error, 1)
				last, longest := time.Now(), time.Duration(0)
				left.Beat(50*ms, func() {
					longest, last = max(longest, time.Since(last)), time.Now()
				})
				go func() { left.done <- left.Run(ctx) }()
				// Without a beat, it would have nothing to do for longer than that.
				left.one(Session{Peer: right4, Transmit: time.Second, Receive: time.Second, Coalesce: coalesce})
				right.one(Session{Peer: left4, Transmit: time.Second, Receive: time.Second})
				pass(time.Minute)
				left.is(Up)
				left.quit()
				if longest > 50*ms || time.Since(last) > 50*ms {
					t.Errorf("there was no beat for %s, and since %s", longest, time.Since(last))
				}
			})
		})
	}
}
