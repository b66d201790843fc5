package provider

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// patience is how long Services wait for something at most.
type patience struct {
	most time.Duration

	mu sync.Mutex
	// since is when Services began to wait, by their UIDs.
	since map[types.UID]time.Time
}

func newPatience(most time.Duration) *patience {
	return &patience{most: most, since: map[types.UID]time.Time{}}
}

// left says how much longer a Service waits, which has begun with the first call; 0 if it has waited for long enough.
func (p *patience) left(uid types.UID, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	since, waits := p.since[uid]
	if !waits {
		since = now
		p.since[uid] = now
	}
	return max(0, since.Add(p.most).Sub(now))
}

// forget has a Service that has what it waited for, or is gone, wait no more.
func (p *patience) forget(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.since, uid)
}
