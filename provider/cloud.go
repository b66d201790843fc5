// Package provider makes Clarion a cloud provider: it implements cloudprovider.Interface for
// clusters that have no cloud, and wires the allocator of package loadbalancer to the standard
// controllers of k8s.io/cloud-provider. It decides nothing about addresses and knows nothing about
// the network.
//
//	Services ──► serviceFeed ──► service controller ──► balancer ──► loadbalancer.Allocator
//	                 ▲                                                  │   ▲   ▲
//	                 └─────────────────── requeue ──────────────────────┘   │   │
//	IPAddressPools, Nodes, Announcers, Services ... ──► pools.Controller ───┘   │
//	Announcers, L2Advertisements, EndpointSlices ... ──► announced.Controller ──┘ conflicts
//	                                                          ├──► condition Announced of the Services
//	                                                          └──► status of BGPPeers, BGPAdvertisements, BFDProfiles
//
// Every decision about a Service goes through EnsureLoadBalancer: whatever happens elsewhere (a
// pool grows, an address becomes free) only requeues the Services that it concerns.
//
// A process that stands by follows the API without a write. When it is elected, these things happen
// in order:
//
//	elected ──► pools.Sync ──► announced.Evaluate ──► restore ──► EnsureLoadBalancer answers, the controllers run
//	            what there is  what is in conflict   what Services have
package provider

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/transport"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/klog/v2"

	clarioninformers "github.com/clarionlb/clarion/client/informers"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/deadnodes"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/informer"
	"github.com/clarionlb/clarion/internal/liblog"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/loadbalancer"
	"github.com/clarionlb/clarion/provider/announced"
	"github.com/clarionlb/clarion/provider/cloudconfig"
	"github.com/clarionlb/clarion/provider/pools"
	"github.com/clarionlb/clarion/provider/withdrawal"
)

// ProviderName is the value of --cloud-provider and the scheme of provider IDs. Nodes carry it: it
// never changes.
const ProviderName = "clarion"

// clientName is the user agent suffix of the provider's own clients.
const clientName = "clarion-provider"

// restoreRetry is how long the API server is left alone when it could not say which addresses
// Services have.
const restoreRetry = time.Second

// Config is what a Cloud works with.
type Config struct {
	// Informers are those that the controllers share. They are started after SetInformers.
	Informers informers.SharedInformerFactory
	// WrapTransport is put before the transport of the provider's own clients.
	WrapTransport transport.WrapperFunc
	// Elected is closed when the process is to act.
	Elected <-chan struct{}
	// Scope says which Services are served.
	Scope scope.Scope
	// IgnoreExcludeLabel says that announcers announce from nodes that a label excludes from load balancers.
	IgnoreExcludeLabel bool
	// WithdrawEndpoints has the pods of nodes marked not ready that the announcers take for dead.
	WithdrawEndpoints bool
	// Machines is what the cloud config says of the machines; empty if there is none.
	Machines *cloudconfig.Config
	Events   record.EventRecorder
	Metrics  MetricsRegistry
	Logger   klog.Logger
}

// Cloud implements cloudprovider.Interface and cloudprovider.InformerUser.
type Cloud struct {
	Config
	metrics   *providerMetrics
	allocator *loadbalancer.Allocator
	feed      *serviceFeed
	custody   *custody

	// These are made by Initialize.
	kube       kubernetes.Interface
	clarion    clarioninformers.SharedInformerFactory
	conditions *conditionWriter
	pools      *pools.Controller
	announced  *announced.Controller
	// withdrawal is nil if endpoints are not withdrawn.
	withdrawal *withdrawal.Controller
	// deadNodes has the Leases of announcers; nil if they are not to be acted upon.
	deadNodes cache.SharedIndexInformer
	balancer  *balancer
	reminders *reminders
	stop      <-chan struct{}

	progress
	mu sync.Mutex
	// deleted holds the Services whose deletion is seen while restore is at work, and is nil otherwise.
	deleted map[types.UID]bool
}

var (
	_ cloudprovider.Interface    = (*Cloud)(nil)
	_ cloudprovider.InformerUser = (*Cloud)(nil)
)

// New returns a Cloud. Its metrics are registered; all else begins with Initialize and SetInformers.
func New(config Config) *Cloud {
	core := config.Informers.Core().V1()
	custody := newCustody(config.Scope)
	informer.SetTransform(core.Services().Informer(), custody.transform)
	informer.SetTransform(core.Nodes().Informer(), dropManagedFields)
	informer.AddIndex(core.Services().Informer(), byAddress, statusAddresses)
	allocator := loadbalancer.New()
	metrics := newMetrics(config.Metrics, allocator)
	guard.SetReporter(guard.NewReporter(
		func() klog.Logger { return config.Logger },
		func(component string) { metrics.panics.WithLabelValues(component).Inc() },
	))
	return &Cloud{
		Config:    config,
		metrics:   metrics,
		allocator: allocator,
		feed:      newServiceFeed(core.Services(), config.Scope),
		custody:   custody,
		progress:  progress{informer.NewReads(), make(chan struct{}), make(chan struct{})},
	}
}

// Initialize makes the clients and the controllers over them. The framework calls it once; stop is
// closed when the process is to end.
func (c *Cloud) Initialize(builder cloudprovider.ControllerClientBuilder, stop <-chan struct{}) {
	config := rest.CopyConfig(builder.ConfigOrDie(clientName))
	config.Wrap(c.WrapTransport)
	// The CCM's default is protobuf, which custom resources do not speak.
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	c.InitializeWith(builder.ClientOrDie(clientName), versioned.NewForConfigOrDie(config), stop)
}

func (c *Cloud) InitializeWith(kube kubernetes.Interface, clarion versioned.Interface, stop <-chan struct{}) {
	c.kube, c.stop = kube, stop
	c.clarion = clarioninformers.NewSharedInformerFactory(clarion, 0)
	c.metrics.notReady.follow(c.Informers, c.clarion)
	c.conditions = newConditionWriter(kube.CoreV1(), c.Informers.Core().V1().Services().Lister(), c.Scope)
	c.pools = pools.New(pools.Config{
		Kube:       c.Informers,
		Clarion:    c.clarion,
		KubeClient: kube,
		Client:     clarion,
		Scope:      c.Scope,
		Allocator:  c.allocator,
		Requeue:    c.feed.requeue,
	})
	if c.WithdrawEndpoints {
		c.deadNodes = deadnodes.NewInformer(kube)
	}
	c.announced = announced.New(announced.Config{
		Informers:          c.Informers,
		ClarionInformers:   c.clarion,
		Leases:             c.deadNodes,
		Kube:               kube,
		Clarion:            clarion,
		Allocator:          c.allocator,
		Requeue:            c.feed.requeue,
		LoadBalancerClass:  c.Scope.Class,
		IgnoreExcludeLabel: c.IgnoreExcludeLabel,
		Events:             c.Events,
		Conflicts:          c.metrics.conflicts,
		Logger:             c.Logger,
	})
	if c.WithdrawEndpoints {
		c.withdrawal = withdrawal.New(withdrawal.Config{
			Informers:        c.Informers,
			ClarionInformers: c.clarion,
			Leases:           c.deadNodes,
			Kube:             kube,
			Events:           c.Events,
			Count:            c.metrics.withdrawals,
			Logger:           c.Logger,
		})
	}
	services := c.Informers.Core().V1().Services()
	c.reminders = newReminders(c.Events, services.Lister())
	c.balancer = &balancer{
		allocator:     c.allocator,
		feed:          c.feed,
		services:      services.Lister(),
		conditions:    c.conditions,
		vacating:      newVacating(services.Informer().GetIndexer(), c.allocator.Lookup, c.feed.owns),
		probing:       &probing{newPatience(probeTimeout), c.announced.WishSettled},
		countsChanged: c.pools.CountsChanged,
		events:        c.Events,
		reminders:     c.reminders,
		latency:       c.metrics.latency,
		restored:      c.restored,
	}
	informer.Handle(services.Informer(), informer.Funcs[*corev1.Service]{Add: c.serviceAdded, Update: c.serviceUpdated, Delete: c.serviceDeleted})
}

// SetInformers starts the provider. The framework starts the shared informers afterwards, so
// nothing here waits for them.
func (c *Cloud) SetInformers(informers.SharedInformerFactory) {
	ctx := klog.NewContext(wait.ContextForChannel(c.stop), c.Logger)
	c.watchReads()
	context.AfterFunc(ctx, c.reminders.queue.ShutDown)
	c.clarion.StartWithContext(liblog.Informers(ctx))
	go c.run(ctx)
}

// run stands by until this process is elected, and then acts until the context ends.
func (c *Cloud) run(ctx context.Context) {
	if !c.pools.WaitForSync(ctx) {
		c.announced.ShutDown()
		return
	}
	close(c.synced)
	if c.deadNodes != nil {
		go c.deadNodes.RunWithContext(liblog.Informers(ctx))
	}
	if !c.announced.Follow(ctx, c.Elected) {
		return
	}
	go newGossipKeyController(c.kube).run(ctx)
	if c.withdrawal != nil {
		go c.withdrawal.Run(ctx)
	}
	guard.Run("pools", "", c.pools.Sync)
	guard.Run("announced", "", func() { c.announced.Evaluate() }) // an address in conflict is not restored
	if err := c.restore(ctx); err != nil {
		return // told to stop
	}
	for _, service := range listServices(c.balancer.services) {
		guard.Run("services", nameOf(service).String(), func() { c.serviceAdded(service) })
	}
	go c.reminders.queue.Run(ctx, "services")
	go c.announced.Run(ctx)
	c.pools.Run(ctx)
}

// restore tells the allocator what addresses Services have, before it may give any to another. It
// asks the API server itself, with a quorum read, because an informer's first list may be older
// than the last write of the former leader.
func (c *Cloud) restore(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	c.mu.Lock()
	c.deleted = map[types.UID]bool{}
	c.mu.Unlock()
	var list *corev1.ServiceList
	err := wait.PollUntilContextCancel(ctx, restoreRetry, true, func(ctx context.Context) (bool, error) {
		var err error
		list, err = c.kube.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			logger.Error(err, "Cannot list the Services to learn which addresses they have")
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
		if !c.feed.Wants(service) || c.deleted[service.UID] {
			continue
		}
		guard.Run("services", nameOf(service).String(), func() {
			request, _ := loadbalancer.NewRequest(service) // what is wrong with it is said when it is served
			requests = append(requests, request)
		})
	}
	c.balancer.reportDoubleClaims(c.allocator.Restore(time.Now(), requests))
	c.deleted = nil
	close(c.restored)
	logger.Info("Learned which addresses Services have", "services", len(requests))
	return nil
}

// serviceAdded has a Service told that means Clarion and says something else. Of those that are there
// when the process is elected, run tells.
func (c *Cloud) serviceAdded(service *corev1.Service) {
	select {
	case <-c.restored:
		if !c.feed.owns(service) {
			c.reportNearMiss(service)
		}
	default:
	}
}

// serviceUpdated requeues a Service for the changes that concern us and that the service controller
// does not look at.
func (c *Cloud) serviceUpdated(before, after *corev1.Service) {
	c.conditions.seen(nameOf(after))
	c.feed.requeue(c.balancer.vacating.changed(before.UID)...)
	if before.UID != after.UID { // deleted and created again in between
		c.release(before)
	}
	if !c.feed.owns(after) {
		if c.feed.owns(before) {
			c.release(after)
		}
		if c.Scope.NearMiss(before) != c.Scope.NearMiss(after) || len(before.Status.LoadBalancer.Ingress) != len(after.Status.LoadBalancer.Ingress) {
			c.serviceAdded(after)
		}
		return
	}
	if c.balancer.needsRequeue(before, after) {
		c.feed.requeue(nameOf(after))
	}
}

func (c *Cloud) serviceDeleted(service *corev1.Service) {
	c.custody.forget(service)
	c.release(service)
	c.feed.requeue(c.balancer.vacating.changed(service.UID)...)
}

// release releases the addresses of a Service that is gone. One whose finalizer was served has none
// left.
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
func (c *Cloud) InstancesV2() (cloudprovider.InstancesV2, bool) {
	return instances{c.Machines, c.clarion.Clarion().V1alpha1().Announcers().Lister(), c.Events}, true
}

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

// dropManagedFields is an informer transform: nothing here reads the field, and it is most of an
// object's size.
func dropManagedFields(obj any) (any, error) {
	if object, ok := obj.(metav1.Object); ok {
		object.SetManagedFields(nil)
	}
	return obj, nil
}
