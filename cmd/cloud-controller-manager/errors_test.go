package main

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

func TestRefusalsThatTheServiceControllerRepeatsAreLeftOutAndNothingElseIs(t *testing.T) {
	var logged []error
	handle := quietRefusals(func(_ context.Context, err error, _ string, _ ...any) { logged = append(logged, err) })
	other, refusal := errors.New("watch: error processing service default/web"), errors.New("error processing service default/web (retrying with exponential backoff): no")
	for _, err := range []error{refusal, other, nil} {
		handle(klog.NewContext(t.Context(), logr.Discard()), err, "Unhandled Error")
	}
	if !slices.Equal(logged, []error{other, nil}) {
		t.Errorf("it logs %v", logged)
	}
}
