package apiserver

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
)

// answers is a transport that answers, or fails with err.
type answers struct{ err error }

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) { return &http.Response{}, a.err }

func TestThatTheAPIServerIsAwayIsSaidOnceAndThatItIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		api := &answers{}
		ask := NewMonitor(funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{})).Wrap(api)
		asked := func(err error, times int) {
			t.Helper()
			api.err = err
			for range times {
				if _, got := ask.RoundTrip(nil); !errors.Is(got, err) {
					t.Errorf("%v is passed on as %v", err, got)
				}
				time.Sleep(time.Second)
			}
		}
		expect := func(what string, want ...string) {
			t.Helper()
			text := strings.Join(lines, "\n")
			if len(lines) != len(want) {
				t.Errorf("%s: it logs\n%s", what, text)
			}
			for _, part := range want {
				if !strings.Contains(text, part) {
					t.Errorf("%s: %q is missing of\n%s", what, part, text)
				}
			}
			lines = nil
		}
		refused := errors.New("connection refused")
		asked(nil, 3)
		asked(refused, 3)
		asked(nil, 1)
		asked(refused, 3)
		expect("one of several API servers goes")
		asked(refused, 100)
		expect("it is away", "does not answer")
		asked(context.Canceled, 3)
		asked(nil, 2)
		expect("it is back", "answers again")
		asked(context.Canceled, 100)
		expect("nobody waits")
		asked(context.DeadlineExceeded, 10)
		expect("it hangs", "does not answer")
	})
}
