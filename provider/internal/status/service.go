package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/retry"
)

// ErrGivenAway is the error of a write that would bring back what somebody has removed from a Service.
var ErrGivenAway = errors.New("the Service is no longer Clarion's")

// ServicePatch is a strategic merge patch of a Service's status, which may change its finalizers too.
type ServicePatch struct {
	Metadata map[string]any `json:"metadata,omitempty"`
	Status   map[string]any `json:"status,omitempty"`
}

// PatchService patches a Service whose newest known state is known, and returns what it is then. If somebody has written to it
// meanwhile, it goes by that newer state. It writes nothing and returns ErrGivenAway if the patch does not stand for the state
// that it would change. One whose place another Service has taken is not found.
func PatchService(ctx context.Context, services typedcorev1.ServiceInterface, known *corev1.Service, patch ServicePatch, stands func(*corev1.Service) bool) (patched *corev1.Service, err error) {
	stale := false
	err = retry.RetryOnConflict(retry.DefaultRetry, func() (err error) {
		if stale {
			if known, err = newest(ctx, services, known); err != nil {
				return err
			}
		}
		stale = true
		if !stands(known) {
			return ErrGivenAway
		}
		data, err := patch.basedOn(known)
		if err != nil {
			return err
		}
		patched, err = services.Patch(ctx, known.Name, types.StrategicMergePatchType, data, metav1.PatchOptions{}, "status")
		return err
	})
	return patched, err
}

// newest reads a Service, as a list of one: the roles have the right to list Services, and need no other for this.
func newest(ctx context.Context, services typedcorev1.ServiceInterface, service *corev1.Service) (*corev1.Service, error) {
	byName := fields.OneTermEqualSelector(metav1.ObjectNameField, service.Name).String()
	list, err := services.List(ctx, metav1.ListOptions{FieldSelector: byName})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list.Items, func(s corev1.Service) bool { return s.UID == service.UID })
	if i < 0 {
		return nil, apierrors.NewNotFound(corev1.Resource("services"), service.Name)
	}
	return &list.Items[i], nil
}

// basedOn encodes the patch, which the API server refuses for any other state of the Service.
func (p ServicePatch) basedOn(known *corev1.Service) ([]byte, error) {
	metadata := map[string]any{"uid": known.UID, "resourceVersion": known.ResourceVersion}
	maps.Copy(metadata, p.Metadata)
	data, err := json.Marshal(ServicePatch{metadata, p.Status})
	if err != nil {
		return nil, fmt.Errorf("encode the status of Service %s/%s: %w", known.Namespace, known.Name, err)
	}
	return data, nil
}
