package watchdog

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestALoopIsStuckThatWorksForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Loop
		check := func(what string, stuck bool) {
			t.Helper()
			if err := l.Stuck(); (err != nil) != stuck {
				t.Errorf("%s: %v", what, err)
			}
		}
		time.Sleep(2 * Limit)
		check("never begun", false)
		l.Work()
		time.Sleep(Limit)
		check("at the limit", false)
		time.Sleep(time.Second)
		check("past the limit", true)
		l.Work()
		check("the next turn", false)
		l.Rest()
		time.Sleep(2 * Limit)
		check("at rest", false)
	})
}
