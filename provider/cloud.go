// Package provider makes Clarion a cloud provider: it implements cloudprovider.Interface for clusters that have no cloud and
// wires the allocator of package loadbalancer to the standard controllers of k8s.io/cloud-provider. It decides nothing about
// addresses and knows nothing about the network.
//
//	Services ──► serviceFeed ──► service controller ──► balancer ──► loadbalancer.Allocator
//	                 ▲                                                   │ ▲
//	                 └───────────── poke: look again ────────────────────┘ │
//	IPAddressPools, IPAddressReservations, Nodes ... ──► keeper ───────────┤
//	Announcers, L2Advertisements, EndpointSlices ... ──► announcedKeeper ──┘ conflicts
//	                                                          ├──► condition Announced of the Services
//	                                                          └──► status of BGPPeers and BGPAdvertisements
//
// Every decision about a Service goes through EnsureLoadBalancer: whatever happens elsewhere (a pool grows, an address
// becomes free) only pokes the Services that it concerns.
package provider

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/klog/v2"

	clarioninformers "github.com/clarionlb/clarion/client/informers"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/loadbalancer"
)

// ProviderName is the value of --cloud-provider and the scheme of provider IDs. Nodes carry it: it never changes.
const ProviderName = "clarion"

// Options are the choices that an operator has.
type Options struct {
	// RequireClass leaves Services without a spec.loadBalancerClass to others. Those that Clarion has answered before, with
	// addresses or with a refusal, stay its own.
	RequireClass bool
}

// clientName is the user agent suffix of the provider's own clients.
const clientName = "clarion-provider"

// Cloud implements cloudprovider.Interface and cloudprovider.InformerUser.
type Cloud struct {
	allocator  *loadbalancer.Allocator
	feed       *serviceFeed
	conditions *conditionWriter
	balancer   *balancer
	keeper     *keeper
	announced  *announcedKeeper
	shared     informers.SharedInformerFactory

	elected <-chan struct{}
	kube    kubernetes.Interface
	stop    <-chan struct{}

	// restored is closed when the allocator knows every address that Services have.
	restored chan struct{}
	mu       sync.Mutex
	// deleted holds the Services whose deletion is seen while restore is at work, and is nil otherwise.
	deleted map[types.UID]bool
}

var (
	_ cloudprovider.Interface    = (*Cloud)(nil)
	_ cloudprovider.InformerUser = (*Cloud)(nil)
)

// New returns a Cloud over the informers that the controllers share. Initialize and SetInformers start it; it follows
// its informers from then on, and acts when elected is closed.
func New(shared informers.SharedInformerFactory, events record.EventRecorder, elected <-chan struct{}, options Options) (*Cloud, error) {
	services := shared.Core().V1().Services()
	for _, informer := range []cache.SharedIndexInformer{services.Informer(), shared.Core().V1().Nodes().Informer()} {
		if err := informer.SetTransform(dropManagedFields); err != nil {
			return nil, fmt.Errorf("set the transform of an informer: %w", err)
		}
	}
	c := &Cloud{
		allocator:  loadbalancer.New(),
		feed:       newServiceFeed(services, scope.Scope{RequireClass: options.RequireClass}),
		conditions: newConditionWriter(),
		shared:     shared,
		elected:    elected,
		restored:   make(chan struct{}),
	}
	registerMetrics(c.allocator)
	c.keeper = newKeeper(c.allocator, c.feed)
	c.announced = newAnnouncedKeeper(c.allocator, c.feed, events)
	c.balancer = &balancer{
		allocator:  c.allocator,
		feed:       c.feed,
		services:   services.Lister(),
		conditions: c.conditions,
		keeper:     c.keeper,
		events:     events,
		restored:   c.restored,
	}
	return c, nil
}

// Initialize makes the clients. The framework calls it once; stop is closed when the process is to end.
func (c *Cloud) Initialize(builder cloudprovider.ControllerClientBuilder, stop <-chan struct{}) {
	c.kube = builder.ClientOrDie(clientName)
	c.conditions.client = c.kube.CoreV1()
	c.announced.client = c.kube.CoreV1()
	config := rest.CopyConfig(builder.ConfigOrDie(clientName))
	// The CCM's default is protobuf, which custom resources do not speak.
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	c.keeper.client = versioned.NewForConfigOrDie(config)
	c.announced.clarion = c.keeper.client
	c.stop = stop
}

// SetInformers registers what the provider follows and starts it. The framework starts the shared informers afterwards, so
// nothing here waits for them.
func (c *Cloud) SetInformers(informers.SharedInformerFactory) {
	ctx := wait.ContextForChannel(c.stop)
	core := c.shared.Core().V1()
	services, namespaces, nodes := core.Services().Informer(), core.Namespaces().Informer(), core.Nodes()
	serviceCIDRs := c.shared.Networking().V1().ServiceCIDRs()
	clarion := clarioninformers.NewSharedInformerFactory(c.keeper.client, 0)
	pools := clarion.Clarion().V1alpha1().IPAddressPools()
	reservations := clarion.Clarion().V1alpha1().IPAddressReservations()
	c.keeper.pools, c.keeper.reservations = pools.Lister(), reservations.Lister()
	c.keeper.nodes, c.keeper.serviceCIDRs = nodes.Lister(), serviceCIDRs.Lister()

	c.handle(services, cache.ResourceEventHandlerFuncs{UpdateFunc: c.serviceUpdated, DeleteFunc: c.serviceDeleted})
	c.handle(namespaces, c.keeper.namespaceChange())
	c.handle(nodes.Informer(), c.keeper.nodeChange())
	c.handle(serviceCIDRs.Informer(), c.keeper.anyChange())
	c.handle(pools.Informer(), c.keeper.anyChange())
	c.handle(reservations.Informer(), c.keeper.anyChange())
	slices := newSliceInformer(c.kube)
	synced := c.announced.follow(announcedInformers{
		services:       services,
		slices:         slices,
		nodes:          nodes.Informer(),
		pools:          pools.Informer(),
		advertisements: clarion.Clarion().V1alpha1().L2Advertisements().Informer(),
		announcers:     clarion.Clarion().V1alpha1().Announcers().Informer(),

		bgpPeers:          clarion.Clarion().V1alpha1().BGPPeers().Informer(),
		bgpAdvertisements: clarion.Clarion().V1alpha1().BGPAdvertisements().Informer(),
		communities:       clarion.Clarion().V1alpha1().Communities().Informer(),
		bfdProfiles:       clarion.Clarion().V1alpha1().BFDProfiles().Informer(),
	})
	clarion.Start(c.stop)
	go slices.RunWithContext(ctx)
	go func() {
		if !cache.WaitForCacheSync(c.stop, append(synced, namespaces.HasSynced, reservations.Informer().HasSynced)...) {
			return
		}
		select {
		case <-c.stop:
			return
		case <-c.elected:
		}
		go newGossipKeyKeeper(c.kube).run(ctx)
		c.keeper.sync()
		c.announced.look() // what is contested is not restored
		if err := c.restore(ctx); err != nil {
			return // told to stop
		}
		go c.announced.run(ctx)
		c.keeper.run(ctx)
	}()
}

// handle adds a handler to an informer that has not been started, which cannot fail.
func (c *Cloud) handle(informer cache.SharedIndexInformer, handler cache.ResourceEventHandler) {
	if _, err := informer.AddEventHandler(handler); err != nil {
		panic(fmt.Sprintf("add a handler to an informer: %v", err))
	}
}

// restore tells the allocator what addresses Services have, before it may give any to another. It asks the API server
// itself, with a quorum read, because an informer's first list may be older than the last write of the former leader.
func (c *Cloud) restore(ctx context.Context) error {
	c.mu.Lock()
	c.deleted = map[types.UID]bool{}
	c.mu.Unlock()
	var list *corev1.ServiceList
	err := wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		var err error
		list, err = c.kube.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			klog.FromContext(ctx).Error(err, "Cannot list the Services to learn which addresses they have")
		}
		return err == nil, nil
	})
	if err != nil {
		return err
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	var requests []loadbalancer.Request
	for i := range list.Items {
		service := &list.Items[i]
		if !c.feed.owns(service) || c.deleted[service.UID] {
			continue
		}
		request, _ := loadbalancer.NewRequest(service) // what is wrong with it is said when it is served
		requests = append(requests, request)
	}
	c.balancer.report(c.allocator.Restore(time.Now(), requests))
	c.deleted = nil
	close(c.restored)
	klog.FromContext(ctx).Info("Learned which addresses Services have", "services", len(requests))
	return nil
}

// serviceUpdated pokes a Service for the changes that concern us and that the service controller does not look at.
func (c *Cloud) serviceUpdated(oldObj, newObj any) {
	oldService, newService := oldObj.(*corev1.Service), newObj.(*corev1.Service)
	if oldService.UID != newService.UID { // deleted and created again in between
		c.release(oldService)
	}
	if !c.feed.owns(newService) {
		if c.feed.owns(oldService) {
			c.release(newService)
		}
		return
	}
	if c.balancer.needsPoke(oldService, newService) {
		c.feed.poke(types.NamespacedName{Namespace: newService.Namespace, Name: newService.Name})
	}
}

// serviceDeleted releases the addresses of a Service that is gone. Those whose finalizer was served have none left.
func (c *Cloud) serviceDeleted(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	if service, ok := obj.(*corev1.Service); ok {
		c.release(service)
	}
}

func (c *Cloud) release(service *corev1.Service) {
	c.mu.Lock()
	if c.deleted != nil {
		c.deleted[service.UID] = true
	}
	c.mu.Unlock()
	c.balancer.release(service)
}

// LoadBalancer returns the provider's load balancers.
func (c *Cloud) LoadBalancer() (cloudprovider.LoadBalancer, bool) { return c.balancer, true }

// InstancesV2 returns what the provider knows of nodes.
func (c *Cloud) InstancesV2() (cloudprovider.InstancesV2, bool) { return instances{}, true }

// Instances is superseded by InstancesV2.
func (c *Cloud) Instances() (cloudprovider.Instances, bool) { return nil, false }

// Zones is superseded by InstancesV2.
func (c *Cloud) Zones() (cloudprovider.Zones, bool) { return nil, false }

// Clusters is not supported: no controller asks for it.
func (c *Cloud) Clusters() (cloudprovider.Clusters, bool) { return nil, false }

// Routes is not supported: routes between pods are the network plugin's business.
func (c *Cloud) Routes() (cloudprovider.Routes, bool) { return nil, false }

// ProviderName returns ProviderName.
func (c *Cloud) ProviderName() string { return ProviderName }

// HasClusterID is always true: nothing outside the cluster needs to tell clusters apart.
func (c *Cloud) HasClusterID() bool { return true }

// newSliceInformer returns an informer of the EndpointSlices of Services that can have a load balancer, without what is not
// needed of them.
func newSliceInformer(kube kubernetes.Interface) cache.SharedIndexInformer {
	informer := discoveryinformers.NewFilteredEndpointSliceInformer(kube, metav1.NamespaceAll, 0, nil, func(o *metav1.ListOptions) {
		o.LabelSelector = discoveryv1.LabelServiceName + ",!" + corev1.IsHeadlessService
	})
	if err := informer.SetTransform(stripSlice); err != nil {
		panic(fmt.Sprintf("set the transform of an informer: %v", err)) // it has not been started
	}
	return informer
}

func stripSlice(obj any) (any, error) {
	slice, ok := obj.(*discoveryv1.EndpointSlice)
	if !ok {
		return obj, nil
	}
	slice.ManagedFields, slice.Ports = nil, nil
	for i, endpoint := range slice.Endpoints {
		slice.Endpoints[i] = discoveryv1.Endpoint{Conditions: endpoint.Conditions, NodeName: endpoint.NodeName}
	}
	return slice, nil
}

// dropManagedFields is an informer transform: nothing here reads the field, and it is most of an object's size.
func dropManagedFields(obj any) (any, error) {
	if object, ok := obj.(metav1.Object); ok {
		object.SetManagedFields(nil)
	}
	return obj, nil
}
