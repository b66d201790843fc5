package dashboard

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

const (
	// settling is how long changes are collected at least before the page is told.
	settling = 500 * time.Millisecond
	// refresh is how often the state is found out without a change, because it depends on the time,
	// too.
	refresh = 10 * time.Second
)

// Dashboard serves the page of one cluster. It shows what it is given, and knows no API server.
type Dashboard struct {
	cluster  string
	board    *board
	server   *server
	listener net.Listener
}

// New makes a Dashboard of a cluster of this name, which is reached at the listener. That must be on
// the loopback.
func New(cluster string, listener net.Listener) *Dashboard {
	b := newBoard()
	return &Dashboard{cluster: cluster, board: b, server: newServer(b, listener), listener: listener}
}

// Show has all pages show a state. stale is a half sentence that says why it may be out of date; ""
// if it is not.
func (d *Dashboard) Show(state *snapshot.State, stale string) error {
	return d.board.post(state, overviewOf(d.cluster, state), stale)
}

// URL is where the page is. Who has it can read what the caller of the plugin can read.
func (d *Dashboard) URL() string { return d.server.URL() }

// Follow shows every state of a cluster, and answers browsers, until the context ends.
func (d *Dashboard) Follow(ctx context.Context, live *snapshot.Live) error {
	if err := d.show(live); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.Serve(ctx) })
	group.Go(func() error { return d.follow(ctx, live) })
	return group.Wait()
}

// Serve answers browsers until the context ends.
func (d *Dashboard) Serve(ctx context.Context) error {
	// What pages follow ends with the context too.
	s := &http.Server{
		Handler: d.server.handler(), BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	if err := s.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// follow shows every state until the context ends.
func (d *Dashboard) follow(ctx context.Context, live *snapshot.Live) error {
	defer live.Wait()
	return pace(ctx, live.Changed(), func() error { return d.show(live) })
}

// pace calls show some time after something has changed, and now and then without a change. What show costs in a large cluster
// takes no more than a fifth of the time: whatever changes meanwhile is shown at once.
func pace(ctx context.Context, changed <-chan struct{}, show func() error) error {
	wait := func(d time.Duration, or <-chan struct{}) bool {
		select {
		case <-ctx.Done():
			return false
		case <-or:
		case <-time.After(d):
		}
		return true
	}
	cost := time.Duration(0)
	for {
		if !wait(refresh, changed) || !wait(max(settling, 4*cost), nil) {
			return nil
		}
		begun := time.Now()
		if err := show(); err != nil {
			return err
		}
		cost = time.Since(begun)
	}
}

// show shows a cluster as it is now.
func (d *Dashboard) show(live *snapshot.Live) error {
	stale := ""
	if err := live.Stale(); err != nil {
		stale = err.Error()
	}
	return d.Show(live.Snapshot().State(), stale)
}
