// Package pools is the controller of IPAddressPools and IPAddressReservations. It tells the
// allocator what addresses there are and who may have them, and writes the status of both kinds. It
// decides nothing about addresses: the allocator does.
//
//	IPAddressPools, IPAddressReservations ──┐
//	Nodes, Services ... (what is in use) ───┼──► Sync ──► loadbalancer.Allocator ──► Services to requeue
//	Namespaces (who may have what) ─────────┘                      │
//	Services get and release addresses ──► CountsChanged ──► status of pools and reservations
package pools

import (
	"context"
	"slices"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clarioninformers "github.com/clarionlb/clarion/client/informers"
	listers "github.com/clarionlb/clarion/client/listers/api/v1alpha1"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/informer"
	"github.com/clarionlb/clarion/internal/liblog"
	"github.com/clarionlb/clarion/internal/notify"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/loadbalancer"
	"github.com/clarionlb/clarion/provider/internal/status"
)

const (
	// statusDelay is how long changes of counts are collected before they are written: a thousand new
	// Services cost each pool a few writes.
	statusDelay = 200 * time.Millisecond
	// statusRate is how often in a second they are written if they always change, and statusBurst how
	// often before that counts: every announcer hears of it.
	statusRate, statusBurst = 1, 10
)

// Config is what a Controller works with.
type Config struct {
	// Kube and Clarion are the informers' factories, which are started after New.
	Kube    informers.SharedInformerFactory
	Clarion clarioninformers.SharedInformerFactory
	// KubeClient says which addresses the API server itself has, and Client writes the statuses.
	KubeClient kubernetes.Interface
	Client     versioned.Interface
	// Scope says which Services are served: what the others have is in use.
	Scope scope.Scope
	// Allocator is told what there is, and Requeue which Services it may answer otherwise now.
	Allocator *loadbalancer.Allocator
	Requeue   func(services ...types.NamespacedName)
}

// Controller keeps the allocator and the statuses up to date.
type Controller struct {
	allocator *loadbalancer.Allocator
	requeue   func(services ...types.NamespacedName)
	client    versioned.Interface
	scope     scope.Scope

	pools        listers.IPAddressPoolLister
	reservations listers.IPAddressReservationLister
	nodes        corelisters.NodeLister
	serviceCIDRs networkinglisters.ServiceCIDRLister
	services     corelisters.ServiceLister
	announcers   listers.AnnouncerLister
	routed       listers.BGPAdvertisementLister
	apiServer    cache.SharedIndexInformer
	delivered    []cache.InformerSynced

	// inputs and counts wake Run: something that the allocator has to know has changed, or what
	// pools hold may have.
	inputs, counts notify.Signal
	reader         reservationReader
	// reserved are the states of the reservations as of the last Sync, and synced the versions of
	// the pools and reservations that the allocator was told then.
	reserved map[string]reservationState
	synced   map[version]bool
}

// New returns a Controller that follows the informers once they are started.
func New(config Config) *Controller {
	core, api := config.Kube.Core().V1(), config.Clarion.Clarion().V1alpha1()
	serviceCIDRs := config.Kube.Networking().V1().ServiceCIDRs()
	c := &Controller{
		allocator:    config.Allocator,
		requeue:      config.Requeue,
		client:       config.Client,
		scope:        config.Scope,
		pools:        api.IPAddressPools().Lister(),
		reservations: api.IPAddressReservations().Lister(),
		nodes:        core.Nodes().Lister(),
		serviceCIDRs: serviceCIDRs.Lister(),
		services:     core.Services().Lister(),
		announcers:   api.Announcers().Lister(),
		routed:       api.BGPAdvertisements().Lister(),
		apiServer:    newAPIServerInformer(config.KubeClient),
		inputs:       notify.New(),
		counts:       notify.New(),
	}
	handle := func(i cache.SharedIndexInformer, handler cache.ResourceEventHandler) {
		c.delivered = append(c.delivered, informer.Handle(i, handler).HasSynced)
	}
	handle(core.Namespaces().Informer(), c.namespaceHandler())
	handle(core.Nodes().Informer(), c.nodeHandler())
	handle(api.IPAddressPools().Informer(), informer.OnAny(c.inputs.Notify))
	handle(api.IPAddressReservations().Informer(), informer.OnAny(c.inputs.Notify))
	handle(core.Services().Informer(), c.serviceHandler())
	handle(api.Announcers().Informer(), c.announcerHandler())
	handle(c.apiServer, informer.OnAny(c.inputs.Notify))
	handle(api.BGPAdvertisements().Informer(), informer.OnAny(c.counts.Notify))
	// These are not waited for: pools only report what they have in common with them.
	informer.Handle(serviceCIDRs.Informer(), informer.OnAny(c.inputs.Notify))
	return c
}

// nodeHandler has the addresses and pod CIDRs of nodes for inputs.
func (c *Controller) nodeHandler() cache.ResourceEventHandler {
	return informer.Funcs[*corev1.Node]{
		Add: func(*corev1.Node) { c.inputs.Notify() },
		Update: func(before, after *corev1.Node) {
			if !slices.Equal(before.Status.Addresses, after.Status.Addresses) || !slices.Equal(before.Spec.PodCIDRs, after.Spec.PodCIDRs) {
				c.inputs.Notify()
			}
		},
		Delete: func(*corev1.Node) { c.inputs.Notify() },
	}
}

// newAPIServerInformer returns an informer of the endpoints of default/kubernetes.
func newAPIServerInformer(kube kubernetes.Interface) cache.SharedIndexInformer {
	return discoveryinformers.NewFilteredEndpointSliceInformer(kube, metav1.NamespaceDefault, 0, nil, func(o *metav1.ListOptions) {
		o.LabelSelector = discoveryv1.LabelServiceName + "=kubernetes"
	})
}

// serviceHandler has the addresses that Services have from others for inputs.
func (c *Controller) serviceHandler() cache.ResourceEventHandler {
	changed := func(service *corev1.Service) {
		if len(service.Spec.ExternalIPs) > 0 || len(ofOthers(service, c.scope)) > 0 {
			c.inputs.Notify()
		}
	}
	return informer.Funcs[*corev1.Service]{
		Add: changed,
		Update: func(before, after *corev1.Service) {
			if !slices.Equal(before.Spec.ExternalIPs, after.Spec.ExternalIPs) || !slices.Equal(ofOthers(before, c.scope), ofOthers(after, c.scope)) {
				c.inputs.Notify()
			}
		},
		Delete: changed,
	}
}

// announcerHandler has for inputs what Announcers say of their nodes.
func (c *Controller) announcerHandler() cache.ResourceEventHandler {
	changed := func(*v1alpha1.Announcer) { c.inputs.Notify() }
	return informer.Funcs[*v1alpha1.Announcer]{
		Add: changed,
		Update: func(before, after *v1alpha1.Announcer) {
			if sayOfHosts(before, after) {
				c.inputs.Notify()
			}
		},
		Delete: changed,
	}
}

// namespaceHandler tells the allocator the labels of namespaces.
func (c *Controller) namespaceHandler() cache.ResourceEventHandler {
	set := func(namespace *corev1.Namespace) {
		c.requeue(c.allocator.SetNamespace(time.Now(), namespace.Name, namespace.Labels)...)
		c.CountsChanged() // pools say which namespaces there are not
	}
	return informer.Funcs[*corev1.Namespace]{
		Add:    set,
		Update: func(_, namespace *corev1.Namespace) { set(namespace) },
		Delete: func(namespace *corev1.Namespace) {
			c.requeue(c.allocator.DeleteNamespace(time.Now(), namespace.Name)...)
			c.CountsChanged()
		},
	}
}

// WaitForSync blocks until Sync has everything that there was when the informers were started;
// false if the context ends before. It is to be called once.
func (c *Controller) WaitForSync(ctx context.Context) bool {
	go c.apiServer.RunWithContext(liblog.Informers(ctx))
	return cache.WaitForCacheSync(ctx.Done(), c.delivered...)
}

// CountsChanged has Run write the statuses of pools anew. It never blocks.
func (c *Controller) CountsChanged() { c.counts.Notify() }

// Run follows the changes after the first Sync until the context ends.
func (c *Controller) Run(ctx context.Context) {
	c.CountsChanged()
	limiter := rate.NewLimiter(statusRate, statusBurst)
	// While pause runs, nothing is written; what changes is taken in all the same. When reusable
	// fires, an address has awaited its reuse long enough.
	var pause, reusable, retry <-chan time.Time
	for {
		counts := c.counts
		if pause != nil {
			counts = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-c.inputs:
			if !c.trySync() {
				retry = time.After(status.RetryDelay)
			}
			c.CountsChanged()
			continue
		case <-retry:
			c.inputs.Notify()
			continue
		case <-pause:
			pause = nil
			continue
		case <-reusable:
			c.CountsChanged()
			continue
		case <-counts:
		}
		delay, written := max(statusDelay, limiter.Reserve().Delay()), false
		guard.Run("pools", "", func() {
			reusable = c.reclaim()
			written = c.writeStatuses(ctx)
		})
		if !written {
			c.CountsChanged()
			delay = status.RetryDelay
		}
		pause = time.After(delay)
	}
}

// reclaim has the allocator end the wait of addresses that are reusable now, and returns what fires
// when the next one is.
func (c *Controller) reclaim() <-chan time.Time {
	requeue, next := c.allocator.Reclaim(time.Now())
	c.requeue(requeue...)
	if next.IsZero() {
		return nil
	}
	return time.After(time.Until(next))
}

// trySync is Sync. It returns false if that panics: the allocator may then have a part of it.
func (c *Controller) trySync() bool { return guard.Run("pools", "", c.Sync) == nil }

// Sync hands everything as it is now to the allocator, which knows what of it is new. It is not to
// be called beside Run.
func (c *Controller) Sync() {
	now := time.Now()
	pools, reservations := listed(c.pools.List), listed(c.reservations.List)
	usable, states := c.reader.read(reservations)
	c.reserved, c.synced = states, map[version]bool{}
	for _, pool := range pools {
		c.synced[versionOf(pool)] = true
	}
	for _, reservation := range reservations {
		c.synced[versionOf(reservation)] = true
	}
	c.requeue(c.allocator.SetReserved(now, c.inUse())...)
	c.requeue(c.allocator.SetReservations(now, usable)...)
	c.requeue(c.allocator.SetPools(now, pools)...)
}

// inUse returns the addresses that something else uses than the Services that Clarion serves.
func (c *Controller) inUse() []loadbalancer.ReservedRange {
	var apiServer []*discoveryv1.EndpointSlice
	for _, object := range c.apiServer.GetStore().List() {
		apiServer = append(apiServer, object.(*discoveryv1.EndpointSlice))
	}
	return InUse(Objects{
		APIServer:    apiServer,
		Nodes:        listed(c.nodes.List),
		ServiceCIDRs: listed(c.serviceCIDRs.List),
		Announcers:   listed(c.announcers.List),
		Services:     listed(c.services.List),
		Scope:        c.scope,
	})
}

// listed returns everything that a lister has. A lister over a cache does not fail.
func listed[T any](list func(labels.Selector) ([]T, error)) []T {
	objects, err := list(labels.Everything())
	if err != nil {
		panic(err)
	}
	return objects
}

// version is an object as far as its spec goes.
type version struct {
	uid        types.UID
	generation int64
}

func versionOf(object metav1.Object) version {
	return version{object.GetUID(), object.GetGeneration()}
}
