package membership

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/clarionlb/clarion/internal/notify"
)

const (
	// firstRetry and slowestRetry bound the time between two attempts to find the same peer. The attempt at somebody who
	// is off costs a few ARP requests.
	firstRetry = 250 * time.Millisecond
	maxRetry   = 5 * time.Second
	// maxJoins is how many peers are looked for at once. The first that is found knows all those that are there.
	maxJoins = 8
)

// joinState is the look-out for peers that are not in sight.
type joinState struct {
	wake notify.Signal

	mu       sync.Mutex
	peersSet bool // SetPeers has been called
	peers    map[string]netip.Addr
}

func newJoinState() joinState { return joinState{wake: notify.New()} }

// SetPeers tells who should be there, by name and address; this member may be among them. Peers that are not in sight at
// their address are looked for until they are; others that are not in sight are forgotten. It never blocks.
func (c *Cluster) SetPeers(peers map[string]netip.Addr) {
	peers = maps.Clone(peers)
	delete(peers, c.config.Name)
	c.joins.mu.Lock()
	c.joins.peersSet, c.joins.peers = true, peers
	c.joins.mu.Unlock()
	c.mu.Lock()
	maps.DeleteFunc(c.members, func(name string, m *member) bool {
		_, expected := peers[name]
		return !m.alive && !expected
	})
	c.mu.Unlock()
	c.joins.wake.Notify()
}

// joinAttempt is the search for one peer.
type joinAttempt struct {
	address netip.Addr
	began   time.Time
	tried   bool // attempts have come to nothing
	running bool
	found   bool          // it was in sight
	pause   time.Duration // after the next attempt
	next    time.Time     // when the next attempt is due
}

// joinPeers looks for peers with join until the context ends and all attempts have.
func (c *Cluster) joinPeers(ctx context.Context, join func(name string, address netip.Addr) error) {
	quests := map[string]*joinAttempt{}
	type attempt struct {
		quest *joinAttempt
		name  string
		err   error
	}
	ended := make(chan attempt)
	running := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			for ; running > 0; running-- {
				<-ended
			}
			return
		case <-c.joins.wake:
		case <-timer.C:
		case a := <-ended:
			running--
			a.quest.running = false
			// One that answers in a key that is not known here is there, and known as soon as keys have changed.
			strange := a.err != nil && cannotDecrypt(a.err.Error())
			a.quest.tried = !strange || time.Since(a.quest.began) > c.keys.promoteAfter
			if strange {
				c.noteRejected(a.quest.address)
			}
			a.quest.next = time.Now().Add(a.quest.pause + rand.N(a.quest.pause/4))
			a.quest.pause = min(2*a.quest.pause, maxRetry)
			if a.err != nil {
				c.config.Logger.V(2).Info("An announcer does not answer", "node", a.name, "address", a.quest.address, "err", a.err)
			}
		}

		c.joins.mu.Lock()
		told, peers := c.joins.peersSet, c.joins.peers
		c.joins.mu.Unlock()
		for name, q := range quests {
			if peers[name] != q.address {
				delete(quests, name)
			}
		}
		complete := told
		var next time.Time
		for name, address := range peers {
			q := quests[name]
			if q == nil {
				q = &joinAttempt{address: address, began: time.Now(), pause: firstRetry}
				quests[name] = q
			}
			if c.aliveAt(name, address) {
				q.pause, q.found = firstRetry, true
				continue
			}
			if q.found {
				// One that only was slow objects when it hears that it is dead, and one that has been started again looks for the
				// others itself. All of them calling it at once would make it slower still.
				q.found, q.next = false, time.Now().Add(firstRetry+rand.N(firstRetry))
			}
			complete = complete && q.tried
			if q.running || running == maxJoins {
				continue
			}
			if wait := time.Until(q.next); wait > 0 {
				if next.IsZero() || q.next.Before(next) {
					next = q.next
				}
				continue
			}
			q.running = true
			running++
			go func() { ended <- attempt{q, name, join(name, address)} }()
		}
		if complete {
			select {
			case <-c.joined:
			default:
				close(c.joined)
			}
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}
