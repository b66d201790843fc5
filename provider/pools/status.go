package pools

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
	"github.com/clarionlb/clarion/provider/internal/status"
)

// writeStatuses writes the status of every pool and reservation where it is not what it should be,
// and reports whether all that could be written was. Objects that the allocator was not told yet
// are left out: they are about to wake Run.
func (c *Controller) writeStatuses(ctx context.Context) bool {
	done := true
	api := c.client.ClarionV1alpha1()
	states := c.allocator.PoolStatuses(time.Now())
	announcers, nodes, routed := listed(c.announcers.List), listed(c.nodes.List), listed(c.routed.List)
	for _, pool := range listed(c.pools.List) {
		state, known := states[pool.Name]
		if !known || !c.synced[versionOf(pool)] {
			continue
		}
		state = WithReach(state, pool, announcers, nodes, routed)
		pool, err := c.keepWhileInUse(ctx, pool, state.InUse)
		if err != nil {
			done = status.Written(ctx, err, pool) && done
			continue
		}
		updated := pool.DeepCopy()
		updated.Status = poolStatus(pool, state)
		if apiequality.Semantic.DeepEqual(updated.Status, pool.Status) {
			continue
		}
		_, err = api.IPAddressPools().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
		done = status.Written(ctx, err, pool) && done
		if err == nil {
			status.LogChanges(ctx, "IPAddressPool", pool.Name, pool.Status.Conditions, updated.Status.Conditions)
		}
	}
	for _, reservation := range listed(c.reservations.List) {
		state, known := c.reserved[reservation.Name]
		if !known || !c.synced[versionOf(reservation)] {
			continue
		}
		updated := reservation.DeepCopy()
		updated.Status.AppliedSpec = c.reader.lastGood[reservation.UID].DeepCopy()
		meta.SetStatusCondition(&updated.Status.Conditions, status.ReadyCondition(state.reason, state.message, reservation.Generation))
		if apiequality.Semantic.DeepEqual(updated.Status, reservation.Status) {
			continue
		}
		_, err := api.IPAddressReservations().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
		done = status.Written(ctx, err, reservation) && done
		if err == nil {
			status.LogChanges(ctx, "IPAddressReservation", reservation.Name, reservation.Status.Conditions, updated.Status.Conditions)
		}
	}
	return done
}

// keepWhileInUse gives a pool of which Services have addresses the finalizer that keeps it from being
// deleted under them, and takes that away when none has. It returns the pool as it is then, also with
// an error.
func (c *Controller) keepWhileInUse(ctx context.Context, pool *v1alpha1.IPAddressPool, inUse bool) (*v1alpha1.IPAddressPool, error) {
	kept := slices.Contains(pool.Finalizers, v1alpha1.FinalizerPoolInUse)
	if kept == inUse || inUse && pool.DeletionTimestamp != nil { // a finalizer cannot be added any more
		return pool, nil
	}
	finalizers := slices.DeleteFunc(slices.Clone(pool.Finalizers), func(f string) bool { return f == v1alpha1.FinalizerPoolInUse })
	if inUse {
		finalizers = append(finalizers, v1alpha1.FinalizerPoolInUse)
	}
	// With the version, so that no finalizer that somebody else has set meanwhile is lost.
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": pool.ResourceVersion, "finalizers": finalizers}})
	if err != nil {
		return pool, err
	}
	patched, err := c.client.ClarionV1alpha1().IPAddressPools().Patch(ctx, pool.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return pool, err
	}
	return patched, nil
}

// poolStatus is the status that a pool is to have.
func poolStatus(pool *v1alpha1.IPAddressPool, state loadbalancer.PoolStatus) v1alpha1.IPAddressPoolStatus {
	s := v1alpha1.IPAddressPoolStatus{
		IPv4:          state.IPv4,
		IPv6:          state.IPv6,
		AppliedSpec:   state.AppliedSpec.DeepCopy(),
		Contested:     state.Contested,
		AwaitingReuse: state.AwaitingReuse,
		Conditions:    slices.Clone(pool.Status.Conditions),
	}
	meta.SetStatusCondition(&s.Conditions, status.ReadyCondition(state.Reason, state.Message, pool.Generation))
	return s
}
