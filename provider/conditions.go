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
	corelisters "k8s.io/client-go/listers/core/v1"
	servicehelpers "k8s.io/cloud-provider/service/helpers"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

// conditionWriter keeps the AddressAssigned condition of Services, with as few writes as that
// takes: where the service controller is about to write the status, the condition travels in that
// patch (see amend); otherwise it is written here, if it changes.
type conditionWriter struct {
	client   typedcorev1.ServicesGetter
	services corelisters.ServiceLister

	mu sync.Mutex
	// answers holds what each Service was told last.
	answers map[types.NamespacedName]answer
}

// answer is what a Service is told.
type answer struct {
	uid       types.UID
	condition metav1.Condition
	// differs is set if the Service says something else so far, and news if it was not told this
	// before either: what it says may be out of date, or somebody else's.
	differs, news bool
	// travels is set if the condition is to go into the service controller's next status patch.
	travels bool
}

func newConditionWriter(client typedcorev1.ServicesGetter, services corelisters.ServiceLister) *conditionWriter {
	return &conditionWriter{client: client, services: services, answers: map[types.NamespacedName]answer{}}
}

// say notes what a Service is told, until forget. It writes nothing. A transition time that the
// condition has is kept; otherwise it is when the status changes.
func (w *conditionWriter) say(service *corev1.Service, condition metav1.Condition) answer {
	conditions := slices.Clone(service.Status.Conditions)
	differs := meta.SetStatusCondition(&conditions, condition) // it knows the transition time
	said := answer{uid: service.UID, condition: *meta.FindStatusCondition(conditions, condition.Type), differs: differs}
	if since := condition.LastTransitionTime; !since.IsZero() && !said.condition.LastTransitionTime.Equal(&since) {
		said.condition.LastTransitionTime, said.differs = since, true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.answers[nameOf(service)]
	said.news = said.differs && (last.uid != service.UID || !sameAnswer(last.condition, condition))
	w.answers[nameOf(service)] = said
	return said
}

func sameAnswer(a, b metav1.Condition) bool {
	return a.Status == b.Status && a.Reason == b.Reason && a.Message == b.Message
}

// forget drops what a Service was told.
func (w *conditionWriter) forget(service *corev1.Service) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answers[nameOf(service)].uid == service.UID {
		delete(w.answers, nameOf(service))
	}
}

// contradicts reports whether the condition of a Service is not what it was told: somebody else
// wrote it.
func (w *conditionWriter) contradicts(service *corev1.Service) bool {
	w.mu.Lock()
	said, found := w.answers[nameOf(service)]
	w.mu.Unlock()
	if !found || said.uid != service.UID {
		return false
	}
	has := meta.FindStatusCondition(service.Status.Conditions, said.condition.Type)
	return has == nil || !sameAnswer(*has, said.condition)
}

// assigned writes the answer to a Service that has the addresses in status. If the service
// controller is about to write these, the answer travels with them.
func (w *conditionWriter) assigned(ctx context.Context, service *corev1.Service, status *corev1.LoadBalancerStatus, said answer) error {
	if !servicehelpers.LoadBalancerStatusEqual(&service.Status.LoadBalancer, status) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.answers[nameOf(service)] == said {
			said.travels = true
			w.answers[nameOf(service)] = said
		}
		return nil
	}
	if !said.differs {
		return nil
	}
	return w.write(ctx, service, map[string]any{"conditions": []metav1.Condition{said.condition}})
}

// refused writes the answer to a Service that cannot have what it wants, and the addresses that it
// still holds: the service controller writes no status then.
func (w *conditionWriter) refused(ctx context.Context, service *corev1.Service, held *corev1.LoadBalancerStatus, said answer) error {
	status := map[string]any{}
	if !servicehelpers.LoadBalancerStatusEqual(&service.Status.LoadBalancer, held) {
		status["loadBalancer"] = map[string]any{"ingress": held.Ingress}
	}
	if said.differs {
		status["conditions"] = []metav1.Condition{said.condition}
	}
	if len(status) == 0 {
		return nil
	}
	return w.write(ctx, service, status)
}

// write patches the status of a Service, and of no later one of the same name. What could not be
// written counts as not said.
func (w *conditionWriter) write(ctx context.Context, service *corev1.Service, status map[string]any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": service.UID}, "status": status})
	if err != nil {
		return fmt.Errorf("encode the status of Service %s: %w", nameOf(service), err)
	}
	_, err = w.client.Services(service.Namespace).Patch(ctx, service.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) {
		w.forget(service)
		return fmt.Errorf("write the status of Service %s: %w", nameOf(service), err)
	}
	return nil
}

// amend adds to a status patch of the service controller what belongs with it: the answer that
// travels to one that writes the load balancer, the mark of an unanswered Service to one that adds
// the finalizer, and the removal of the condition to one that removes it. So whoever finds the
// finalizer knows whose it is. The patches are made by k8s.io/cloud-provider's service/helpers
// PatchService.
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
	added, _ := left.([]any)
	removed, _ := patch.Metadata["$deleteFromPrimitiveList/finalizers"].([]any)
	w.mu.Lock()
	said := w.answers[name]
	if said.travels {
		w.answers[name] = answer{uid: said.uid, condition: said.condition}
	}
	w.mu.Unlock()
	switch {
	case writesFinalizers && left == nil, slices.Contains(removed, any(servicehelpers.LoadBalancerCleanupFinalizer)):
		patch.Status["conditions"] = []map[string]any{{"$patch": "delete", "type": v1alpha1.ConditionAddressAssigned}}
	case slices.Contains(added, any(servicehelpers.LoadBalancerCleanupFinalizer)) && !w.marked(name):
		patch.Status["conditions"] = []metav1.Condition{scope.TakenUp(metav1.Now())}
	case writesLoadBalancer && said.travels:
		patch.Metadata["uid"] = said.uid
		patch.Status["conditions"] = []metav1.Condition{said.condition}
	default:
		return data, nil
	}
	return json.Marshal(patch)
}

// marked says whether a Service has an answer already, if only an old one.
func (w *conditionWriter) marked(name types.NamespacedName) bool {
	service, err := w.services.Services(name.Namespace).Get(name.Name)
	return err == nil && meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned) != nil
}

// takenUp says whether a Service has got the mark scope.TakenUp, and had none.
func takenUp(before, after *corev1.Service) bool {
	return meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionAddressAssigned) == nil &&
		meta.IsStatusConditionPresentAndEqual(after.Status.Conditions, v1alpha1.ConditionAddressAssigned, metav1.ConditionUnknown)
}
