package speaker

import (
	"context"
	"log/slog"
	"strconv"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
)

// listener hears what GoBGP logs. Of attempts to connect, of refusals and of what was said last it tells nothing in any other
// way, so the sentences below are part of what the tests hold against the version in use.
type listener struct {
	connection *connection
	logger     klog.Logger
}

// Enabled is for slog.
func (l *listener) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs is for slog.
func (l *listener) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup is for slog.
func (l *listener) WithGroup(string) slog.Handler { return l }

// Handle is for slog: it hears one line.
func (l *listener) Handle(_ context.Context, r slog.Record) error {
	c := l.connection
	switch r.Message {
	case "sent update":
		c.updates.Add(1)
		return nil
	case "outgoing connection established":
		c.happen(event{state: bgp.OpenSent})
	case "failed to connect":
		c.happen(event{err: "no connection: " + attr(r, "Error")})
	case "outgoing connection IO error":
		c.happen(event{state: bgp.Connect, err: "the router closed the connection before it said anything: does it know this node's address?"})
	case "outgoing connection closing due to hold timer expired in OPEN SENT state":
		c.happen(event{state: bgp.Connect, err: silentRouter})
	case "sent notification":
		said := bgp.ToldRouter + notification(r)
		if said == bgp.ToldRouter+notificationName(gobgp.BGP_ERROR_FSM_ERROR, unexpectedInOpenSent) {
			// What comes in the place of an OPEN, if not nothing, is a NOTIFICATION, which GoBGP does not read.
			said = refusal
		}
		c.happen(event{err: said})
	case "received notification":
		c.happen(event{err: bgp.ToldByRouter + notification(r)})
	case "prefix limit reached":
		c.happen(event{limit: true})
	case "Session will be reset due to malformed BGP message", "Session will be reset due to malformed BGP update message",
		"Session will be reset due to malformed BGP Header":
		c.happen(event{err: "the router sent something malformed: " + attr(r, "Error")})
	}
	if logger := l.logger.V(level(r.Level)); logger.Enabled() {
		var values []any
		r.Attrs(func(a slog.Attr) bool {
			values = append(values, a.Key, a.Value.String())
			return true
		})
		logger.Info(r.Message, values...)
	}
	return nil
}

const (
	silentRouter = "the router accepts connections and says nothing"
	refusal      = "the router refused the session: does it expect this autonomous system from this address?"
)

// unexpectedInOpenSent is a subcode of RFC 6608.
const unexpectedInOpenSent = 1

func level(l slog.Level) int {
	switch {
	case l >= slog.LevelWarn:
		return 3
	case l >= slog.LevelInfo:
		return 4
	}
	return 5
}

// notification puts one in words.
func notification(r slog.Record) string {
	var code, subcode int
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "Code":
			code = int(a.Value.Int64())
		case "Subcode":
			subcode = int(a.Value.Int64())
		}
		return true
	})
	words := notificationName(uint8(code), uint8(subcode))
	if said := attr(r, "Communicated-Reason"); said != "" {
		words += ", " + strconv.Quote(said)
	}
	return words
}

func attr(r slog.Record, key string) string {
	value := ""
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == key {
			value = a.Value.String()
		}
		return a.Key != key
	})
	return value
}
