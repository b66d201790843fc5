package membership

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/notify"
)

const (
	// firstRetry and maxRetry bound the time between two attempts to join the same peer. An attempt
	// at a host that is off costs a few ARP requests.
	firstRetry = 250 * time.Millisecond
	maxRetry   = 5 * time.Second
	// maxJoins is how many attempts are under way at a time. The first peer that answers knows all
	// that are alive.
	maxJoins = 8
)

// joinState is what joinPeers is to do.
type joinState struct {
	wake notify.Signal

	mu       sync.Mutex
	peersSet bool // SetPeers has been called
	peers    map[string]netip.Addr
	// heard are members that were dead and have sent a message since the last get.
	heard map[string]bool
}

func newJoinState() joinState { return joinState{wake: notify.New()} }

func (s *joinState) get() (peersSet bool, peers map[string]netip.Addr, heard map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard, s.heard = s.heard, nil
	return s.peersSet, s.peers, heard
}

// noteHeard has a member joined soon that has sent a message, if it is taken for dead: it does not know that until it is told.
func (c *Cluster) noteHeard(name string) {
	c.mu.Lock()
	m := c.members[name]
	dead := m != nil && !m.alive
	c.mu.Unlock()
	if !dead {
		return
	}
	c.joins.mu.Lock()
	defer c.joins.mu.Unlock()
	if c.joins.heard == nil {
		c.joins.heard = map[string]bool{}
	}
	c.joins.heard[name] = true
	c.joins.wake.Notify()
}

// SetPeers says which members should be there, by name and address; this one may be among them. The
// Cluster tries to join each of them until it is alive at its address. Others that are not alive
// are forgotten. It never blocks.
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

// joinAttempt is the attempt to join one peer, with all its retries.
type joinAttempt struct {
	name    string
	address netip.Addr
	began   time.Time
	// tried says that Joined does not wait for the peer: it did not answer, or has answered with an
	// unknown key for too long.
	tried    bool
	running  bool
	wasAlive bool
	pause    time.Duration // after the next try
	last     time.Time     // when the last try began
	next     time.Time     // when the next try is due
}

// hasten has the next try come soon, since the peer is there. Many may have heard it, so they come one after the other, and the first
// one is enough for all. It is not called more often than one that has just died.
func (a *joinAttempt) hasten(peers int) {
	soon := time.Now().Add(rand.N(min(firstRetry, time.Duration(peers)*time.Millisecond)))
	if earliest := a.last.Add(firstRetry); soon.Before(earliest) {
		soon = earliest
	}
	if soon.Before(a.next) {
		a.next = soon
	}
}

// joiner is the state of joinPeers.
type joiner struct {
	*Cluster
	join     func(name string, address netip.Addr) error
	attempts map[string]*joinAttempt
	running  int
	results  chan joinResult
}

type joinResult struct {
	attempt *joinAttempt
	err     error
}

// joinPeers calls join for peers that are not alive. It returns when the context has ended and no
// call is under way any more.
func (c *Cluster) joinPeers(ctx context.Context, join func(name string, address netip.Addr) error) {
	j := joiner{Cluster: c, join: join, attempts: map[string]*joinAttempt{}, results: make(chan joinResult)}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			for ; j.running > 0; j.running-- {
				<-j.results
			}
			return
		case <-c.joins.wake:
		case <-timer.C:
		case r := <-j.results:
			j.handle(r)
		}
		if next := j.tryAll(); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// handle notes how a try ended, and when the next one is due.
func (j *joiner) handle(r joinResult) {
	a := r.attempt
	j.running--
	a.running = false
	// A peer that answers with an unknown key is there, and will be alive as soon as keys have been
	// rotated.
	unknownKey := r.err != nil && cannotDecrypt(r.err.Error())
	a.tried = !unknownKey || time.Since(a.began) > j.keys.promoteAfter
	if unknownKey {
		j.noteRejected(a.address)
	}
	a.next = time.Now().Add(a.pause + rand.N(a.pause/4))
	a.pause = min(2*a.pause, maxRetry)
	if r.err != nil {
		j.config.Logger.V(4).Info("Cannot join an announcer", "node", a.name, "address", a.address, "err", r.err)
	}
}

// tryAll starts the tries that are due, and closes joined if no peer has to be waited for. It
// returns when it is to be called again if nothing happens until then; zero for never.
func (j *joiner) tryAll() (next time.Time) {
	complete, peers, heard := j.joins.get()
	maps.DeleteFunc(j.attempts, func(name string, a *joinAttempt) bool { return peers[name] != a.address })
	for name, address := range peers {
		a := j.attempts[name]
		if a == nil {
			a = &joinAttempt{name: name, address: address, began: time.Now(), pause: firstRetry}
			j.attempts[name] = a
		}
		if j.aliveAt(name, address) {
			a.pause, a.wasAlive = firstRetry, true
			continue
		}
		if a.wasAlive {
			// A member that was only slow refutes the news of its death, and one that has been
			// started again joins the others itself. If all of them called it at once, it would
			// become slower still.
			a.wasAlive, a.next = false, time.Now().Add(firstRetry+rand.N(firstRetry))
		}
		if heard[name] {
			a.hasten(len(peers))
		}
		complete = complete && a.tried
		if a.running || j.running == maxJoins {
			continue
		}
		if time.Until(a.next) > 0 {
			if next.IsZero() || a.next.Before(next) {
				next = a.next
			}
			continue
		}
		j.start(a)
	}
	if complete {
		j.markJoined()
	}
	return next
}

func (j *joiner) start(a *joinAttempt) {
	a.running, a.last = true, time.Now()
	j.running++
	go func() {
		j.results <- joinResult{a, guard.Try("gossip", a.name, func() error { return j.join(a.name, a.address) })}
	}()
}

func (j *joiner) markJoined() {
	select {
	case <-j.joined:
	default:
		close(j.joined)
	}
}
