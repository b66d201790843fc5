// Package pools is the controller of IPAddressPools and IPAddressReservations. It tells the
// allocator what addresses there are and who may have them, and writes the status of both kinds. It
// decides nothing about addresses: the allocator does.
//
//	IPAddressPools, IPAddressReservations ──┐
//	Nodes, ServiceCIDRs (what is in use) ───┼──► Sync ──► loadbalancer.Allocator ──► Services to requeue
//	Namespaces (who may have what) ─────────┘                      │
//	Services get and release addresses ──► CountsChanged ──► status of pools and reservations
package pools

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"

	clarioninformers "github.com/clarionlb/clarion/client/informers"
	listers "github.com/clarionlb/clarion/client/listers/api/v1alpha1"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/informer"
	"github.com/clarionlb/clarion/internal/notify"
	"github.com/clarionlb/clarion/loadbalancer"
	"github.com/clarionlb/clarion/provider/internal/status"
)

// statusDelay is how long changes of counts are collected before they are written: a thousand new
// Services cost each pool a few writes.
const statusDelay = 200 * time.Millisecond

// Config is what a Controller works with.
type Config struct {
	// Kube and Clarion are the informers' factories, which are started after New.
	Kube    informers.SharedInformerFactory
	Clarion clarioninformers.SharedInformerFactory
	// Client writes the statuses.
	Client versioned.Interface
	// Allocator is told what there is, and Requeue which Services it may answer otherwise now.
	Allocator *loadbalancer.Allocator
	Requeue   func(services ...types.NamespacedName)
}

// Controller keeps the allocator and the statuses up to date.
type Controller struct {
	allocator *loadbalancer.Allocator
	requeue   func(services ...types.NamespacedName)
	client    versioned.Interface

	pools        listers.IPAddressPoolLister
	reservations listers.IPAddressReservationLister
	nodes        corelisters.NodeLister
	serviceCIDRs networkinglisters.ServiceCIDRLister
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
		pools:        api.IPAddressPools().Lister(),
		reservations: api.IPAddressReservations().Lister(),
		nodes:        core.Nodes().Lister(),
		serviceCIDRs: serviceCIDRs.Lister(),
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

// namespaceHandler tells the allocator the labels of namespaces.
func (c *Controller) namespaceHandler() cache.ResourceEventHandler {
	set := func(namespace *corev1.Namespace) {
		c.requeue(c.allocator.SetNamespace(time.Now(), namespace.Name, namespace.Labels)...)
	}
	return informer.Funcs[*corev1.Namespace]{
		Add:    set,
		Update: func(_, namespace *corev1.Namespace) { set(namespace) },
		Delete: func(namespace *corev1.Namespace) {
			c.requeue(c.allocator.DeleteNamespace(time.Now(), namespace.Name)...)
		},
	}
}

// WaitForSync blocks until Sync has everything that there was when the informers were started;
// false if the context ends before.
func (c *Controller) WaitForSync(ctx context.Context) bool {
	return cache.WaitForCacheSync(ctx.Done(), c.delivered...)
}

// CountsChanged has Run write the statuses of pools anew. It never blocks.
func (c *Controller) CountsChanged() { c.counts.Notify() }

// Run follows the changes after the first Sync until the context ends.
func (c *Controller) Run(ctx context.Context) {
	c.CountsChanged()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.inputs:
			c.Sync()
			c.CountsChanged()
			continue
		case <-c.counts:
		}
		delay := statusDelay
		if !c.writeStatuses(ctx) {
			c.CountsChanged()
			delay = status.RetryDelay
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
	}
}

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
	c.requeue(c.allocator.SetReserved(now, clusterRanges(listed(c.nodes.List), listed(c.serviceCIDRs.List)))...)
	c.requeue(c.allocator.SetReservations(now, usable)...)
	c.requeue(c.allocator.SetPools(now, pools)...)
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
