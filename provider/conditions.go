package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	servicehelpers "k8s.io/cloud-provider/service/helpers"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// conditionWriter keeps the AddressAssigned condition of Services, with as few writes as that takes: where the service
// controller is about to write the status, the condition travels in that patch (see amend); otherwise it is written here,
// if it changes.
type conditionWriter struct {
	client typedcorev1.ServicesGetter

	mu sync.Mutex
	// pending holds what goes into the service controller's next status patch of a Service.
	pending map[types.NamespacedName]pendingCondition
}

type pendingCondition struct {
	uid       types.UID
	condition metav1.Condition
}

func newConditionWriter() *conditionWriter {
	return &conditionWriter{pending: map[types.NamespacedName]pendingCondition{}}
}

// assigned records that a Service has the addresses in status, which the service controller is about to write. It reports
// whether the condition is news.
func (w *conditionWriter) assigned(ctx context.Context, service *corev1.Service, status *corev1.LoadBalancerStatus, condition metav1.Condition) (bool, error) {
	updated, changed := withCondition(service, condition)
	if !servicehelpers.LoadBalancerStatusEqual(&service.Status.LoadBalancer, status) {
		w.mu.Lock()
		w.pending[nameOf(service)] = pendingCondition{service.UID, updated}
		w.mu.Unlock()
		return changed, nil
	}
	if !changed {
		return false, nil
	}
	return true, w.write(ctx, service, map[string]any{"conditions": []metav1.Condition{updated}})
}

// refused records that a Service cannot have what it wants. The service controller writes no status then, so this does:
// the addresses that the Service still holds, and the condition. It reports whether the condition is news.
func (w *conditionWriter) refused(ctx context.Context, service *corev1.Service, held *corev1.LoadBalancerStatus, condition metav1.Condition) (bool, error) {
	status := map[string]any{}
	if !servicehelpers.LoadBalancerStatusEqual(&service.Status.LoadBalancer, held) {
		status["loadBalancer"] = map[string]any{"ingress": held.Ingress}
	}
	updated, changed := withCondition(service, condition)
	if changed {
		status["conditions"] = []metav1.Condition{updated}
	}
	if len(status) == 0 {
		return false, nil
	}
	return changed, w.write(ctx, service, status)
}

// write patches the status of a Service, and of no later one of the same name.
func (w *conditionWriter) write(ctx context.Context, service *corev1.Service, status map[string]any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": service.UID}, "status": status})
	if err != nil {
		return fmt.Errorf("encode the status of Service %s: %w", nameOf(service), err)
	}
	_, err = w.client.Services(service.Namespace).Patch(ctx, service.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write the status of Service %s: %w", nameOf(service), err)
	}
	return nil
}

// amend adds to a status patch of the service controller what belongs with it: the pending condition to one that writes
// the load balancer, and the removal of the condition to one that removes the finalizer. Both patches are made by
// k8s.io/cloud-provider's service/helpers PatchService.
func (w *conditionWriter) amend(name types.NamespacedName, data []byte) ([]byte, error) {
	var patch struct {
		Metadata map[string]any `json:"metadata,omitempty"`
		Status   map[string]any `json:"status,omitempty"`
	}
	if err := json.Unmarshal(data, &patch); err != nil {
		return nil, fmt.Errorf("decode the patch of Service %s: %w", name, err)
	}
	if patch.Status == nil {
		patch.Status = map[string]any{}
	}
	if patch.Metadata == nil {
		patch.Metadata = map[string]any{}
	}
	_, writesLoadBalancer := patch.Status["loadBalancer"]
	// A list that loses its last element is patched as a whole.
	left, writesFinalizers := patch.Metadata["finalizers"]
	removed, _ := patch.Metadata["$deleteFromPrimitiveList/finalizers"].([]any)
	w.mu.Lock()
	pending, found := w.pending[name]
	delete(w.pending, name)
	w.mu.Unlock()
	switch {
	case writesFinalizers && left == nil, slices.Contains(removed, any(servicehelpers.LoadBalancerCleanupFinalizer)):
		patch.Status["conditions"] = []map[string]any{{"$patch": "delete", "type": v1alpha1.ConditionAddressAssigned}}
	case writesLoadBalancer && found:
		patch.Metadata["uid"] = pending.uid
		patch.Status["conditions"] = []metav1.Condition{pending.condition}
	default:
		return data, nil
	}
	return json.Marshal(patch)
}

// withCondition returns the condition with its transition time and whether it differs from the one that the Service has.
func withCondition(service *corev1.Service, condition metav1.Condition) (metav1.Condition, bool) {
	conditions := slices.Clone(service.Status.Conditions)
	changed := meta.SetStatusCondition(&conditions, condition)
	return *meta.FindStatusCondition(conditions, condition.Type), changed
}
