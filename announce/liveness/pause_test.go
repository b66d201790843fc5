package liveness

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// machine has a clock that goes on while its processes do not run.
type machine struct {
	began     time.Time
	suspended atomic.Int64
}

func (m *machine) clock() time.Duration {
	return time.Since(m.began) + time.Duration(m.suspended.Load())
}

// suspend stops all processes for a while; for them it takes no time.
func (m *machine) suspend(d time.Duration) { m.suspended.Add(int64(d)) }

func TestAPauseIsNoticedBeforeAnythingIsDone(t *testing.T) {
	t.Run("by itself", func(t *testing.T) { testPauses(t, false) })
	t.Run("by the thread of the heartbeats", func(t *testing.T) { testPauses(t, true) })
}

const interval = 50 * time.Millisecond

// beat gives signs of life, as the thread of the heartbeats does, until the context ends.
func beat(ctx context.Context, w *PauseWatch) {
	for ctx.Err() == nil {
		w.Alive()
		select {
		case <-time.After(interval):
		case <-ctx.Done():
		}
	}
}

func testPauses(t *testing.T, thread bool) {
	for name, tt := range map[string]struct {
		pause     time.Duration
		fit, hold bool
	}{
		"none":                             {0, true, false},
		"shorter than others notice":       {interval, true, false},
		"so long that others may notice":   {2 * interval, true, true},
		"hardly longer":                    {maxPause - interval, true, true},
		"so long that others act":          {maxPause + time.Millisecond, false, true},
		"an hour, from a snapshot perhaps": {time.Hour, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &machine{began: time.Now()}
				w := NewPauseWatchOn(interval, m.clock)
				if w.Fit() || w.Away() < time.Hour {
					t.Error("fit before it has asked anybody")
				}
				ctx, stop := context.WithCancel(t.Context())
				go w.Run(ctx)
				if thread {
					go beat(ctx, w)
				}
				w.Resume()
				time.Sleep(110*interval + time.Millisecond) // between two looks
				synctest.Wait()
				m.suspend(tt.pause)
				if hold := w.Hold(); (hold == holdFor) != tt.hold || !tt.hold && hold != 0 {
					t.Errorf("it holds back for %v after the pause", hold)
				}
				if w.Fit() != tt.fit {
					t.Errorf("right after the pause: %v", !tt.fit)
				}
				if away := w.Away(); (away == 0) != tt.fit || !tt.fit && (away < tt.pause || away > tt.pause+interval) {
					t.Errorf("it was away for %v", away)
				}
				time.Sleep(10 * interval)
				if w.Fit() != tt.fit {
					t.Errorf("a while after the pause: %v", !tt.fit)
				}
				if hold := w.Hold(); hold != 0 {
					t.Errorf("it still holds back, for %v", hold)
				}
				select {
				case <-w.Changed():
					if tt.fit {
						t.Error("a pause is told that was none")
					}
				default:
					if !tt.fit {
						t.Error("the pause is not told")
					}
				}
				w.Resume()
				if !w.Fit() {
					t.Error("unfit after it has resumed")
				}
				stop()
				synctest.Wait()
				m.suspend(time.Hour)
				if !w.Fit() {
					t.Error("unfit after it has ended")
				}
			})
		})
	}
}

// A process whose thread for heartbeats alone gets its turn is not taken for dead for a minute. Then it is.
func TestAStallOfAllButTheHeartbeatsIsAPauseToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{began: time.Now()}
		w := NewPauseWatchOn(interval, m.clock) // Run has no turn
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		w.Resume()
		go beat(ctx, w)
		time.Sleep(maxStall)
		if !w.Fit() || w.Hold() > 0 {
			t.Error("a busy processor is taken for a pause")
		}
		time.Sleep(interval)
		if w.Fit() {
			t.Error("it has not run, and does not notice")
		}
		w.Resume()
		if !w.Fit() || w.Away() > 0 {
			t.Error("unfit after it has resumed")
		}
		stop()
		synctest.Wait()
	})
}
