package provider

import (
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/internal/scope"
)

// requeueAnnotation makes the old side of a synthetic update differ from the new one. It never
// reaches the API.
const requeueAnnotation = "clarionlb.io/requeue"

// serviceFeed is the informer that the service controller gets in place of the real one. It hides
// Services of another load balancer class, shows those of ours as if they had none, and can requeue
// a Service: have the controller serve it again at once, past its back-off, without a write to the
// API.
//
// It relies on what k8s.io/cloud-provider's controllers/service/controller.go does: it ignores
// Services that have a class (wantsLoadBalancer) and queues an update that changes an annotation
// (needsUpdate).
type serviceFeed struct {
	coreinformers.ServiceInformer
	projection

	mu       sync.Mutex
	handlers []cache.ResourceEventHandler
}

func newServiceFeed(real coreinformers.ServiceInformer, scope scope.Scope) *serviceFeed {
	return &serviceFeed{ServiceInformer: real, projection: projection{scope}}
}

// Informer returns the informer whose handlers see the projected Services.
func (f *serviceFeed) Informer() cache.SharedIndexInformer {
	real := f.ServiceInformer.Informer()
	return handlerFilter{real, func(handler cache.ResourceEventHandler, options cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error) {
		f.mu.Lock()
		f.handlers = append(f.handlers, handler)
		f.mu.Unlock()
		return real.AddEventHandlerWithOptions(projectingHandler{f.projection, handler}, options)
	}}
}

// Lister returns the lister that finds the projected Services.
func (f *serviceFeed) Lister() corelisters.ServiceLister {
	return feedLister{f.projection, f.ServiceInformer.Lister()}
}

// requeue delivers a synthetic update of each Service that is there and shown.
func (f *serviceFeed) requeue(services ...types.NamespacedName) {
	f.mu.Lock()
	handlers := f.handlers
	f.mu.Unlock()
	for _, name := range services {
		service, err := f.Lister().Services(name.Namespace).Get(name.Name)
		if err != nil {
			continue // gone or not ours: there is nothing to serve
		}
		old := *service
		old.Annotations = maps.Clone(service.Annotations)
		if old.Annotations == nil {
			old.Annotations = map[string]string{}
		}
		old.Annotations[requeueAnnotation] = ""
		for _, handler := range handlers {
			handler.OnUpdate(&old, service)
		}
	}
}

// projectingHandler turns what the real informer reports into what the controller is to see. An
// object that becomes visible is added, one that is hidden again is deleted.
type projectingHandler struct {
	projection
	next cache.ResourceEventHandler
}

func (h projectingHandler) OnAdd(obj any, isInInitialList bool) {
	if service, ok := obj.(*corev1.Service); ok {
		if shown, ok := h.project(service); ok {
			h.next.OnAdd(shown, isInInitialList)
		}
	}
}

func (h projectingHandler) OnUpdate(oldObj, newObj any) {
	oldService, ok1 := oldObj.(*corev1.Service)
	newService, ok2 := newObj.(*corev1.Service)
	if !ok1 || !ok2 {
		return
	}
	oldShown, wasShown := h.project(oldService)
	newShown, isShown := h.project(newService)
	switch {
	case wasShown && isShown:
		h.next.OnUpdate(oldShown, newShown)
	case isShown:
		h.next.OnAdd(newShown, false)
	case wasShown:
		h.next.OnDelete(oldShown)
	}
}

func (h projectingHandler) OnDelete(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	if service, ok := obj.(*corev1.Service); ok {
		if shown, ok := h.project(service); ok {
			h.next.OnDelete(shown)
		}
	}
}

// feedLister finds projected Services.
type feedLister struct {
	projection
	real corelisters.ServiceLister
}

func (l feedLister) List(selector labels.Selector) ([]*corev1.Service, error) {
	services, err := l.real.List(selector)
	return l.projectAll(services), err
}

func (l feedLister) Services(namespace string) corelisters.ServiceNamespaceLister {
	return feedNamespaceLister{l.projection, l.real.Services(namespace)}
}

type feedNamespaceLister struct {
	projection
	real corelisters.ServiceNamespaceLister
}

func (l feedNamespaceLister) List(selector labels.Selector) ([]*corev1.Service, error) {
	services, err := l.real.List(selector)
	return l.projectAll(services), err
}

func (l feedNamespaceLister) Get(name string) (*corev1.Service, error) {
	service, err := l.real.Get(name)
	if err != nil {
		return nil, err
	}
	shown, ok := l.project(service)
	if !ok {
		return nil, apierrors.NewNotFound(corev1.Resource("services"), name)
	}
	return shown, nil
}

// quietNodes is the node informer that the service controller gets: its lister works, but it
// reports no events. The controller would answer every one by going through all Services to call
// UpdateLoadBalancer, which has nothing to do here: which node serves an address is the announcers'
// business.
type quietNodes struct {
	coreinformers.NodeInformer
}

// Informer returns the informer that takes handlers and never calls them.
func (n quietNodes) Informer() cache.SharedIndexInformer {
	return handlerFilter{n.NodeInformer.Informer(), func(cache.ResourceEventHandler, cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error) {
		return nil, nil
	}}
}

// handlerFilter is an informer that leaves it to a function to add handlers, whichever way they are
// added.
type handlerFilter struct {
	cache.SharedIndexInformer
	add func(cache.ResourceEventHandler, cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error)
}

func (i handlerFilter) AddEventHandler(handler cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	return i.add(handler, cache.HandlerOptions{})
}

func (i handlerFilter) AddEventHandlerWithResyncPeriod(handler cache.ResourceEventHandler, period time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	return i.add(handler, cache.HandlerOptions{ResyncPeriod: &period})
}

func (i handlerFilter) AddEventHandlerWithOptions(handler cache.ResourceEventHandler, options cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error) {
	return i.add(handler, options)
}
