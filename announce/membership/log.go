package membership

import (
	"bytes"
	"net/netip"
	"strings"
)

// logWriter passes memberlist's log on. A member that is not alive causes several lines a second,
// and the Cluster itself logs what they amount to, so even memberlist's errors get a high
// verbosity. Rejected senders are the exception: memberlist tells of them nowhere but in its log.
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

// cannotDecrypt says whether memberlist writes about gossip that no known key decrypts, or that was
// not encrypted at all.
func cannotDecrypt(text string) bool {
	return strings.HasPrefix(text, "Decrypt packet failed") ||
		strings.Contains(text, "no installed keys could decrypt the message") ||
		strings.Contains(text, "remote state is not encrypted")
}

// sender returns the address at the end of a line of memberlist's log.
func sender(text string) (netip.Addr, bool) {
	_, from, _ := strings.Cut(text, " from=")
	address, err := netip.ParseAddrPort(from)
	return address.Addr().Unmap(), err == nil
}
