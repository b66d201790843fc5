package provider

import (
	"context"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	listers "github.com/clarionlb/clarion/client/listers/api/v1alpha1"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/notify"
	"github.com/clarionlb/clarion/loadbalancer"
)

const (
	// statusDelay is how long changes of counts are collected before they are written: a thousand new Services cost each
	// pool a few writes.
	statusDelay = 200 * time.Millisecond
	// retryDelay is how long a status that could not be written waits for the next try.
	retryDelay = time.Second
)

// keeper tells the allocator what addresses there are and who may have them: pools, reservations, namespaces, and what the
// cluster itself uses. It writes the status of pools and reservations.
type keeper struct {
	allocator *loadbalancer.Allocator
	feed      *serviceFeed
	client    versioned.Interface

	pools        listers.IPAddressPoolLister
	reservations listers.IPAddressReservationLister
	nodes        corelisters.NodeLister
	serviceCIDRs networkinglisters.ServiceCIDRLister

	// inputs and counts wake run: something that the allocator has to know has changed, or what pools hold may have.
	inputs, counts notify.Signal
	// reserved are the states of the reservations as of the last sync, and synced the versions of the pools and
	// reservations that the allocator was told.
	reserved map[string]reservationState
	synced   map[version]bool
}

func newKeeper(allocator *loadbalancer.Allocator, feed *serviceFeed) *keeper {
	return &keeper{allocator: allocator, feed: feed, inputs: notify.New(), counts: notify.New()}
}

func (k *keeper) inputsChanged() { k.inputs.Notify() }
func (k *keeper) countsChanged() { k.counts.Notify() }

// anyChange is the handler of informers whose every change is an input.
func (k *keeper) anyChange() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { k.inputsChanged() },
		UpdateFunc: func(_, _ any) { k.inputsChanged() },
		DeleteFunc: func(any) { k.inputsChanged() },
	}
}

// nodeChange is the handler of the node informer: of a node, its addresses and pod CIDRs are inputs.
func (k *keeper) nodeChange() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { k.inputsChanged() },
		UpdateFunc: func(oldObj, newObj any) {
			oldNode, newNode := oldObj.(*corev1.Node), newObj.(*corev1.Node)
			if !slices.Equal(oldNode.Status.Addresses, newNode.Status.Addresses) || !slices.Equal(oldNode.Spec.PodCIDRs, newNode.Spec.PodCIDRs) {
				k.inputsChanged()
			}
		},
		DeleteFunc: func(any) { k.inputsChanged() },
	}
}

// namespaceChange is the handler of the namespace informer.
func (k *keeper) namespaceChange() cache.ResourceEventHandler {
	set := func(obj any) {
		namespace := obj.(*corev1.Namespace)
		k.feed.poke(k.allocator.SetNamespace(time.Now(), namespace.Name, namespace.Labels)...)
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = unknown.Obj
			}
			if namespace, ok := obj.(*corev1.Namespace); ok {
				k.feed.poke(k.allocator.DeleteNamespace(time.Now(), namespace.Name)...)
			}
		},
	}
}

// run follows the changes until the context ends.
func (k *keeper) run(ctx context.Context) {
	k.countsChanged()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.inputs:
			k.sync()
			k.countsChanged()
			continue
		case <-k.counts:
		}
		delay := statusDelay
		if !k.writeStatuses(ctx) {
			k.countsChanged()
			delay = retryDelay
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
	}
}

// sync hands everything as it is now to the allocator, which knows what of it is new.
func (k *keeper) sync() {
	now := time.Now()
	pools, err := k.pools.List(labels.Everything())
	cidrs, err2 := k.serviceCIDRs.List(labels.Everything())
	nodes, err3 := k.nodes.List(labels.Everything())
	reservations, err4 := k.reservations.List(labels.Everything())
	for _, err := range []error{err, err2, err3, err4} {
		if err != nil {
			klog.ErrorS(err, "Cannot list what is in a cache") // a lister does not fail
			return
		}
	}
	kept, states := readReservations(reservations)
	k.reserved, k.synced = states, map[version]bool{}
	for _, pool := range pools {
		k.synced[versionOf(pool)] = true
	}
	for _, reservation := range reservations {
		k.synced[versionOf(reservation)] = true
	}
	k.feed.poke(k.allocator.SetReserved(now, clusterRanges(nodes, cidrs))...)
	k.feed.poke(k.allocator.SetReservations(now, kept)...)
	k.feed.poke(k.allocator.SetPools(now, pools)...)
}

// version is an object as far as its spec goes.
type version struct {
	uid        types.UID
	generation int64
}

func versionOf(object metav1.Object) version {
	return version{object.GetUID(), object.GetGeneration()}
}

// clusterRanges returns the addresses that the cluster itself uses: those of nodes, and the ranges of Services and pods.
func clusterRanges(nodes []*corev1.Node, serviceCIDRs []*networkingv1.ServiceCIDR) []loadbalancer.ReservedRange {
	var ranges []loadbalancer.ReservedRange
	add := func(prefix netip.Prefix, what string) {
		ranges = append(ranges, loadbalancer.ReservedRange{Prefix: prefix, What: what})
	}
	slices.SortFunc(nodes, func(a, b *corev1.Node) int { return compareObjects(a, b) })
	for _, node := range nodes {
		for _, address := range node.Status.Addresses {
			if ip, err := netip.ParseAddr(address.Address); err == nil { // names are none
				add(netip.PrefixFrom(ip, ip.BitLen()), `the address of node "`+node.Name+`"`)
			}
		}
		for _, cidr := range node.Spec.PodCIDRs {
			if prefix, err := netip.ParsePrefix(cidr); err == nil {
				add(prefix, `the pod CIDR of node "`+node.Name+`"`)
			}
		}
	}
	slices.SortFunc(serviceCIDRs, func(a, b *networkingv1.ServiceCIDR) int { return compareObjects(a, b) })
	for _, object := range serviceCIDRs {
		for _, cidr := range object.Spec.CIDRs {
			if prefix, err := netip.ParsePrefix(cidr); err == nil {
				add(prefix, "the cluster's Service CIDR")
			}
		}
	}
	return ranges
}
