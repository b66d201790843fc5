package kube

import (
	"context"
	"fmt"
	"maps"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	informers "github.com/clarionlb/clarion/client/informers/api/v1alpha1"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/notify"
)

// Watcher watches the API and brings Views up to date with it. Objects are stripped to what Views use before they are stored.
type Watcher struct {
	// Layer2 and BGP have a View each, so that neither waits for the other, and each of what its protocol depends on.
	Layer2, BGP *Subscription

	sources []source
}

// Subscription brings one View up to date. Changes are collected, so that it follows thousands of them in one go.
type Subscription struct {
	watcher *Watcher
	sources []int
	changed notify.Signal

	mu      sync.Mutex
	pending map[change]struct{}
	// announcers are not reduced to those that have changed: every state counts, in the order of the watch.
	announcers []announcerChange
}

// source is one kind of objects.
type source struct {
	informer cache.SharedIndexInformer
	// apply takes the object as it is now; nil if it is gone.
	apply func(view *plan.View, name types.NamespacedName, object any)
	// subscriptions are those that it is for.
	subscriptions []*Subscription
	// spec says that of an object only the spec and the labels matter.
	spec bool
	// delivered is done when the objects of the first list have been noted.
	delivered cache.DoneChecker
}

type change struct {
	source int
	name   cache.ObjectName
}

// announcerChange is a state of an Announcer; the object is nil when it is gone.
type announcerChange struct {
	name   string
	object *v1alpha1.Announcer
}

// Sources of a Feed that others ask for.
const (
	nodeSource = iota
	announcerSource
)

// NewWatcher returns a Feed for the announcer of a node that knows nothing until it runs.
func NewWatcher(kube kubernetes.Interface, clarion versioned.Interface, node string, logger klog.Logger) (*Watcher, error) {
	loadBalancers := func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.type", string(corev1.ServiceTypeLoadBalancer)).String()
	}
	// Services without an address of their own have no load balancer either.
	withService := func(o *metav1.ListOptions) {
		o.LabelSelector = discoveryv1.LabelServiceName + ",!" + corev1.IsHeadlessService
	}
	// Only Secrets of this type can be meant for anything here.
	basicAuth := func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("type", string(corev1.SecretTypeBasicAuth)).String()
	}
	f := &Watcher{}
	f.Layer2, f.BGP = newSubscription(f), newSubscription(f)
	layer2, bgp := []*Subscription{f.Layer2}, []*Subscription{f.BGP}
	both := []*Subscription{f.Layer2, f.BGP}
	f.sources = []source{
		nodeSource: {
			informer: coreinformers.NewNodeInformer(kube, 0, nil),
			apply: func(v *plan.View, name types.NamespacedName, o any) {
				node, _ := o.(*corev1.Node)
				v.SetNode(name.Name, node)
			},
			subscriptions: both,
		},
		announcerSource: {informer: informers.NewAnnouncerInformer(clarion, 0, nil), subscriptions: layer2},
		{
			informer: coreinformers.NewFilteredServiceInformer(kube, metav1.NamespaceAll, 0, nil, loadBalancers),
			apply: func(v *plan.View, name types.NamespacedName, o any) {
				service, _ := o.(*corev1.Service)
				v.SetService(name, service)
			},
			subscriptions: both,
		},
		{
			informer: discoveryinformers.NewFilteredEndpointSliceInformer(kube, metav1.NamespaceAll, 0, nil, withService),
			apply: func(v *plan.View, name types.NamespacedName, o any) {
				slice, _ := o.(*discoveryv1.EndpointSlice)
				v.SetEndpointSlice(name, slice)
			},
			subscriptions: both,
		},
		{
			informer: informers.NewIPAddressPoolInformer(clarion, 0, nil),
			apply: func(v *plan.View, name types.NamespacedName, o any) {
				pool, _ := o.(*v1alpha1.IPAddressPool)
				v.SetPool(name.Name, pool)
			},
			subscriptions: both,
			spec:          true,
		},
		{
			informer: informers.NewL2AdvertisementInformer(clarion, 0, nil),
			apply: func(v *plan.View, name types.NamespacedName, o any) {
				advertisement, _ := o.(*v1alpha1.L2Advertisement)
				if err := v.SetL2Advertisement(name.Name, advertisement); err != nil {
					logger.Error(err, "This L2Advertisement cannot be read and selects nothing", "l2Advertisement", name.Name)
				}
			},
			subscriptions: layer2,
			spec:          true,
		},
		{
			informer: informers.NewBGPAdvertisementInformer(clarion, 0, nil),
			apply: func(v *plan.View, name types.NamespacedName, o any) {
				advertisement, _ := o.(*v1alpha1.BGPAdvertisement)
				if err := v.SetBGPAdvertisement(name.Name, advertisement); err != nil {
					logger.Error(err, "This BGPAdvertisement cannot be read and selects nothing", "bgpAdvertisement", name.Name)
				}
			},
			subscriptions: bgp,
			spec:          true,
		},
		{
			informer: informers.NewBGPPeerInformer(clarion, 0, nil),
			apply: func(v *plan.View, name types.NamespacedName, o any) {
				peer, _ := o.(*v1alpha1.BGPPeer)
				if err := v.SetBGPPeer(name.Name, peer); err != nil {
					logger.Error(err, "This BGPPeer cannot be read and is for no node", "bgpPeer", name.Name)
				}
			},
			subscriptions: bgp,
			spec:          true,
		},
		{
			informer: informers.NewCommunityInformer(clarion, 0, nil),
			apply: func(v *plan.View, name types.NamespacedName, o any) {
				community, _ := o.(*v1alpha1.Community)
				v.SetCommunity(name.Name, community)
			},
			subscriptions: bgp,
			spec:          true,
		},
		{
			informer: informers.NewBFDProfileInformer(clarion, 0, nil),
			apply: func(v *plan.View, name types.NamespacedName, o any) {
				profile, _ := o.(*v1alpha1.BFDProfile)
				if err := v.SetBFDProfile(name.Name, profile); err != nil {
					logger.Error(err, "This BFDProfile is not used", "bfdProfile", name.Name)
				}
			},
			subscriptions: bgp,
			spec:          true,
		},
		{
			informer: coreinformers.NewFilteredSecretInformer(kube, v1alpha1.SystemNamespace, 0, nil, basicAuth),
			apply: func(v *plan.View, name types.NamespacedName, o any) {
				secret, _ := o.(*corev1.Secret)
				v.SetSecret(name.Name, secret)
			},
			subscriptions: bgp,
		},
	}
	for i := range f.sources {
		s := &f.sources[i]
		if err := s.informer.SetTransform(plan.TransformFor(node)); err != nil {
			return nil, fmt.Errorf("strip watched objects: %w", err)
		}
		note := func(o any, gone bool) {
			for _, follower := range s.subscriptions {
				if i == announcerSource {
					follower.noteAnnouncer(o, gone)
				} else {
					follower.note(i, o)
				}
			}
		}
		registration, err := s.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(o any) { note(o, false) },
			UpdateFunc: func(before, o any) {
				if !s.spec || changesSpec(before.(metav1.Object), o.(metav1.Object)) {
					note(o, false)
				}
			},
			DeleteFunc: func(o any) { note(o, true) },
		})
		if err != nil {
			return nil, fmt.Errorf("follow watched objects: %w", err)
		}
		s.delivered = registration.HasSyncedChecker()
		for _, follower := range s.subscriptions {
			follower.sources = append(follower.sources, i)
		}
	}
	return f, nil
}

// changesSpec says whether an object has another spec or other labels, or is another one of the same name.
func changesSpec(before, after metav1.Object) bool {
	return before.GetUID() != after.GetUID() || before.GetGeneration() != after.GetGeneration() || !maps.Equal(before.GetLabels(), after.GetLabels())
}

// Run watches until the context ends.
func (f *Watcher) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, s := range f.sources {
		running.Go(func() { s.informer.RunWithContext(ctx) })
	}
	running.Wait()
	return nil
}

func newSubscription(feed *Watcher) *Subscription {
	return &Subscription{watcher: feed, changed: notify.New(), pending: map[change]struct{}{}}
}

// Wait blocks until Apply has everything that the API had when the Feed began to run; false if the context ends before.
func (f *Subscription) Wait(ctx context.Context) bool {
	for _, s := range f.sources {
		select {
		case <-f.watcher.sources[s].delivered.Done():
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// Changed receives when Apply has something to do.
func (f *Subscription) Changed() <-chan struct{} { return f.changed }

// Apply brings a View up to date; always the same one.
func (f *Subscription) Apply(view *plan.View) {
	f.mu.Lock()
	pending, announcers := f.pending, f.announcers
	f.pending, f.announcers = map[change]struct{}{}, nil
	f.mu.Unlock()
	for _, a := range announcers {
		view.SetAnnouncer(a.name, a.object)
	}
	for c := range pending {
		s := f.watcher.sources[c.source]
		object, exists, err := s.informer.GetStore().GetByKey(c.name.String())
		if err != nil || !exists {
			object = nil
		}
		s.apply(view, types.NamespacedName{Namespace: c.name.Namespace, Name: c.name.Name}, object)
	}
}

// Node returns the Node of that name, stripped; nil if there is none.
func (f *Watcher) Node(name string) *corev1.Node {
	object, _, _ := f.sources[nodeSource].informer.GetStore().GetByKey(name)
	node, _ := object.(*corev1.Node)
	return node
}

// WaitAnnouncers blocks until Announcer knows all that there were when the Feed began to run; false if the context ends before.
func (f *Watcher) WaitAnnouncers(ctx context.Context) bool {
	select {
	case <-f.sources[announcerSource].delivered.Done():
		return true
	case <-ctx.Done():
		return false
	}
}

// Announcer returns the Announcer of that name; nil if there is none. It must not be modified.
func (f *Watcher) Announcer(name string) *v1alpha1.Announcer {
	object, _, _ := f.sources[announcerSource].informer.GetStore().GetByKey(name)
	announcer, _ := object.(*v1alpha1.Announcer)
	return announcer
}

func (f *Subscription) note(source int, object any) {
	name, err := cache.DeletionHandlingObjectToName(object)
	if err != nil {
		return
	}
	f.mu.Lock()
	f.pending[change{source, name}] = struct{}{}
	f.mu.Unlock()
	f.changed.Notify()
}

// noteAnnouncer keeps every state of an Announcer and their order: of two claims the one that was there first holds.
func (f *Subscription) noteAnnouncer(object any, gone bool) {
	name, err := cache.DeletionHandlingObjectToName(object)
	if err != nil {
		return
	}
	announcer, _ := object.(*v1alpha1.Announcer)
	if gone {
		announcer = nil
	}
	f.mu.Lock()
	f.announcers = append(f.announcers, announcerChange{name.Name, announcer})
	f.mu.Unlock()
	f.changed.Notify()
}
