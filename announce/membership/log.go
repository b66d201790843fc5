package membership

import (
	"bytes"

	"k8s.io/klog/v2"
)

// logWriter passes memberlist's log on. Whoever is out of sight causes several lines a second, and what they amount to is
// told by the Cluster; so even its errors are for those who look closer.
type logWriter struct {
	logger klog.Logger
}

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
	if logger := w.logger.V(level); logger.Enabled() {
		logger.Info(string(bytes.TrimPrefix(text, []byte("memberlist: "))))
	}
	return len(line), nil
}
