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

// CacheSync finds out when a node that was cut off knows again what the others have claimed meanwhile: its watches take a
// while to come back, and until then tell nothing.
type CacheSync struct {
	client  clients.AnnouncerInterface
	known   func(name string) *v1alpha1.Announcer
	changed notify.Signal

	running sync.WaitGroup
	cancel  context.CancelFunc
	done    chan struct{} // closed once all is known
}

func NewCacheSync(client clients.AnnouncerInterface, watcher *Watcher) *CacheSync {
	return &CacheSync{client: client, known: watcher.Announcer, changed: notify.New()}
}

// Synced reports whether the node has known everything that the API server said at some time since the last lapse. Changed
// receives when it has; until then the node keeps asking, until the context ends.
func (f *CacheSync) Synced(ctx context.Context) bool {
	if f.done == nil {
		ctx, f.cancel = context.WithCancel(ctx)
		done := make(chan struct{})
		f.done = done
		f.running.Go(func() {
			for !f.caughtUp(ctx) {
				select {
				case <-ctx.Done():
					return
				case <-time.After(100 * time.Millisecond):
				}
			}
			close(done)
			f.changed.Notify()
		})
	}
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// Changed receives when Synced has become true.
func (f *CacheSync) Changed() <-chan struct{} { return f.changed }

// Wait returns when nothing is asked any more, after the context of Synced has ended.
func (f *CacheSync) Wait() { f.running.Wait() }

// Reset forgets what was reached.
func (f *CacheSync) Reset() {
	if f.done != nil {
		f.cancel()
		f.done = nil
	}
}

// caughtUp asks the API server for the state of all Announcers, and reports whether the node knows that or a later one.
func (f *CacheSync) caughtUp(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	list, err := f.client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return false
	}
	for i := range list.Items {
		known := f.known(list.Items[i].Name)
		if known == nil || version(known) < version(&list.Items[i]) {
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
