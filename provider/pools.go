package provider

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
	listers "github.com/clarionlb/clarion/client/listers/api/v1alpha1"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/loadbalancer"
)

const (
	// statusDelay is how long changes of a pool's counts are collected before they are written: a thousand new Services
	// cost each pool a few writes.
	statusDelay = 200 * time.Millisecond
	// retryDelay is how long a status that could not be written waits for the next try.
	retryDelay = time.Second
)

// poolKeeper tells the allocator about pools and namespaces and writes the status of the pools.
type poolKeeper struct {
	allocator *loadbalancer.Allocator
	feed      *serviceFeed
	client    versioned.Interface
	pools     listers.IPAddressPoolLister

	// specs and counts wake run: pools were edited, or what they hold may have changed.
	specs, counts chan struct{}
}

func newPoolKeeper(allocator *loadbalancer.Allocator, feed *serviceFeed) *poolKeeper {
	return &poolKeeper{allocator: allocator, feed: feed, specs: make(chan struct{}, 1), counts: make(chan struct{}, 1)}
}

func (k *poolKeeper) poolsChanged()  { wake(k.specs) }
func (k *poolKeeper) countsChanged() { wake(k.counts) }

// wake leaves a signal in a channel of capacity one, if there is none yet.
func wake(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

func (k *poolKeeper) namespaceSet(obj any) {
	if namespace, ok := obj.(*corev1.Namespace); ok {
		k.feed.poke(k.allocator.SetNamespace(time.Now(), namespace.Name, namespace.Labels)...)
	}
}

func (k *poolKeeper) namespaceDeleted(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	if namespace, ok := obj.(*corev1.Namespace); ok {
		k.feed.poke(k.allocator.DeleteNamespace(time.Now(), namespace.Name)...)
	}
}

// run follows the changes until the context ends.
func (k *poolKeeper) run(ctx context.Context) {
	k.countsChanged()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.specs:
			k.syncPools()
			k.countsChanged()
			continue
		case <-k.counts:
		}
		delay := statusDelay
		if !k.writeStatuses(ctx) {
			k.countsChanged()
			delay = retryDelay
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
	}
}

// syncPools hands the pools, as they are now, to the allocator.
func (k *poolKeeper) syncPools() {
	pools, err := k.pools.List(labels.Everything())
	if err != nil {
		klog.ErrorS(err, "Cannot list the pools") // a lister does not fail
		return
	}
	k.feed.poke(k.allocator.SetPools(time.Now(), pools)...)
}

// writeStatuses writes the status of every pool where it is not what the allocator says, and reports whether all that
// could be written was.
func (k *poolKeeper) writeStatuses(ctx context.Context) bool {
	pools, err := k.pools.List(labels.Everything())
	if err != nil {
		return false
	}
	done := true
	statuses := k.allocator.PoolStatuses(time.Now())
	for _, pool := range pools {
		state, ok := statuses[pool.Name]
		if !ok {
			continue // not synced yet: a signal is on its way
		}
		status := poolStatus(pool, state)
		if apiequality.Semantic.DeepEqual(status, pool.Status) {
			continue
		}
		updated := pool.DeepCopy()
		updated.Status = status
		_, err := k.client.ClarionV1alpha1().IPAddressPools().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
		switch {
		case err == nil || apierrors.IsNotFound(err):
		case apierrors.IsConflict(err):
			done = false
		default:
			klog.FromContext(ctx).Error(err, "Cannot write the status of a pool", "pool", klog.KObj(pool))
			done = false
		}
	}
	return done
}

// poolStatus returns the status that a pool is to have.
func poolStatus(pool *v1alpha1.IPAddressPool, state loadbalancer.PoolStatus) v1alpha1.IPAddressPoolStatus {
	status := v1alpha1.IPAddressPoolStatus{IPv4: state.IPv4, IPv6: state.IPv6, Conditions: slices.Clone(pool.Status.Conditions)}
	ready := metav1.Condition{
		Type:               v1alpha1.ConditionReady,
		Status:             metav1.ConditionFalse,
		Reason:             state.Reason,
		Message:            state.Message,
		ObservedGeneration: pool.Generation,
	}
	if state.Ready {
		ready.Status = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&status.Conditions, ready)
	return status
}
