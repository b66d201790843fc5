package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/notify"
	"github.com/clarionlb/clarion/loadbalancer"
)

const (
	// announcedPause is how long changes are collected after others were looked at: the first is looked at at once.
	announcedPause = 200 * time.Millisecond
	// announcedPatience is how long an address must have been without announcement before the Service says so. A new one, or
	// one that moves, has it back sooner, and costs one write instead of two.
	announcedPatience = time.Second
	// announcedCalm is how long it waits that an address is announced by BGP from fewer nodes than the Service says: a node
	// that goes and comes back, for an upgrade say, would otherwise have every Service written to twice.
	announcedCalm = 10 * time.Second
	// announcedWriters is how many Services are written to at once.
	announcedWriters = 5
)

// announcedKeeper keeps the Announced condition of Services, and tells the allocator for which addresses strangers answer.
//
//	informers ──► pending ──► observer ──► wanted conditions ──► queue ──► patches of the Services where they differ
//	                             └──► contested addresses ──► allocator
type announcedKeeper struct {
	allocator *loadbalancer.Allocator
	feed      *serviceFeed
	client    typedcorev1.ServicesGetter
	clarion   versioned.Interface
	services  corelisters.ServiceLister
	events    record.EventRecorder
	observer  *observer
	sources   []announcedSource
	queue     workqueue.TypedRateLimitingInterface[types.NamespacedName]

	// changed is signalled when something is pending.
	changed notify.Signal
	mu      sync.Mutex
	pending map[announcedChange]struct{}
	wanted  map[types.NamespacedName]wantedCondition
}

// announcedSource is one kind of objects that the observer follows.
type announcedSource struct {
	informer cache.SharedIndexInformer
	// set hands the observer an object as it is now; nil if it is gone.
	set func(name types.NamespacedName, object any)
	// concerns tells whether an update is of interest.
	concerns func(before, after any) bool
}

type announcedChange struct {
	source int
	name   cache.ObjectName
}

// wantedCondition is the condition that a Service is to have, nil for none, and since when.
type wantedCondition struct {
	condition *metav1.Condition
	since     time.Time
}

func newAnnouncedKeeper(allocator *loadbalancer.Allocator, feed *serviceFeed, events record.EventRecorder) *announcedKeeper {
	return &announcedKeeper{
		allocator: allocator,
		feed:      feed,
		services:  feed.ServiceInformer.Lister(),
		events:    events,
		observer:  newObserver(),
		queue:     workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[types.NamespacedName]()),
		changed:   notify.New(),
		pending:   map[announcedChange]struct{}{},
		wanted:    map[types.NamespacedName]wantedCondition{},
	}
}

// announcedInformers are the informers of what decides about the announcement of Services.
type announcedInformers struct {
	services, slices, nodes, pools, advertisements, announcers cache.SharedIndexInformer
	bgpPeers, bgpAdvertisements, communities, bfdProfiles      cache.SharedIndexInformer
}

// follow adds handlers to informers, which have not been started, and returns what tells when they have delivered what there
// is at first.
func (k *announcedKeeper) follow(i announcedInformers) []cache.InformerSynced {
	k.sources = []announcedSource{
		{i.services, func(name types.NamespacedName, o any) {
			service, _ := o.(*corev1.Service)
			k.observer.setService(name, service)
		}, always},
		{i.slices, func(name types.NamespacedName, o any) {
			slice, _ := o.(*discoveryv1.EndpointSlice)
			k.observer.setEndpointSlice(name, slice)
		}, always},
		{i.nodes, func(name types.NamespacedName, o any) {
			node, _ := o.(*corev1.Node)
			k.observer.setNode(name.Name, node)
		}, nodeConcerns},
		{i.pools, func(name types.NamespacedName, o any) {
			pool, _ := o.(*v1alpha1.IPAddressPool)
			k.observer.setPool(name.Name, pool)
		}, specConcerns},
		{i.advertisements, func(name types.NamespacedName, o any) {
			advertisement, _ := o.(*v1alpha1.L2Advertisement)
			if err := k.observer.setAdvertisement(name.Name, advertisement); err != nil {
				klog.ErrorS(err, "This L2Advertisement cannot be read and selects nothing", "l2Advertisement", name.Name)
			}
		}, specConcerns},
		{i.announcers, func(name types.NamespacedName, o any) {
			announcer, _ := o.(*v1alpha1.Announcer)
			k.observer.setAnnouncer(name.Name, announcer)
		}, always},
		{i.bgpPeers, func(name types.NamespacedName, o any) {
			peer, _ := o.(*v1alpha1.BGPPeer)
			k.observer.setBGPPeer(name.Name, peer)
		}, always},
		{i.bgpAdvertisements, func(name types.NamespacedName, o any) {
			advertisement, _ := o.(*v1alpha1.BGPAdvertisement)
			k.observer.setBGPAdvertisement(name.Name, advertisement)
		}, always},
		{i.communities, func(name types.NamespacedName, o any) {
			community, _ := o.(*v1alpha1.Community)
			k.observer.setCommunity(name.Name, community)
		}, specConcerns},
		{i.bfdProfiles, func(name types.NamespacedName, o any) {
			profile, _ := o.(*v1alpha1.BFDProfile)
			k.observer.setBFDProfile(name.Name, profile)
		}, always},
	}
	var synced []cache.InformerSynced
	for source, s := range k.sources {
		note := func(object any) { k.note(source, object) }
		registration, err := s.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: note,
			UpdateFunc: func(before, after any) {
				if before.(metav1.Object).GetResourceVersion() != after.(metav1.Object).GetResourceVersion() && s.concerns(before, after) {
					note(after)
				}
			},
			DeleteFunc: note,
		})
		if err != nil {
			panic(fmt.Sprintf("add a handler to an informer: %v", err)) // it has not been started
		}
		synced = append(synced, registration.HasSynced)
	}
	return synced
}

func always(_, _ any) bool { return true }

// specConcerns is for objects of which status and annotations do not matter.
func specConcerns(before, after any) bool {
	a, b := before.(metav1.Object), after.(metav1.Object)
	return a.GetUID() != b.GetUID() || a.GetGeneration() != b.GetGeneration() || !reflect.DeepEqual(a.GetLabels(), b.GetLabels())
}

// nodeConcerns leaves out what a kubelet reports all the time.
func nodeConcerns(before, after any) bool {
	reduced := func(node *corev1.Node) *corev1.Node {
		out := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: node.Labels, Annotations: node.Annotations}}
		out.Spec.Taints, out.Status.Addresses = node.Spec.Taints, node.Status.Addresses
		for _, c := range node.Status.Conditions {
			out.Status.Conditions = append(out.Status.Conditions, corev1.NodeCondition{Type: c.Type, Status: c.Status})
		}
		return out
	}
	return !apiequality.Semantic.DeepEqual(reduced(before.(*corev1.Node)), reduced(after.(*corev1.Node)))
}

func (k *announcedKeeper) note(source int, object any) {
	name, err := cache.DeletionHandlingObjectToName(object)
	if err != nil {
		return
	}
	k.mu.Lock()
	k.pending[announcedChange{source, name}] = struct{}{}
	k.mu.Unlock()
	k.changed.Notify()
}

// run follows the changes until the context ends.
func (k *announcedKeeper) run(ctx context.Context) {
	var writers sync.WaitGroup
	for range announcedWriters {
		writers.Go(func() {
			for k.writeNext(ctx) {
			}
		})
	}
	context.AfterFunc(ctx, k.queue.ShutDown)
	defer writers.Wait()
	for {
		again := k.look()
		if !k.writeRoutes(ctx) {
			if retry := time.Now().Add(retryDelay); again.IsZero() || retry.Before(again) {
				again = retry
			}
		}
		var timer <-chan time.Time
		if !again.IsZero() {
			timer = time.After(time.Until(again))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(announcedPause):
		}
		select {
		case <-ctx.Done():
			return
		case <-timer:
		case <-k.changed:
		}
	}
}

// look brings everything up to date with what is pending, but for the writes. It returns when time alone will change
// something; zero if never.
func (k *announcedKeeper) look() (again time.Time) {
	k.mu.Lock()
	pending := k.pending
	k.pending = map[announcedChange]struct{}{}
	k.mu.Unlock()
	for change := range pending {
		s := k.sources[change.source]
		object, exists, err := s.informer.GetStore().GetByKey(change.name.String())
		if err != nil || !exists {
			object = nil
		}
		s.set(types.NamespacedName{Namespace: change.name.Namespace, Name: change.name.Name}, object)
	}

	now, before := time.Now(), k.observer.contested
	conditions, again := k.observer.look(now)
	if !maps.Equal(before, k.observer.contested) {
		k.report(before)
		k.feed.poke(k.allocator.SetConflicts(now, contestedAddresses(k.observer.contested))...)
	}
	k.mu.Lock()
	for name, condition := range conditions {
		if is, known := k.wanted[name]; !known || !reflect.DeepEqual(is.condition, condition) {
			k.wanted[name] = wantedCondition{condition, now}
		}
	}
	k.mu.Unlock()
	for name := range conditions {
		k.queue.Add(name)
	}
	return again
}

// report tells the Services whose addresses have become contested, unless they say so already.
func (k *announcedKeeper) report(before map[netip.Addr]contest) {
	contestedMetric.Set(float64(len(k.observer.contested)))
	for address, contest := range k.observer.contested {
		who := contest.who
		if before[address].who == who {
			continue
		}
		klog.InfoS("Strangers answer for an address", "address", address, "who", who)
		for _, name := range k.observer.byAddress[address] {
			service := k.observer.services[name]
			if said := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAnnounced); said != nil && strings.Contains(said.Message, who) {
				continue
			}
			k.events.Event(service, corev1.EventTypeWarning, v1alpha1.ReasonAddressConflict, address.String()+": "+who)
		}
	}
}

// writeNext writes the condition of the next Service that is due; false when there will be none any more.
func (k *announcedKeeper) writeNext(ctx context.Context) bool {
	name, end := k.queue.Get()
	if end {
		return false
	}
	defer k.queue.Done(name)
	wait, err := k.write(ctx, name, time.Now())
	if err != nil {
		klog.FromContext(ctx).Error(err, "Cannot write the Announced condition of a Service", "service", name)
		k.queue.AddRateLimited(name)
		return true
	}
	k.queue.Forget(name)
	if wait > 0 {
		k.queue.AddAfter(name, wait)
	}
	return true
}

// write has a Service say what it is to say. If it is too early for that, it returns how long to wait.
func (k *announcedKeeper) write(ctx context.Context, name types.NamespacedName, now time.Time) (wait time.Duration, err error) {
	k.mu.Lock()
	wanted := k.wanted[name]
	if wanted.condition == nil {
		delete(k.wanted, name)
	}
	k.mu.Unlock()
	service, err := k.services.Services(name.Namespace).Get(name.Name)
	if err != nil || service.DeletionTimestamp != nil {
		return 0, nil // gone or going
	}
	has := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAnnounced)
	var change any
	switch {
	case wanted.condition == nil && has == nil, wanted.condition != nil && has != nil && sameAnswer(*has, *wanted.condition):
		return 0, nil
	case wanted.condition == nil:
		change = map[string]any{"$patch": "delete", "type": v1alpha1.ConditionAnnounced}
	case wanted.condition.Status != metav1.ConditionTrue && now.Before(wanted.since.Add(announcedPatience)):
		return wanted.since.Add(announcedPatience).Sub(now), nil
	case has != nil && now.Before(wanted.since.Add(recountPatience(has.Message, wanted.condition.Message))):
		return wanted.since.Add(recountPatience(has.Message, wanted.condition.Message)).Sub(now), nil
	default:
		conditions := []metav1.Condition{}
		if has != nil {
			conditions = append(conditions, *has)
		}
		meta.SetStatusCondition(&conditions, *wanted.condition) // it knows the transition time
		change = conditions[0]
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": service.UID},
		"status":   map[string]any{"conditions": []any{change}},
	})
	if err != nil {
		return 0, fmt.Errorf("encode the condition: %w", err)
	}
	_, err = k.client.Services(name.Namespace).Patch(ctx, name.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	return 0, err
}
