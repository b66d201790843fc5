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
	// promoteAfter is how long a new key only decrypts, until it becomes the primary key and
	// encrypts too. All members watch the same Secret and learn of a change within a second. A
	// member whose watch broke at that moment learns of it when the watch is up again: client-go
	// first tries after 0.8 to 1.6 s, then after twice as long. If a member is even later, the
	// others do not take it for dead, but it finds no others alive until it has the key.
	promoteAfter = 5 * time.Second
	// retireAfter is how long replaced keys still decrypt after the new one has become the primary
	// key, for late members.
	retireAfter = time.Minute
)

// keys are the keys that this member knows. A rotation installs the newest key, then makes it the
// primary one, and at last removes the others. So members that learn of a key at different times
// can decrypt each other's gossip all the time. If another key comes meanwhile, the rotation starts
// again. The older keys stay until its end, because some member may still encrypt with any of them.
type keys struct {
	promoteAfter, retireAfter time.Duration
	// ring is memberlist's. Only its last key may be removed at a time: memberlist may be reading
	// those behind a removed one.
	ring    *memberlist.Keyring
	changed notify.Signal

	mu     sync.Mutex
	newest []byte
	stage  stage
	due    time.Time // of the next stage
}

// stage is how far the rotation to the newest key has got.
type stage int

const (
	single    stage = iota // the newest key is the only one
	installed              // the newest key decrypts, and an older one is the primary key
	primary                // the newest key is the primary one, and older ones still decrypt
)

func newKeys() keys {
	return keys{
		promoteAfter: promoteAfter,
		retireAfter:  retireAfter,
		ring:         &memberlist.Keyring{},
		changed:      notify.New(),
	}
}

// SetKey rotates to another key. Members that learn of the key some seconds earlier or later stay
// alive to each other. The first key is used at once. A key that is the newest already changes
// nothing. It returns an error for a key that gossipkey.Check refuses, and keeps the keys that it
// has.
func (c *Cluster) SetKey(key []byte) error { return c.keys.set(key, time.Now()) }

// Keys are those that this member knows: the one that it encrypts with, and then others that others may still encrypt with.
func (c *Cluster) Keys() [][]byte { return c.keys.ring.GetKeys() }

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

// advance takes the next step of the rotation if it is due. It returns when to call it again; zero
// for never.
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

// rotateKeys takes the steps of rotations when they are due, until the context ends.
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
			c.config.Logger.Error(err, "Cannot rotate the key of the gossip")
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}
