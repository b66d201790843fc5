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
	for name, tt := range map[string]struct {
		pause time.Duration
		fit   bool
	}{
		"none":                             {0, true},
		"shorter than others notice":       {maxPause - pauseTick, true},
		"so long that others act":          {maxPause + time.Millisecond, false},
		"an hour, from a snapshot perhaps": {time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &machine{began: time.Now()}
				w := NewPauseWatchOn(m.clock)
				if w.Fit() {
					t.Error("fit before it has asked anybody")
				}
				ctx, stop := context.WithCancel(t.Context())
				go w.Run(ctx)
				w.Resume()
				time.Sleep(10*pauseTick + time.Millisecond)
				synctest.Wait()
				m.suspend(tt.pause)
				if w.Fit() != tt.fit {
					t.Errorf("right after the pause: %v", !tt.fit)
				}
				time.Sleep(10 * pauseTick)
				if w.Fit() != tt.fit {
					t.Errorf("a while after the pause: %v", !tt.fit)
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
