package network

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/clarionlb/clarion/test/cluster/echo"
)

func TestReportCountsGapsBetweenTheEndsOfSuccesses(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	success := func(ms int) Attempt {
		return Attempt{Start: at(ms - 1), End: at(ms), Answer: echo.Answer{Pod: "p", Node: "n"}}
	}
	failure := func(ms int) Attempt { return Attempt{Start: at(ms - 1), End: at(ms), Err: errors.New("no answer")} }
	tests := []struct {
		name     string
		attempts []Attempt
		gap      int
		gapStart int
		failures int
	}{
		{"nothing was tried", nil, 100, 0, 0},
		{"nothing succeeded", []Attempt{failure(10)}, 100, 0, 1},
		{"in the middle", []Attempt{success(20), failure(30), success(70), success(90)}, 50, 20, 1},
		{"at the beginning", []Attempt{success(60), success(99)}, 60, 0, 0},
		{"at the end", []Attempt{success(10), success(30)}, 70, 30, 0},
		{"none answered after the end", []Attempt{success(80), failure(150)}, 80, 0, 1},
		{"answered after the end", []Attempt{success(20), success(110)}, 90, 20, 0},
		{"attempts overtake each other", []Attempt{success(90), success(20), success(50)}, 40, 50, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newReport(start, at(100), test.attempts)
			if r.LongestGap != time.Duration(test.gap)*time.Millisecond || !r.GapStart.Equal(at(test.gapStart)) || r.Failures != test.failures {
				t.Errorf("got a gap of %s at %s, %d failures", r.LongestGap, r.GapStart.Sub(start), r.Failures)
			}
			if successes := len(test.attempts) - test.failures; r.Nodes()["n"] != successes || r.Pods()["p"] != successes {
				t.Errorf("want %d answers, got %v, %v", successes, r.Nodes(), r.Pods())
			}
		})
	}
}

func TestMeterSeesAnOutageAndWhoAnswers(t *testing.T) {
	l := newLAN(t)
	serve(t, l.b)
	for _, v6 := range []bool{false, true} {
		m := meter(t, l.a, l.b.Address("eth0", v6))
		awaitAttempt(t, m, Succeeded)
		if err := l.b.CutLink("eth0"); err != nil {
			t.Fatal(err)
		}
		// Long enough that no other gap, of a test machine that is busy, is longer.
		during := time.Now()
		for r := m.Report(); r.LongestGap < time.Second || !covers(r, during); r = m.Report() {
			awaitAttempt(t, m, Failed)
			during = time.Now()
		}
		if err := l.b.RestoreLink("eth0"); err != nil {
			t.Fatal(err)
		}
		awaitAttempt(t, m, Succeeded)
		r := m.Stop()
		if !covers(r, during) {
			t.Errorf("the link was cut at %s, the longest gap began at %s; %s", during, r.GapStart, r)
		}
		if r.Failures == 0 || r.Nodes()["b"] == 0 || r.Pods()["pod-b"] != len(r.Attempts)-r.Failures {
			t.Errorf("%s, answers from %v, %v", r, r.Nodes(), r.Pods())
		}
		if !strings.Contains(r.String(), "failed, longest gap") {
			t.Error(r)
		}
	}
}

// covers tells whether a time is in the longest gap.
func covers(r Report, at time.Time) bool {
	return !r.GapStart.After(at) && !r.GapStart.Add(r.LongestGap).Before(at)
}

func TestMeterReportsAHostWithoutPower(t *testing.T) {
	l := newLAN(t)
	if err := l.a.PowerOff(); err != nil {
		t.Fatal(err)
	}
	if r := meter(t, l.a, l.b.Address("eth0", false)).Stop(); r.Failures != 1 || !errors.Is(r.Attempts[0].Err, ErrOff) {
		t.Error(r)
	}
}

func TestMeterPassesOverPortsThatOtherProgramsHave(t *testing.T) {
	l := newLAN(t)
	serve(t, l.b)
	if err := l.a.Do(func() error {
		taken, err := net.Listen("tcp4", ":2001")
		if err == nil {
			t.Cleanup(func() { taken.Close() })
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	m := meter(t, l.a, l.b.Address("eth0", false))
	for range 5 {
		awaitAttempt(t, m, func(Attempt) bool { return true })
	}
	if r := m.Stop(); r.Failures > 0 {
		t.Error(r)
	}
}
