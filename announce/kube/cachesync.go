package kube

import (
	"context"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clients "github.com/clarionlb/clarion/client/versioned/typed/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/notify"
)

// CacheSync finds out when the caches of a node that was cut off have caught up with the API: its
// watches take a while to come back, and until then tell nothing of what others have claimed
// meanwhile. Its methods are for one goroutine.
type CacheSync struct {
	client     clients.AnnouncerInterface
	announcers Announcers
	changed    notify.Signal

	running sync.WaitGroup
	cancel  context.CancelFunc
	done    chan struct{} // closed once the caches have caught up; nil while nobody has asked
}

// Announcers are those that a cache has: a Watcher has one.
type Announcers interface {
	// Announcer returns the Announcer of that name; nil if there is none.
	Announcer(name string) *v1alpha1.Announcer
}

// syncInterval is the time between two questions to the API server, and syncTimeout how long each
// may take.
const (
	syncInterval = 100 * time.Millisecond
	syncTimeout  = time.Second
)

// NewCacheSync returns a CacheSync that asks the API through a client and compares with a cache.
func NewCacheSync(client clients.AnnouncerInterface, announcers Announcers) *CacheSync {
	return &CacheSync{client: client, announcers: announcers, changed: notify.New()}
}

// Synced reports whether the cache has had, at some time since the last Reset, everything that the
// API server had then. If not, the node goes on asking until it has or the context ends, and
// Changed receives when it has.
func (c *CacheSync) Synced(ctx context.Context) bool {
	if c.done == nil {
		c.start(ctx)
	}
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c *CacheSync) start(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(ctx)
	done := make(chan struct{})
	c.done = done
	c.running.Go(func() {
		for !c.caughtUp(ctx) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(syncInterval):
			}
		}
		close(done)
		c.changed.Notify()
	})
}

// Changed receives when Synced has become true.
func (c *CacheSync) Changed() <-chan struct{} { return c.changed }

// Wait returns when nothing is asked any more, after the context of Synced has ended.
func (c *CacheSync) Wait() { c.running.Wait() }

// Reset has the next Synced begin anew.
func (c *CacheSync) Reset() {
	if c.done != nil {
		c.cancel()
		c.done = nil
	}
}

// caughtUp asks the API server for the state of all Announcers, and reports whether the cache has
// that or a later one.
func (c *CacheSync) caughtUp(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	list, err := c.client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return false
	}
	for i := range list.Items {
		cached := c.announcers.Announcer(list.Items[i].Name)
		if cached == nil || version(cached) < version(&list.Items[i]) {
			return false
		}
	}
	return true
}

// version of an object as a number, by which states of objects of one kind can be compared: KEP-5504.
func version(a *v1alpha1.Announcer) uint64 {
	n, _ := strconv.ParseUint(a.ResourceVersion, 10, 64)
	return n
}
