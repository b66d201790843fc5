package speaker

import (
	"context"
	"log/slog"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
)

// logReader reads what GoBGP logs. Of attempts to connect, of refusals and of the last NOTIFICATION
// it tells nothing in any other way, so the sentences below are part of what the tests hold against
// the version in use.
type logReader struct {
	connection *gobgpConnection
	logger     klog.Logger
}

// Enabled is for slog.
func (l *logReader) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs is for slog.
func (l *logReader) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup is for slog.
func (l *logReader) WithGroup(string) slog.Handler { return l }

// Handle is for slog: it reads one line.
func (l *logReader) Handle(_ context.Context, r slog.Record) error {
	c := l.connection
	switch r.Message {
	case "sent update":
		c.sent.Add(1)
		return nil
	case "outgoing connection established":
		c.emit(event{state: bgp.OpenSent})
	case "failed to connect":
		c.emit(event{problem: bgp.Problem{Kind: bgp.NoConnection, Detail: attr(r, "Error")}})
	case "outgoing connection IO error":
		c.emit(event{state: bgp.Connect, problem: bgp.Problem{Kind: bgp.ClosedBeforeOpen}})
	case "outgoing connection closing due to hold timer expired in OPEN SENT state":
		c.emit(event{state: bgp.Connect, problem: bgp.Problem{Kind: bgp.NoOpen}})
	case "sent notification":
		c.emit(event{problem: sent(notification(r))})
	case "received notification":
		c.emit(event{problem: bgp.Problem{Kind: bgp.NotificationReceived, Notification: notification(r)}})
	case "prefix limit reached":
		c.emit(event{problem: bgp.Problem{Kind: bgp.PrefixLimit}})
	case "Session will be reset due to malformed BGP message", "Session will be reset due to malformed BGP update message",
		"Session will be reset due to malformed BGP Header":
		c.emit(event{problem: bgp.Problem{Kind: bgp.MalformedMessage, Detail: attr(r, "Error")}})
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

// sent is what it means that this side has sent a NOTIFICATION.
func sent(n bgp.Notification) bgp.Problem {
	// What comes in the place of an OPEN, if not nothing, is a NOTIFICATION, which GoBGP does not read.
	if n == (bgp.Notification{Code: bgp.CodeFSMError, Subcode: bgp.SubcodeOpenSent}) {
		return bgp.Problem{Kind: bgp.Refused}
	}
	return bgp.Problem{Kind: bgp.NotificationSent, Notification: n}
}

func level(l slog.Level) int {
	switch {
	case l >= slog.LevelWarn:
		return 3
	case l >= slog.LevelInfo:
		return 4
	}
	return 5
}

// notification reads the one that a line is about.
func notification(r slog.Record) bgp.Notification {
	n := bgp.Notification{Reason: attr(r, "Communicated-Reason")}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "Code":
			n.Code = uint8(a.Value.Int64())
		case "Subcode":
			n.Subcode = uint8(a.Value.Int64())
		}
		return true
	})
	return n
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
