package informer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"k8s.io/client-go/tools/cache"
)

// Reads knows which informers could not read their objects so far, and why: a right or a CRD may be
// missing.
type Reads struct {
	mu       sync.Mutex
	failures map[string]failure
}

type failure struct {
	synced func() bool
	err    error
}

// NewReads returns Reads that know of no informer.
func NewReads() *Reads { return &Reads{failures: map[string]failure{}} }

// Of follows an informer, which has not been started, of objects that people know by this name.
func (r *Reads) Of(objects string, informer cache.SharedIndexInformer) {
	err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, reflector *cache.Reflector, err error) {
		r.Failed(objects, informer.HasSynced, err)
		cache.DefaultWatchErrorHandler(ctx, reflector, err)
	})
	if err != nil {
		panic(fmt.Sprintf("follow the errors of an informer: %v", err)) // it was started
	}
}

// Failed notes that objects could not be read, which are read once synced says so.
func (r *Reads) Failed(objects string, synced func() bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures[objects] = failure{synced, err}
}

// Err says which objects have not been read yet because of an error; nil if there are none.
func (r *Reads) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, objects := range slices.Sorted(maps.Keys(r.failures)) {
		if f := r.failures[objects]; !f.synced() {
			errs = append(errs, fmt.Errorf("%s cannot be read: %w", objects, f.err))
		}
	}
	return errors.Join(errs...)
}
