package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	servicehelpers "k8s.io/cloud-provider/service/helpers"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/provider/internal/status"
)

// relay writes a status patch of the service controller, with what belongs with it (see amend). The
// controller need not remove again what is gone.
func (w *conditionWriter) relay(ctx context.Context, services typedcorev1.ServiceInterface, name types.NamespacedName, data []byte) (*corev1.Service, error) {
	var patch status.ServicePatch
	if err := json.Unmarshal(data, &patch); err != nil {
		return nil, fmt.Errorf("decode the patch of Service %s: %w", name, err)
	}
	known, err := w.known(name)
	if err != nil {
		return nil, err
	}
	if removesFinalizer(patch) {
		patched, err := w.patch(ctx, services, known, w.amend(known, patch), w.standsRemoval)
		if errors.Is(err, status.ErrGivenAway) {
			return known, nil
		}
		return patched, err
	}
	return w.patch(ctx, services, known, w.finalize(known, w.amend(known, patch)), w.standsAnswer(known))
}

// amend adds to a status patch of the service controller what belongs with it: the answer that
// travels to one that writes the load balancer, and the removal of the condition to one that removes
// the finalizer. The patches are made by k8s.io/cloud-provider's service/helpers PatchService.
func (w *conditionWriter) amend(known *corev1.Service, patch status.ServicePatch) status.ServicePatch {
	if patch.Status == nil {
		patch.Status = map[string]any{}
	}
	if patch.Metadata == nil {
		patch.Metadata = map[string]any{}
	}
	_, writesLoadBalancer := patch.Status["loadBalancer"]
	name := nameOf(known)
	w.mu.Lock()
	said := w.answers[name]
	if said.travels {
		w.answers[name] = answer{uid: said.uid, condition: said.condition}
	}
	w.mu.Unlock()
	switch {
	case removesFinalizer(patch):
		patch.Status["conditions"] = []map[string]any{{"$patch": "delete", "type": v1alpha1.ConditionAddressAssigned}}
	case writesLoadBalancer && said.travels:
		patch.Metadata["uid"] = said.uid
		patch.Status["conditions"] = []metav1.Condition{said.condition}
	}
	return patch
}

// removesFinalizer says whether a patch removes the finalizer of load balancers. A list that loses its last element is patched as a
// whole.
func removesFinalizer(patch status.ServicePatch) bool {
	left, written := patch.Metadata["finalizers"]
	removes, _ := patch.Metadata["$deleteFromPrimitiveList/finalizers"].([]any)
	return written && left == nil || slices.Contains(removes, any(servicehelpers.LoadBalancerCleanupFinalizer))
}

// finalize adds the finalizer to a patch of a Service that Clarion serves and that lacks it, and the mark if neither the Service nor the
// patch has an answer: whoever finds the finalizer knows whose it is.
func (w *conditionWriter) finalize(known *corev1.Service, patch status.ServicePatch) status.ServicePatch {
	if servicehelpers.HasLBFinalizer(known) || known.DeletionTimestamp != nil || !w.scope.Wants(known) {
		return patch
	}
	if patch.Metadata == nil {
		patch.Metadata = map[string]any{}
	}
	patch.Metadata["finalizers"] = []string{servicehelpers.LoadBalancerCleanupFinalizer}
	if _, answers := patch.Status["conditions"]; !answers && !scope.Marked(known) {
		patch.Status["conditions"] = []metav1.Condition{scope.TakenUp(metav1.Now())}
	}
	return patch
}

// standsAnswer says of a Service that was known in this state whether it is to be told what it has when it is in another one:
// somebody may have given it to another load balancer. Who removes the mark alone has not.
func (w *conditionWriter) standsAnswer(known *corev1.Service) func(now *corev1.Service) bool {
	return func(now *corev1.Service) bool {
		return w.scope.Wants(now) || now.DeletionTimestamp != nil || w.scope.Wants(known) && w.scope.StillServed(now)
	}
}

// standsRemoval says whether the finalizer of a Service in this state is Clarion's, and of no use any
// more: another load balancer may have taken the Service over, whose finalizer is the same.
func (w *conditionWriter) standsRemoval(service *corev1.Service) bool {
	return w.scope.Left(service) || w.scope.Wants(service) && service.DeletionTimestamp != nil
}

// patch is status.PatchService, and remembers what it has written.
func (w *conditionWriter) patch(ctx context.Context, services typedcorev1.ServiceInterface, known *corev1.Service, patch status.ServicePatch, stands func(*corev1.Service) bool) (*corev1.Service, error) {
	patched, err := status.PatchService(ctx, services, known, patch, stands)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written[nameOf(patched)] = patched
	w.dropSeen(nameOf(patched))
	return patched, nil
}

// known returns the newest state of a Service that this process knows: without its own last write,
// the next one would meet a conflict.
func (w *conditionWriter) known(name types.NamespacedName) (*corev1.Service, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropSeen(name)
	if written := w.written[name]; written != nil {
		return written, nil
	}
	return w.services.Services(name.Namespace).Get(name.Name)
}

// seen drops what was written to a Service if the informer has it.
func (w *conditionWriter) seen(name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropSeen(name)
}

// dropSeen is seen with the lock held.
func (w *conditionWriter) dropSeen(name types.NamespacedName) {
	written := w.written[name]
	if written == nil {
		return
	}
	has, err := w.services.Services(name.Namespace).Get(name.Name)
	if err == nil && has.UID == written.UID {
		if order, err := resourceversion.CompareResourceVersion(has.ResourceVersion, written.ResourceVersion); err == nil && order < 0 {
			return
		}
	}
	delete(w.written, name)
}
