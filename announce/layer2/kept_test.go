package layer2

import (
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2/ktesting"
)

func TestWhatIsAskedWhileItIsNotFitIsAnsweredWhenItIsAgain(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		var unfit atomic.Bool
		r.Fit = func() bool { return !unfit.Load() }
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}, vip2: {"eth0"}, vip61: {"eth0"}})
		time.Sleep(time.Minute)
		lan.take()
		unfit.Store(true)
		for _, vip := range []netip.Addr{vip1, vip2, vip61} {
			lan.ask("eth0", vip)
		}
		synctest.Wait()
		r.AnswerKept()
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}, vip61: {"eth0"}})
		time.Sleep(100 * time.Millisecond)
		answers, _ := lan.take()
		same(t, "answers meanwhile", lines(time.Now(), answers), nil)
		unfit.Store(false)
		r.AnswerKept()
		answers, _ = lan.take()
		got := lines(time.Now(), answers)
		slices.Sort(got)
		same(t, "answers", got, []string{"0s eth0 answer 192.0.2.101", "0s eth0 answer 2001:db8::101"})
		r.AnswerKept()
		if answers, _ = lan.take(); len(answers) != 0 {
			t.Errorf("answered twice: %v", lines(time.Now(), answers))
		}
	})
}

// It pauses anew after its first answer.
func TestWhatWaitsIsKeptOnIfItPausesWhileItAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		var unfit atomic.Bool
		r.Fit = func() bool { return !unfit.Load() && r.Answered() == (Counts{}) }
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}})
		time.Sleep(time.Minute)
		lan.take()
		unfit.Store(true)
		for range 3 {
			lan.ask("eth0", vip1)
		}
		synctest.Wait()
		unfit.Store(false)
		r.AnswerKept()
		answers, _ := lan.take()
		same(t, "answers", lines(time.Now(), answers), []string{"0s eth0 answer 192.0.2.101"})
		r.Fit = nil
		r.AnswerKept()
		if answers, _ = lan.take(); len(answers) != 2 {
			t.Errorf("answers after the pause: %v", lines(time.Now(), answers))
		}
	})
}

func TestItHoldsBackLongerIfItPausesAgain(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}})
		time.Sleep(time.Minute)
		lan.take()
		start := time.Now()
		var until atomic.Int64
		until.Store(int64(100 * time.Millisecond))
		r.Hold = func() time.Duration { return max(time.Until(start.Add(time.Duration(until.Load()))), 0) }
		lan.ask("eth0", vip1)
		time.Sleep(50 * time.Millisecond)
		until.Store(int64(150 * time.Millisecond))
		time.Sleep(time.Second)
		answers, _ := lan.take()
		same(t, "answers", lines(start, answers), []string{"150ms eth0 answer 192.0.2.101"})
	})
}

func TestWhatWasAskedIsAnsweredBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := newFakeLAN("eth0")
		r := newResponder(lan)
		var holding atomic.Pointer[time.Time]
		r.Hold = func() time.Duration {
			if until := holding.Load(); until != nil {
				return max(time.Until(*until), 0)
			}
			return 0
		}
		_, ctx := ktesting.NewTestContext(t)
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}})
		time.Sleep(time.Minute)
		lan.take()
		start := time.Now()
		until := start.Add(100 * time.Millisecond)
		holding.Store(&until)
		lan.ask("eth0", vip1)
		time.Sleep(10 * time.Millisecond)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		answers, _ := lan.take()
		same(t, "answers", lines(start, answers), []string{"100ms eth0 answer 192.0.2.101"})
	})
}
