package provider

import (
	"context"
	"slices"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

// writeStatuses writes the status of every pool and reservation where it is not what it should be, and reports whether
// all that could be written was.
func (k *keeper) writeStatuses(ctx context.Context) bool {
	pools, err := k.pools.List(labels.Everything())
	if err != nil {
		return false
	}
	reservations, err := k.reservations.List(labels.Everything())
	if err != nil {
		return false
	}
	done := true
	states := k.allocator.PoolStatuses(time.Now())
	for _, pool := range pools {
		state, ok := states[pool.Name]
		if !ok || !k.synced[versionOf(pool)] {
			continue // not synced yet: a signal is on its way
		}
		status := poolStatus(pool, state)
		if apiequality.Semantic.DeepEqual(status, pool.Status) {
			continue
		}
		updated := pool.DeepCopy()
		updated.Status = status
		_, err := k.client.ClarionV1alpha1().IPAddressPools().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
		done = written(ctx, err, pool) && done
	}
	for _, reservation := range reservations {
		state, ok := k.reserved[reservation.Name]
		if !ok || !k.synced[versionOf(reservation)] {
			continue
		}
		updated := reservation.DeepCopy()
		if !meta.SetStatusCondition(&updated.Status.Conditions, readyCondition(state.reason, state.message, reservation.Generation)) {
			continue
		}
		_, err := k.client.ClarionV1alpha1().IPAddressReservations().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
		done = written(ctx, err, reservation) && done
	}
	return done
}

// written tells from the error of a status write whether it needs no other try.
func written(ctx context.Context, err error, object klog.KMetadata) bool {
	if err == nil || apierrors.IsNotFound(err) {
		return true
	}
	if !apierrors.IsConflict(err) { // a newer version is on its way
		klog.FromContext(ctx).Error(err, "Cannot write a status", "object", klog.KObj(object))
	}
	return false
}

// poolStatus returns the status that a pool is to have.
func poolStatus(pool *v1alpha1.IPAddressPool, state loadbalancer.PoolStatus) v1alpha1.IPAddressPoolStatus {
	status := v1alpha1.IPAddressPoolStatus{IPv4: state.IPv4, IPv6: state.IPv6, Conditions: slices.Clone(pool.Status.Conditions)}
	meta.SetStatusCondition(&status.Conditions, readyCondition(state.Reason, state.Message, pool.Generation))
	return status
}

// readyCondition returns the Ready condition for a reason.
func readyCondition(reason, message string, generation int64) metav1.Condition {
	condition := metav1.Condition{
		Type:               v1alpha1.ConditionReady,
		Status:             metav1.ConditionFalse,
		Reason:             reason,
		Message:            message,
		ObservedGeneration: generation,
	}
	if reason == v1alpha1.ReasonValid {
		condition.Status = metav1.ConditionTrue
	}
	return condition
}
