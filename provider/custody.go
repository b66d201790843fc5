package provider

import (
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/internal/scope"
)

// custody remembers which Services are Clarion's by their mark alone: those without a class, if one is required. Anybody may remove
// the mark from a status. As long as such a Service has the finalizer, it stays Clarion's, and is marked anew.
type custody struct {
	scope scope.Scope
	mu    sync.Mutex
	held  map[types.NamespacedName]types.UID
}

func newCustody(scope scope.Scope) *custody {
	return &custody{scope: scope, held: map[types.NamespacedName]types.UID{}}
}

// transform is that of the informer of Services, so that it sees every state before anybody else does, and in order. A Service that
// has lost its mark is stored with one.
func (c *custody) transform(object any) (any, error) {
	service, ok := object.(*corev1.Service)
	if !ok {
		return object, nil
	}
	service.SetManagedFields(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	name := nameOf(service)
	switch {
	case c.scope.Wants(service):
		if scope.ClassOf(service) == "" && c.scope.RequireClass {
			c.held[name] = service.UID
		}
	case c.held[name] == service.UID && c.scope.StillServed(service):
		marked := *service
		marked.Status.Conditions = append(slices.Clone(service.Status.Conditions), scope.TakenUp(metav1.Now()))
		return &marked, nil
	default:
		delete(c.held, name)
	}
	return service, nil
}

// forget drops a Service that is gone.
func (c *custody) forget(service *corev1.Service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[nameOf(service)] == service.UID {
		delete(c.held, nameOf(service))
	}
}
