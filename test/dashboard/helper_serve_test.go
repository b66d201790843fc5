package dashboard

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarionlb/clarion/internal/plugin/dashboard"
	"github.com/clarionlb/clarion/internal/plugin/dashboard/fixture"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// isLive is there when the page shows the state.
const isLive = "#live[data-state=live]"

func fixtureState() *snapshot.State { return stateOf(fixture.New(time.Now())) }

func stateOf(objects []runtime.Object) *snapshot.State { return snapshot.Of(objects...).State() }

// serve serves the page with a state until the test ends.
func serve(t *testing.T, state *snapshot.State) *dashboard.Dashboard {
	t.Helper()
	return serveCounting(t, state, &atomic.Int64{})
}

// serveCounting is serve, and counts the bytes that are sent.
func serveCounting(t *testing.T, state *snapshot.State, sent *atomic.Int64) *dashboard.Dashboard {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := dashboard.New("production", counting{listener, sent})
	if err := d.Show(state, ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- d.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return d
}
