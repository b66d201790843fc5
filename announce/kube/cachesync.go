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
	// slices and sliceCache are for ClaimSlices; nil for none.
	slices     clients.ClaimSliceInterface
	sliceCache CachedClaimSlices

	running sync.WaitGroup
	cancel  context.CancelFunc
	done    chan struct{} // closed once the caches have caught up; nil while nobody has asked
}

// Announcers are those that a cache has: a Watcher has one.
type Announcers interface {
	// Announcer returns the Announcer of that name; nil if there is none.
	Announcer(name string) *v1alpha1.Announcer
}

// CachedClaimSlices are those that a cache has: a Watcher has one.
type CachedClaimSlices interface {
	// ClaimSlice returns the ClaimSlice of that name; nil if there is none.
	ClaimSlice(name string) *v1alpha1.ClaimSlice
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

// UseClaimSlices has the ClaimSlices compared as well. It is to be called before Synced.
func (c *CacheSync) UseClaimSlices(client clients.ClaimSliceInterface, cached CachedClaimSlices) {
	c.slices, c.sliceCache = client, cached
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

// object is a kind and a name.
type object struct {
	slice bool
	name  string
}

// list asks the API server for the versions of all Announcers and ClaimSlices until it answers or the context ends.
func (c *CacheSync) list(ctx context.Context) map[object]uint64 {
	for retry := syncRetry(); ; {
		versions, err := c.ask(ctx)
		if err == nil {
			return versions
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry.Step()):
		}
	}
}

func (c *CacheSync) ask(ctx context.Context) (map[object]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	announcers, err := c.client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	versions := map[object]uint64{}
	for i := range announcers.Items {
		versions[object{name: announcers.Items[i].Name}] = version(&announcers.Items[i])
	}
	if c.slices == nil {
		return versions, nil
	}
	slices, err := c.slices.List(ctx, metav1.ListOptions{})
	if refused(err) {
		return versions, nil
	} else if err != nil {
		return nil, err
	}
	for i := range slices.Items {
		versions[object{true, slices.Items[i].Name}] = version(&slices.Items[i])
	}
	return versions, nil
}

// compare reports whether the cache has earlier states than these, and whether it has
// none of some: it may not have them yet, or not any more.
func (c *CacheSync) compare(versions map[object]uint64) (behind, missing bool) {
	for o, wanted := range versions {
		switch cached, known := c.cached(o); {
		case !known:
			missing = true
		case cached < wanted:
			behind = true
		}
	}
	return behind, missing
}

// cached is the version of an object that the cache has; false for none.
func (c *CacheSync) cached(o object) (uint64, bool) {
	if o.slice {
		if s := c.sliceCache.ClaimSlice(o.name); s != nil {
			return version(s), true
		}
	} else if a := c.announcers.Announcer(o.name); a != nil {
		return version(a), true
	}
	return 0, false
}

// version of an object as a number, by which states of objects of one kind can be compared: KEP-5504.
func version(o metav1.Object) uint64 {
	n, _ := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	return n
}
