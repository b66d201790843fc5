package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
)

func TestVerdictNeedsAsManyResultsInARowAsItsThreshold(t *testing.T) {
	const ok, bad = true, false
	for _, test := range []struct {
		name             string
		success, failure int32
		healthy          bool
		results          []bool
		want             []bool
	}{
		{"ready at the first success", 1, 3, false, []bool{bad, ok}, []bool{false, true}},
		{"unready at the third failure", 1, 3, false, []bool{ok, bad, bad, bad}, []bool{true, true, true, false}},
		{"a success between failures starts the count again", 1, 3, true, []bool{bad, bad, ok, bad, bad, bad}, []bool{true, true, true, true, true, false}},
		{"ready at the second success in a row", 2, 1, false, []bool{ok, bad, ok, ok}, []bool{false, false, false, true}},
		{"alive until disproved", 1, 2, true, []bool{bad, bad}, []bool{true, false}},
		{"three failures where nothing is said", 0, 0, true, []bool{bad, bad, bad}, []bool{true, true, false}},
	} {
		v := newVerdict(&v1.Probe{SuccessThreshold: test.success, FailureThreshold: test.failure}, test.healthy)
		var got []bool
		for _, result := range test.results {
			v.observe(result)
			got = append(got, v.healthy)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestProbesBeginAfterTheirDelayAndComeEveryPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var at []time.Duration
		check := func(ctx context.Context) error {
			at = append(at, time.Since(begun))
			if len(at) == 2 {
				<-ctx.Done() // takes its whole timeout
				return ctx.Err()
			}
			return nil
		}
		var verdicts []string
		probe := &v1.Probe{InitialDelaySeconds: 5, PeriodSeconds: 3, TimeoutSeconds: 2, FailureThreshold: 1}
		watch(t.Context(), probe, false, check, func(healthy, decided bool, err error) bool {
			verdicts = append(verdicts, fmt.Sprint(healthy, decided, errors.Is(err, context.DeadlineExceeded)))
			return len(verdicts) < 3
		})
		if want := []time.Duration{5 * time.Second, 8 * time.Second, 11 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("probed at %v, want %v", at, want)
		}
		if want := []string{"true true false", "false true true", "true true false"}; !slices.Equal(verdicts, want) {
			t.Errorf("reported %q, want %q", verdicts, want)
		}
	})
}
