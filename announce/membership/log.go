package membership

import (
	"bytes"
	"net/netip"
	"strings"
	"time"
)

// logWriter passes memberlist's log on. Whoever is out of sight causes several lines a second, and what they amount to is
// told by the Cluster; so even its errors are for those who look closer. Strangers are the exception: they are known from
// nothing but the log.
type logWriter struct{ *Cluster }

// Write takes one line.
func (w logWriter) Write(line []byte) (int, error) {
	text := bytes.TrimSpace(line)
	level := 4
	for _, known := range []struct {
		prefix string
		level  int
	}{{"[ERR] ", 3}, {"[WARN] ", 3}, {"[INFO] ", 4}, {"[DEBUG] ", 5}} {
		if rest, ok := bytes.CutPrefix(text, []byte(known.prefix)); ok {
			text, level = rest, known.level
			break
		}
	}
	text = bytes.TrimPrefix(text, []byte("memberlist: "))
	if logger := w.config.Logger.V(level); logger.Enabled() {
		logger.Info(string(text))
	}
	if cannotDecrypt(string(text)) {
		if from, ok := sender(string(text)); ok {
			w.noteRejected(from)
		}
	}
	return len(line), nil
}

// cannotDecrypt says whether this text of memberlist is about something that no key opens, or that was not encrypted at all.
func cannotDecrypt(text string) bool {
	return strings.HasPrefix(text, "Decrypt packet failed") ||
		strings.Contains(text, "no installed keys could decrypt the message") ||
		strings.Contains(text, "remote state is not encrypted")
}

// sender returns the address at the end of a line of memberlist's.
func sender(text string) (netip.Addr, bool) {
	_, from, _ := strings.Cut(text, " from=")
	address, err := netip.ParseAddrPort(from)
	return address.Addr().Unmap(), err == nil
}

// noteRejected says once that somebody is not understood.
func (c *Cluster) noteRejected(address netip.Addr) {
	if c.rejected.add(address, time.Now()) {
		c.config.Logger.Info("Gossip arrives that is encrypted with another key or not at all; it is ignored", "from", address)
		c.changed.Notify()
	}
}
