package dashboard

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarionlb/clarion/internal/notify"
)

// paced counts how often a state is shown in a minute, if showing it takes this long and changes come this often.
func paced(t *testing.T, cost, every time.Duration) (shown int) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		changed := notify.New()
		if every > 0 {
			var changing sync.WaitGroup
			defer changing.Wait()
			changing.Go(func() {
				for ctx.Err() == nil {
					changed.Notify()
					time.Sleep(every)
				}
			})
		}
		err := pace(ctx, changed, func() error {
			shown++
			time.Sleep(cost)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	return shown
}

func TestManyChangesAreShownAtABoundedRate(t *testing.T) {
	for _, test := range []struct {
		name        string
		cost, every time.Duration
		least, most int
	}{
		{"nothing changes", 0, 0, 5, 6},
		{"much changes in a small cluster", time.Millisecond, 10 * time.Millisecond, 110, 120},
		{"much changes in a large cluster", 2 * time.Second, 10 * time.Millisecond, 6, 7},
		{"little changes in a large cluster", 2 * time.Second, 20 * time.Second, 3, 6},
	} {
		if got := paced(t, test.cost, test.every); got < test.least || got > test.most {
			t.Errorf("%s: shown %d times", test.name, got)
		}
	}
}
