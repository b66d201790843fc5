package speaker

import (
	"context"
	"net/netip"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/netnstest"
)

// TestMain runs the tests in a network namespace of their own, which plays the node and goes when
// they end. Processes that they start run a Speaker instead. Each test has routers of its own, so
// that all run side by side but those that look at the whole node or keep it busy.
func TestMain(m *testing.M) {
	if what := os.Getenv(envSpeaker); what != "" {
		runChild(what)
		return
	}
	netnstest.MainOfShares(func() int {
		// GoBGP leaves this behind when a connection ends while something is queued for it.
		goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/eapache/channels.(*InfiniteChannel).infiniteBuffer"))
		return 0
	}, "TestEveryKindOfRouterUnderstandsUs")
}

// run runs a Speaker until the test ends or it is stopped.
func run(t testing.TB, s *Speaker) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		followHost(ctx, s)
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		<-followed
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the Speaker says: %+v", s.Peers())
		}
		stop()
	})
	return stop
}

// followHost has a Speaker know the node's own addresses until the context ends.
func followHost(ctx context.Context, s *Speaker) {
	w := NewHostWatcher()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-w.Changed():
			s.SetHost(w.Host())
		}
	}
	<-ended
}

func newSpeaker(t testing.TB, restarted bool) *Speaker {
	t.Helper()
	return New(Config{Restarted: restarted})
}

// key is that of the session with a peer of this name.
func key(name string) bgp.SessionKey { return bgp.SessionKey{Peer: name} }

// status returns what a Speaker says of a peer.
func status(s *Speaker, name string) bgp.PeerStatus {
	for _, p := range s.Peers() {
		if p.Key == key(name) {
			return p
		}
	}
	return bgp.PeerStatus{}
}

// established waits for a session.
func established(t testing.TB, s *Speaker, name string) {
	t.Helper()
	eventually(t, "a session with "+name, func() (bool, any) {
		p := status(s, name)
		return p.State == bgp.Established, p
	})
}

// routes are some for these prefixes, all with the same attributes.
func routes(a *bgp.Attributes, prefixes ...string) []bgp.Route {
	var rs []bgp.Route
	for _, p := range prefixes {
		rs = append(rs, bgp.Route{Prefix: netip.MustParsePrefix(p), Attributes: a})
	}
	return rs
}

func ptr[T any](v T) *T { return &v }
