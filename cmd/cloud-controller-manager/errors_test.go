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
	const processing = "error processing service default/web (retrying with exponential backoff): "
	other, forbidden := errors.New("watch: error processing service default/web"), errors.New(processing+"failed to update load balancer status: forbidden")
	refusal := errors.New(processing + "failed to ensure load balancer: no pool")
	for _, err := range []error{refusal, other, forbidden, nil} {
		handle(klog.NewContext(t.Context(), logr.Discard()), err, "Unhandled Error")
	}
	if !slices.Equal(logged, []error{other, forbidden, nil}) {
		t.Errorf("it logs %v", logged)
	}
}
