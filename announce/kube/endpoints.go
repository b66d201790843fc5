package kube

import (
	"context"
	"slices"
	"sync"
	"unique"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/informer"
)

// endpointSource watches EndpointSlices. Those of all Services come, as no selector tells which are load balancers, and any may
// become one: most of what an announcer holds in a large cluster. So it has no informer with a cache of objects, but what plans need
// of each, in one copy for all Views. Views get those of load balancers alone.
type endpointSource struct {
	reflector *cache.Reflector
	// isLoadBalancer says whether a Service is one, as far as is known; Views get its slices when it has become one.
	isLoadBalancer func(service types.NamespacedName) bool
	transform      cache.TransformFunc
	subscriptions  []*Subscription
	// reads is told why they cannot be read.
	reads *informer.Reads
	// listed is closed when the first list is here.
	listed chan struct{}

	mu     sync.Mutex
	slices map[types.NamespacedName]*plan.Endpoints
	// byService has the names of the slices of a Service.
	byService map[types.NamespacedName][]string
}

func newEndpointSource(kube kubernetes.Interface, isLoadBalancer func(types.NamespacedName) bool) *endpointSource {
	s := &endpointSource{
		isLoadBalancer: isLoadBalancer,
		listed:         make(chan struct{}),
		slices:         map[types.NamespacedName]*plan.Endpoints{},
		byService:      map[types.NamespacedName][]string{},
	}
	client := kube.DiscoveryV1().EndpointSlices(metav1.NamespaceAll)
	s.reflector = cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			withService(&o)
			list, err := client.List(ctx, o)
			s.failed(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			withService(&o)
			w, err := client.Watch(ctx, o)
			s.failed(err)
			return w, err
		},
	}, kube), &discoveryv1.EndpointSlice{}, s, cache.ReflectorOptions{})
	return s
}

func (s *endpointSource) follow(reads *informer.Reads) { s.reads = reads }

// failed notes that the slices could not be read, if so.
func (s *endpointSource) failed(err error) {
	if err == nil {
		return
	}
	s.reads.Failed("EndpointSlices", func() bool {
		select {
		case <-s.listed:
			return true
		default:
			return false
		}
	}, err)
}

// withService selects the EndpointSlices of Services. Those without an address of their own have no
// load balancer either.
func withService(o *metav1.ListOptions) {
	o.LabelSelector = discoveryv1.LabelServiceName + ",!" + corev1.IsHeadlessService
}

func (s *endpointSource) subscribe(subscription *Subscription) {
	s.subscriptions = append(s.subscriptions, subscription)
}

func (s *endpointSource) start(transform cache.TransformFunc) { s.transform = transform }

func (s *endpointSource) run(ctx context.Context) { s.reflector.RunWithContext(ctx) }

func (s *endpointSource) synced() <-chan struct{} { return s.listed }

// apply brings a View up to date with one slice.
func (s *endpointSource) apply(subscription *Subscription, view *plan.View, name cache.ObjectName) {
	subscription.take(&discoveryv1.EndpointSlice{}, types.NamespacedName(name), func() { s.give(view, name) })
}

func (s *endpointSource) give(view *plan.View, name cache.ObjectName) {
	s.mu.Lock()
	e := s.slices[types.NamespacedName(name)]
	s.mu.Unlock()
	if e != nil && !s.isLoadBalancer(types.NamespacedName{Namespace: name.Namespace, Name: e.Service()}) {
		e = nil
	}
	view.SetEndpoints(types.NamespacedName(name), e)
}

// applyService brings a View up to date with all slices of a Service that has become a load balancer, or is none any more.
func (s *endpointSource) applyService(view *plan.View, service types.NamespacedName, isLoadBalancer bool) {
	if !isLoadBalancer {
		view.ForgetEndpoints(service)
		return
	}
	s.mu.Lock()
	names := slices.Clone(s.byService[service])
	s.mu.Unlock()
	for _, name := range names {
		s.give(view, cache.ObjectName{Namespace: service.Namespace, Name: name})
	}
}

// Transformer implements cache.TransformingStore.
func (s *endpointSource) Transformer() cache.TransformFunc { return s.transform }

// Add implements cache.ReflectorStore.
func (s *endpointSource) Add(object any) error { return s.Update(object) }

// Update implements cache.ReflectorStore.
func (s *endpointSource) Update(object any) error {
	_, err := s.take(object)
	return err
}

// Delete implements cache.ReflectorStore.
func (s *endpointSource) Delete(object any) error {
	name, err := cache.DeletionHandlingObjectToName(object)
	if err == nil {
		s.set(types.NamespacedName(name), nil)
	}
	return err
}

// Replace implements cache.ReflectorStore.
func (s *endpointSource) Replace(objects []any, _ string) error {
	present := make(map[types.NamespacedName]struct{}, len(objects))
	for _, object := range objects {
		name, err := s.take(object)
		if err != nil {
			return err
		}
		present[name] = struct{}{}
	}
	for _, name := range s.namesWithout(present) {
		s.set(name, nil)
	}
	select {
	case <-s.listed:
	default:
		close(s.listed)
	}
	return nil
}

// Resync implements cache.ReflectorStore.
func (s *endpointSource) Resync() error { return nil }

func (s *endpointSource) namesWithout(present map[types.NamespacedName]struct{}) (gone []types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.slices {
		if _, is := present[name]; !is {
			gone = append(gone, name)
		}
	}
	return gone
}

// take notes a slice as it is now, and returns its name. Of one that cannot be read for a fault of the program, what is held stays.
func (s *endpointSource) take(object any) (types.NamespacedName, error) {
	found, err := cache.MetaNamespaceKeyFunc(object)
	if err != nil {
		return types.NamespacedName{}, err
	}
	namespace, name, err := cache.SplitMetaNamespaceKey(found)
	if err != nil {
		return types.NamespacedName{}, err
	}
	slice := types.NamespacedName{Namespace: intern(namespace), Name: name}
	if p := guard.Do("api", object, func() {
		var e *plan.Endpoints
		if e, err = s.read(object); err == nil {
			s.set(slice, e)
		}
	}); p != nil {
		guard.Report("api", informer.Kind(object)+" "+slice.String(), p)
		s.subscriptions[0].failed(object, slice, p) // one is enough
	}
	return slice, err
}

func (s *endpointSource) read(object any) (*plan.Endpoints, error) {
	reduced, err := s.transform(object)
	if err != nil {
		return nil, err
	}
	slice := reduced.(*discoveryv1.EndpointSlice)
	slice.Labels[discoveryv1.LabelServiceName] = intern(slice.Labels[discoveryv1.LabelServiceName])
	for i, e := range slice.Endpoints {
		if e.NodeName != nil {
			slice.Endpoints[i].NodeName = new(intern(*e.NodeName))
		}
	}
	return plan.NewEndpoints(slice), nil
}

// intern returns the one copy of a text that all share: each object comes with its own.
func intern(text string) string { return unique.Make(text).Value() }

// set takes a slice as it is now, nil if it is gone, and tells the Subscriptions if plans need to know.
func (s *endpointSource) set(name types.NamespacedName, e *plan.Endpoints) {
	s.mu.Lock()
	before := s.slices[name]
	if before == nil && e == nil || before != nil && e != nil && before.Equal(e) {
		s.mu.Unlock()
		return
	}
	concerned := s.index(name, before, e)
	s.mu.Unlock()
	if slices.ContainsFunc(concerned, s.isLoadBalancer) {
		for _, subscription := range s.subscriptions {
			subscription.note(change{s, cache.ObjectName(name)})
		}
	}
}

// index stores a slice, under mu, and returns whose endpoints it had and has.
func (s *endpointSource) index(name types.NamespacedName, before, after *plan.Endpoints) (services []types.NamespacedName) {
	owner := func(e *plan.Endpoints) types.NamespacedName {
		return types.NamespacedName{Namespace: name.Namespace, Name: e.Service()}
	}
	if before != nil {
		service := owner(before)
		services = append(services, service)
		names := slices.DeleteFunc(s.byService[service], func(other string) bool { return other == name.Name })
		if s.byService[service] = names; len(names) == 0 {
			delete(s.byService, service)
		}
		delete(s.slices, name)
	}
	if after != nil {
		service := owner(after)
		services = append(services, service)
		s.byService[service] = append(s.byService[service], name.Name)
		s.slices[name] = after
	}
	return services
}
