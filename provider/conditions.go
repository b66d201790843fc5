package provider

import (
	"context"
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
	"github.com/clarionlb/clarion/provider/internal/status"
)

// conditionWriter keeps the AddressAssigned condition of Services, with as few writes as that
// takes: where the service controller is about to write the status, the condition travels in that
// patch (see amend); otherwise it is written here, if it changes.
type conditionWriter struct {
	client   typedcorev1.ServicesGetter
	services corelisters.ServiceLister
	scope    scope.Scope

	mu sync.Mutex
	// answers holds what each Service was told last.
	answers map[types.NamespacedName]answer
	// written holds Services as writes have left them, until the informer has that too.
	written map[types.NamespacedName]*corev1.Service
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

func newConditionWriter(client typedcorev1.ServicesGetter, services corelisters.ServiceLister, scope scope.Scope) *conditionWriter {
	return &conditionWriter{
		client:   client,
		services: services,
		scope:    scope,
		answers:  map[types.NamespacedName]answer{},
		written:  map[types.NamespacedName]*corev1.Service{},
	}
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
	if written := w.written[nameOf(service)]; written != nil && written.UID == service.UID {
		delete(w.written, nameOf(service))
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

// assigned writes the answer to a Service that has the addresses in has. If the service
// controller is about to write these, the answer travels with them.
func (w *conditionWriter) assigned(ctx context.Context, service *corev1.Service, has *corev1.LoadBalancerStatus, said answer) error {
	if !servicehelpers.LoadBalancerStatusEqual(&service.Status.LoadBalancer, has) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.answers[nameOf(service)] == said {
			said.travels = true
			w.answers[nameOf(service)] = said
		}
		return nil
	}
	changes := map[string]any{}
	if said.differs {
		changes["conditions"] = []metav1.Condition{said.condition}
	}
	return w.write(ctx, service, changes)
}

// refused writes the answer to a Service that cannot have what it wants, and the addresses that it
// still holds: the service controller writes no status then.
func (w *conditionWriter) refused(ctx context.Context, service *corev1.Service, held *corev1.LoadBalancerStatus, said answer) error {
	changes := map[string]any{}
	if !servicehelpers.LoadBalancerStatusEqual(&service.Status.LoadBalancer, held) {
		changes["loadBalancer"] = map[string]any{"ingress": held.Ingress}
	}
	if said.differs {
		changes["conditions"] = []metav1.Condition{said.condition}
	}
	return w.write(ctx, service, changes)
}

// takeUp gives a Service that has to wait for its answer the finalizer, and the mark of one without an answer.
func (w *conditionWriter) takeUp(ctx context.Context, service *corev1.Service) error {
	return w.write(ctx, service, map[string]any{})
}

// write patches the status of a Service, and of no later one of the same name, if there is anything to change or it lacks the
// finalizer. What could not be written counts as not said.
func (w *conditionWriter) write(ctx context.Context, service *corev1.Service, changes map[string]any) error {
	known, err := w.known(nameOf(service))
	if err == nil && known.UID == service.UID {
		patch := w.finalize(known, status.ServicePatch{Status: changes})
		if len(patch.Metadata)+len(patch.Status) == 0 {
			return nil
		}
		_, err = w.patch(ctx, w.client.Services(service.Namespace), known, patch, w.standsAnswer(known))
	}
	if err != nil && !apierrors.IsNotFound(err) {
		w.forget(service)
		return fmt.Errorf("write the status of Service %s: %w", nameOf(service), err)
	}
	return nil
}

// takenUp says whether a Service has got the mark scope.TakenUp, and had none.
func takenUp(before, after *corev1.Service) bool {
	return meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionAddressAssigned) == nil &&
		meta.IsStatusConditionPresentAndEqual(after.Status.Conditions, v1alpha1.ConditionAddressAssigned, metav1.ConditionUnknown)
}
