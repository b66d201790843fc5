package kube

import (
	"context"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

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

// syncInterval is the time between two looks at the cache, and syncTimeout how long a question to the
// API server may take.
const (
	syncInterval = 100 * time.Millisecond
	syncTimeout  = time.Second
)

// syncRetry is how long to wait after a question to the API server that was not answered: all nodes
// may ask it at the same time.
func syncRetry() wait.Backoff {
	return wait.Backoff{Duration: syncInterval, Factor: 2, Jitter: 0.2, Steps: 5, Cap: time.Second}
}

// NewCacheSync returns a CacheSync that asks the API through a client and compares with a cache.
func NewCacheSync(client clients.AnnouncerInterface, announcers Announcers) *CacheSync {
	return &CacheSync{client: client, announcers: announcers, changed: notify.New()}
}

// Synced reports whether the cache has had, at some time since the last Reset, everything that the
// API server had then. If not, the node waits for that until the context ends, and Changed receives
// when it has. The API server is asked once, if it answers.
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
		again := syncRetry()
		for versions := c.list(ctx); ctx.Err() == nil; {
			pause := syncInterval
			switch behind, missing := c.compare(versions); {
			case !behind && !missing:
				close(done)
				c.changed.Notify()
				return
			case !behind: // what is missing was deleted since, perhaps
				pause, versions = again.Step(), c.list(ctx)
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
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

// list asks the API server for the versions of all Announcers until it answers or the context ends.
func (c *CacheSync) list(ctx context.Context) map[string]uint64 {
	for retry := syncRetry(); ; {
		list, err := func() (*v1alpha1.AnnouncerList, error) {
			ctx, cancel := context.WithTimeout(ctx, syncTimeout)
			defer cancel()
			return c.client.List(ctx, metav1.ListOptions{})
		}()
		if err == nil {
			versions := map[string]uint64{}
			for i := range list.Items {
				versions[list.Items[i].Name] = version(&list.Items[i])
			}
			return versions
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry.Step()):
		}
	}
}

// compare reports whether the cache has earlier states of Announcers than these, and whether it has
// none of some: it may not have them yet, or not any more.
func (c *CacheSync) compare(versions map[string]uint64) (behind, missing bool) {
	for name, wanted := range versions {
		switch cached := c.announcers.Announcer(name); {
		case cached == nil:
			missing = true
		case version(cached) < wanted:
			behind = true
		}
	}
	return behind, missing
}

// version of an object as a number, by which states of objects of one kind can be compared: KEP-5504.
func version(a *v1alpha1.Announcer) uint64 {
	n, _ := strconv.ParseUint(a.ResourceVersion, 10, 64)
	return n
}
