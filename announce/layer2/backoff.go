package layer2

import (
	"context"
	"time"
)

// backoff spaces out attempts at something that keeps failing. Each wait is twice the one before,
// up to a limit. After an attempt that went well for longer than the limit, the waits start again
// with the first.
type backoff struct {
	first, limit time.Duration

	next  time.Duration
	since time.Time
}

// wait waits until the next attempt is due or the context ends.
func (b *backoff) wait(ctx context.Context) {
	if b.next == 0 || time.Since(b.since) > b.limit {
		b.next = b.first
	}
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	b.next = min(2*b.next, b.limit)
	b.since = time.Now()
}
