package membership

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clarionlb/clarion/internal/gossipkey"
	"github.com/clarionlb/clarion/internal/notify"
)

const (
	// promoteAfter is how long a new key is only accepted before it is used. All members watch the same Secret and hear of a
	// change within a second. One whose watch broke at that moment hears of it when the watch is up again, which client-go
	// first tries after 0.8 to 1.6 s, then after twice as long. Whoever is later is taken for dead by nobody, but sees the
	// others again only when it has the key.
	promoteAfter = 5 * time.Second
	// retireAfter is how long replaced keys are still accepted after the new one is in use, for those who are late.
	retireAfter = time.Minute
)

// keys are those that this member knows. The newest goes from accepted to used to alone, so that members which hear of it at
// different times understand each other all the time. Another key in the meantime starts that again; those before it stay
// accepted until the newest is alone, because somebody may use any of them.
type keys struct {
	promoteAfter, retireAfter time.Duration
	// ring is memberlist's. It must be given only keys to remove that come last: it may be reading those behind them.
	ring    *memberlist.Keyring
	changed notify.Signal

	mu     sync.Mutex
	newest []byte
	stage  stage
	due    time.Time // of the next stage
}

// stage is how far a change of keys has got.
type stage int

const (
	single    stage = iota // nothing but the newest key is known
	installed              // the newest is accepted, another one is used
	primary                // the newest is used, others are accepted
)

func newKeys() keys {
	return keys{
		promoteAfter: promoteAfter,
		retireAfter:  retireAfter,
		ring:         &memberlist.Keyring{},
		changed:      notify.New(),
	}
}

// SetKey changes the key without losing sight of members that hear of the change some seconds earlier or later. The first key
// is used at once. A key that is the newest already changes nothing. One that gossipkey.Check refuses is an error, and changes
// nothing either.
func (c *Cluster) SetKey(key []byte) error { return c.keys.set(key, time.Now()) }

func (k *keys) set(key []byte, now time.Time) error {
	if err := gossipkey.Check(key); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if bytes.Equal(key, k.newest) {
		return nil
	}
	first := k.newest == nil
	k.newest = bytes.Clone(key)
	if err := k.ring.AddKey(k.newest); err != nil {
		return err
	}
	if !first {
		k.stage, k.due = installed, now.Add(k.promoteAfter)
		k.changed.Notify()
	}
	return nil
}

// advance does what is due and returns when it wants to be called again, zero for never.
func (k *keys) advance(now time.Time) (next time.Time, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stage == single {
		return time.Time{}, nil
	}
	if now.Before(k.due) {
		return k.due, nil
	}
	if k.stage == installed {
		k.stage, k.due = primary, now.Add(k.retireAfter)
		return k.due, k.ring.UseKey(k.newest)
	}
	k.stage = single
	for all := k.ring.GetKeys(); len(all) > 1; all = k.ring.GetKeys() {
		if err := k.ring.RemoveKey(all[len(all)-1]); err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, nil
}

// rotateKeys changes keys when it is time, until the context ends.
func (c *Cluster) rotateKeys(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.keys.changed:
		case <-timer.C:
		}
		next, err := c.keys.advance(time.Now())
		if err != nil {
			c.config.Logger.Error(err, "Cannot change the key of the gossip")
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}
