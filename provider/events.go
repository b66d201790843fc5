package provider

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/provider/internal/status"
)

// transitionEvents is where the service controller's events go. It lets through those that tell
// news, under Clarion's name: users look for one source. The controller says that it ensures, that it has ensured, and that it could not, each time
// that it looks at a Service, also when nothing changes; balancer reports the same when it does
// change.
type transitionEvents struct{ clarionEvents }

// CreateWithEventNamespace and PatchWithEventNamespace are the methods that
// typedcorev1.EventSinkImpl calls.
func (e transitionEvents) CreateWithEventNamespace(event *corev1.Event) (*corev1.Event, error) {
	if isRoutine(event) {
		return event, nil
	}
	return e.clarionEvents.CreateWithEventNamespace(event)
}

func (e transitionEvents) PatchWithEventNamespace(event *corev1.Event, data []byte) (*corev1.Event, error) {
	if isRoutine(event) {
		return event, nil
	}
	return e.PatchWithEventNamespaceWithContext(context.Background(), event, data)
}

// clarionEvents has events say that they are Clarion's.
type clarionEvents struct{ typedcorev1.EventInterface }

// CreateWithEventNamespace is the method that typedcorev1.EventSinkImpl calls for an event that is new.
func (e clarionEvents) CreateWithEventNamespace(event *corev1.Event) (*corev1.Event, error) {
	event.Source.Component, event.ReportingController = v1alpha1.EventSource, v1alpha1.EventSource
	return e.CreateWithEventNamespaceWithContext(context.Background(), event)
}

// isRoutine tells whether balancer speaks for an event of k8s.io/cloud-provider's
// controllers/service/controller.go, or the event is of no concern to a Service that is somebody else's by now.
func isRoutine(event *corev1.Event) bool {
	switch event.Reason {
	case "EnsuringLoadBalancer", "EnsuredLoadBalancer":
		return true
	case "UnAvailableLoadBalancer": // by the rules of clouds there is no node; the condition Announced goes by those of announcers
		return true
	case eventSyncFailed:
		return IsAnswer(event.Message)
	}
	return false
}

// eventSyncFailed (Warning, Service): what the Service was to be told or to lose could not be written, and why, such as for want of a
// right. It is tried again, after five minutes at most.
const eventSyncFailed = "SyncLoadBalancerFailed"

// IsAnswer tells whether what the service controller says of a failure is no more than what the Service
// was told: that it cannot have what it asks for. Anything else, such as an answer that could not be
// written, nobody else says.
func IsAnswer(failure string) bool {
	_, cause, ensuring := strings.Cut(failure, "failed to ensure load balancer: ")
	return ensuring && !strings.HasPrefix(cause, cannotAnswer) || strings.Contains(failure, status.ErrGivenAway.Error())
}
