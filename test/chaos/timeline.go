package chaos

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// timeline is what happened in a round. Anybody may add to it at any time.
type timeline struct {
	mu      sync.Mutex
	started time.Time
	entries []finding
}

// begin forgets everything: a round begins.
func (t *timeline) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started, t.entries = time.Now(), nil
}

func (t *timeline) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries = append(t.entries, finding{time.Now(), fmt.Sprintf(format, args...)})
}

// with returns the timeline with what was wrong in its place, each entry in a line.
func (t *timeline) with(wrong []finding) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	entries := slices.Clone(t.entries)
	for _, w := range wrong {
		entries = append(entries, finding{w.at, "WRONG: " + w.text})
	}
	slices.SortStableFunc(entries, func(a, b finding) int { return a.at.Compare(b.at) })
	var text strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&text, "\n  %7.2fs %s", e.at.Sub(t.started).Seconds(), e.text)
	}
	return text.String()
}
