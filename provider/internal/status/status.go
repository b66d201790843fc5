// Package status has what the provider's controllers that write a status share.
package status

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// RetryDelay is how long a status that could not be written waits for the next try.
const RetryDelay = time.Second

// ReadyCondition is the Ready condition with a reason: it is true if that is v1alpha1.ReasonValid.
func ReadyCondition(reason, message string, generation int64) metav1.Condition {
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

// LogChanges logs the conditions of an object that have become others: one line for each. Transition times and messages alone are
// no change. It is called when the status has been written.
func LogChanges(ctx context.Context, kind, name string, before, after []metav1.Condition) {
	for _, is := range after {
		was := meta.FindStatusCondition(before, is.Type)
		if was == nil || was.Status != is.Status || was.Reason != is.Reason {
			klog.FromContext(ctx).Info("A condition has changed", "kind", kind, "name", name,
				"condition", is.Type, "status", is.Status, "reason", is.Reason, "message", is.Message)
		}
	}
}

// Written tells from the error of a status write whether it needs no other try: it was made, or the
// object is gone. Errors are logged, but for a conflict: a newer version of the object is on its
// way.
func Written(ctx context.Context, err error, object klog.KMetadata) bool {
	if err == nil || apierrors.IsNotFound(err) {
		return true
	}
	if !apierrors.IsConflict(err) {
		klog.FromContext(ctx).Error(err, "Cannot write a status", "object", klog.KObj(object))
	}
	return false
}
