package plugin

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

// HandOver removes what Clarion has put on a Service, in one write: its answers and the finalizer. Announcers then leave its
// addresses alone. They stay in its status, unless change removes them; it may be nil.
func HandOver(ctx context.Context, kube kubernetes.Interface, name types.NamespacedName, change func(*corev1.Service)) error {
	services := kube.CoreV1().Services(name.Namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		service, err := services.Get(ctx, name.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		service.Finalizers = slices.DeleteFunc(service.Finalizers, func(f string) bool { return f == scope.Finalizer })
		service.Status.Conditions = slices.DeleteFunc(service.Status.Conditions, func(c metav1.Condition) bool {
			return c.Type == v1alpha1.ConditionAddressAssigned || c.Type == v1alpha1.ConditionAnnounced
		})
		if change != nil {
			change(service)
		}
		_, err = services.UpdateStatus(ctx, service, metav1.UpdateOptions{})
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("hand Service %s over: %w", name, err)
	}
	return nil
}
