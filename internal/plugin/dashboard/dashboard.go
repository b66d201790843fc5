package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// Dashboard serves the page of one cluster. It shows what it is given, and knows no API server.
type Dashboard struct {
	cluster  string
	board    *board
	server   *server
	listener net.Listener
}

// New makes a Dashboard of a cluster of this name, which is reached at the listener. That must be on the loopback.
func New(cluster string, listener net.Listener) *Dashboard {
	b := newBoard()
	return &Dashboard{cluster: cluster, board: b, server: newServer(b, listener), listener: listener}
}

// Show has all pages show a state. stale is a half sentence that says why it may be out of date; "" if it is not.
func (d *Dashboard) Show(state *snapshot.State, stale string) error {
	text, err := json.Marshal(overviewOf(d.cluster, state))
	if err != nil {
		return err
	}
	d.board.post(state, text, stale)
	return nil
}

// URL is where the page is. Who has it can read what the caller of the plugin can read.
func (d *Dashboard) URL() string { return d.server.URL() }

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
