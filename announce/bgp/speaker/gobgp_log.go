package speaker

import (
	"context"
	"log/slog"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/guard"
)

// logReader reads what GoBGP logs. Of NOTIFICATIONs and of malformed messages it tells nothing in any
// other way, so the sentences below are part of what the tests hold against the version in use.
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

// Handle is for slog: it reads one line. GoBGP calls it with locks.
func (l *logReader) Handle(_ context.Context, r slog.Record) error {
	return guard.Try("bgp", "", func() error { return l.read(r) })
}

func (l *logReader) read(r slog.Record) error {
	c := l.connection
	switch r.Message {
	case "sent update":
		c.sent.Add(1)
		c.told.Add(routesIn(r))
		c.signal.Notify()
		return nil
	case "sent notification":
		c.emit(event{problem: bgp.Problem{Kind: bgp.NotificationSent, Notification: notification(r)}})
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

// routesIn is how many routes the UPDATE announces that a line is about.
func routesIn(r slog.Record) uint64 {
	count := 0
	r.Attrs(func(a slog.Attr) bool {
		switch value := a.Value.Any().(type) {
		case []gobgp.PathNLRI:
			if a.Key == "nlri" { // and not the withdrawals
				count += len(value)
			}
		case []gobgp.PathAttributeInterface:
			for _, attribute := range value {
				if reach, ok := attribute.(*gobgp.PathAttributeMpReachNLRI); ok {
					count += len(reach.Value)
				}
			}
		}
		return true
	})
	return uint64(count)
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
	var code, subcode uint8
	var data []byte
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "Code":
			code = uint8(a.Value.Int64())
		case "Subcode":
			subcode = uint8(a.Value.Int64())
		case "Data":
			data, _ = a.Value.Any().([]byte)
		}
		return true
	})
	n := bgp.ReadNotification(code, subcode, data)
	if reason := attr(r, "Communicated-Reason"); reason != "" { // which GoBGP has taken out of the data
		n.Reason = bgp.Printable(reason)
	}
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
