package kube

import (
	"cmp"
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	informers "github.com/clarionlb/clarion/client/informers/api/v1alpha1"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/informer"
	"github.com/clarionlb/clarion/internal/liblog"
)

// Watcher watches the API and brings Views up to date with it. Objects are reduced to what Views
// use before they are stored.
type Watcher struct {
	// Layer2 and BGP have a View each, so that neither waits for the other, and each of what its
	// protocol depends on.
	Layer2, BGP *Subscription

	nodes      *source[corev1.Node]
	services   *source[corev1.Service]
	announcers *source[v1alpha1.Announcer]
	slices     *source[v1alpha1.ClaimSlice]
	sources    []watched
	// reads knows what cannot be read, and unread is told of it.
	reads  *informer.Reads
	unread func(err error)
}

// NewWatcher returns a Watcher for the announcer of a node that knows nothing until it runs.
func NewWatcher(kube kubernetes.Interface, clarion versioned.Interface, node string) *Watcher {
	w := &Watcher{
		Layer2: newSubscription(),
		BGP:    newSubscription(),
		reads:  informer.NewReads(),
		unread: func(error) {},
		nodes:  &source[corev1.Node]{informer: coreinformers.NewNodeInformer(kube, 0, nil), set: byName((*plan.View).SetNode)},
		// Of two claims the one that was recorded first holds.
		announcers: &source[v1alpha1.Announcer]{
			informer: informers.NewAnnouncerInformer(clarion, 0, cache.Indexers{bySlices: readsNoSlices}), set: byName((*plan.View).SetAnnouncer), ordered: true,
		},
		slices: &source[v1alpha1.ClaimSlice]{
			informer: informers.NewClaimSliceInformer(clarion, 0, cache.Indexers{byAnnouncer: announcerOf}),
			set:      byName((*plan.View).SetClaimSlice), ordered: true,
		},
	}
	w.watch(w.nodes, w.Layer2, w.BGP)
	w.watch(w.announcers, w.Layer2)
	w.watch(w.slices, w.Layer2)
	// Of Announcers, BGP needs to know no more than what they say of kube-proxy and of their sessions.
	w.watch(&source[v1alpha1.Announcer]{informer: w.announcers.informer, shared: true, set: byName((*plan.View).SetSpeaker)}, w.BGP)
	services := &source[corev1.Service]{informer: coreinformers.NewFilteredServiceInformer(kube, metav1.NamespaceAll, 0, cache.Indexers{byAnswer: answerOf}, ofLoadBalancers)}
	w.services = services
	endpoints := newEndpointSource(kube, func(name types.NamespacedName) bool { return services.get(name.String()) != nil })
	services.set = func(view *plan.View, name types.NamespacedName, object *corev1.Service) {
		view.SetService(name, object)
		endpoints.applyService(view, name, object != nil)
	}
	w.watch(services, w.Layer2, w.BGP)
	w.watch(endpoints, w.Layer2, w.BGP)
	w.watch(&source[v1alpha1.IPAddressPool]{
		informer: informers.NewIPAddressPoolInformer(clarion, 0, nil), set: byName((*plan.View).SetPool), specOnly: true,
	}, w.Layer2, w.BGP)
	w.watch(&source[v1alpha1.L2Advertisement]{
		informer: informers.NewL2AdvertisementInformer(clarion, 0, nil),
		set:      byName((*plan.View).SetL2Advertisement),
		specOnly: true,
	}, w.Layer2)
	w.watch(&source[v1alpha1.BGPAdvertisement]{
		informer: informers.NewBGPAdvertisementInformer(clarion, 0, nil),
		set:      byName((*plan.View).SetBGPAdvertisement),
		specOnly: true,
	}, w.BGP)
	w.watch(&source[v1alpha1.BGPPeer]{
		informer: informers.NewBGPPeerInformer(clarion, 0, nil),
		set:      byName((*plan.View).SetBGPPeer),
		specOnly: true,
	}, w.BGP)
	w.watch(&source[v1alpha1.Community]{
		informer: informers.NewCommunityInformer(clarion, 0, nil), set: byName((*plan.View).SetCommunity), specOnly: true,
	}, w.BGP)
	w.watch(&source[v1alpha1.BFDProfile]{
		informer: informers.NewBFDProfileInformer(clarion, 0, nil),
		set:      byName((*plan.View).SetBFDProfile),
		specOnly: true,
	}, w.BGP)
	w.watch(&source[corev1.Secret]{
		informer: coreinformers.NewFilteredSecretInformer(kube, v1alpha1.PasswordNamespace, 0, nil, basicAuth),
		set:      byName((*plan.View).SetSecret),
	}, w.BGP)
	for _, s := range w.sources {
		s.follow(w.reads)
		s.start(plan.TransformFor(node))
	}
	return w
}

func (w *Watcher) watch(s watched, subscriptions ...*Subscription) {
	w.sources = append(w.sources, s)
	for _, subscription := range subscriptions {
		s.subscribe(subscription)
		subscription.sources = append(subscription.sources, s)
	}
}

func ofLoadBalancers(o *metav1.ListOptions) {
	o.FieldSelector = fields.OneTermEqualSelector("spec.type", string(corev1.ServiceTypeLoadBalancer)).String()
}

// basicAuth selects the Secrets that can be meant for a BGPPeer.
func basicAuth(o *metav1.ListOptions) {
	o.FieldSelector = fields.OneTermEqualSelector("type", string(corev1.SecretTypeBasicAuth)).String()
}

// byName is for objects that a View knows by their name alone.
func byName[T any](set func(*plan.View, string, *T)) setter[T] {
	return func(view *plan.View, name types.NamespacedName, object *T) { set(view, name.Name, object) }
}

// OnFailure has a function told of objects that a View could not take for a fault of the program. It
// is to be called before Run; the function may be called by several goroutines.
func (w *Watcher) OnFailure(failed func(object any, name types.NamespacedName, p *guard.Panic)) {
	w.Layer2.failed, w.BGP.failed = failed, failed
}

// OnUnread has a function told what cannot be read of what there was at first, after unreadInterval and
// again every answerReminder. It is to be called before Run.
func (w *Watcher) OnUnread(tell func(err error)) { w.unread = tell }

// Problem says what has not been read yet, and why; nil if there is no error.
func (w *Watcher) Problem() error { return w.reads.Err() }

// unreadInterval is how often it is looked whether something cannot be read: what passes sooner is not told.
const unreadInterval = 10 * time.Second

// reportUnread tells what cannot be read until everything is or the context ends.
func (w *Watcher) reportUnread(ctx context.Context) {
	ticker := time.NewTicker(unreadInterval)
	defer ticker.Stop()
	var told time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if w.synced() {
			return
		}
		if err := w.Problem(); err != nil && (told.IsZero() || time.Since(told) >= answerReminder) {
			told = time.Now()
			w.unread(err)
		}
	}
}

// synced says whether everything was read once.
func (w *Watcher) synced() bool {
	for _, s := range w.sources {
		select {
		case <-s.synced():
		default:
			return false
		}
	}
	return true
}

// Run watches until the context ends.
func (w *Watcher) Run(ctx context.Context) error {
	ctx = liblog.Informers(ctx)
	var running sync.WaitGroup
	for _, s := range w.sources {
		running.Go(func() { s.run(ctx) })
	}
	running.Go(func() { w.reportUnread(ctx) })
	running.Wait()
	return nil
}

// Node returns the Node of that name, reduced to what Views use; nil if there is none. It must not
// be modified.
func (w *Watcher) Node(name string) *corev1.Node { return w.nodes.get(name) }

// Announcer returns the Announcer of that name; nil if there is none. It must not be modified.
func (w *Watcher) Announcer(name string) *v1alpha1.Announcer { return w.announcers.get(name) }

// Indexes of Announcers by whether they read ClaimSlices, and of ClaimSlices by their Announcer.
const bySlices, noSlices, byAnnouncer = "slices", "none", "announcer"

// readsNoSlices is the cache.IndexFunc of bySlices. An Announcer that says nothing yet is left out: its announcer has just been started, and
// asks the others what they have.
func readsNoSlices(object any) ([]string, error) {
	if a, is := object.(*v1alpha1.Announcer); is && a.Status.Layer2.Revision == 0 && len(a.Status.Conditions) > 0 {
		return []string{noSlices}, nil
	}
	return nil, nil
}

func announcerOf(object any) ([]string, error) {
	if s, is := object.(*v1alpha1.ClaimSlice); is {
		return []string{s.Announcer}, nil
	}
	return nil, nil
}

// ClaimSlices are those of the Announcer of that name. They must not be modified.
func (w *Watcher) ClaimSlices(announcer string) (slices []*v1alpha1.ClaimSlice) {
	objects, err := w.slices.informer.GetIndexer().ByIndex(byAnnouncer, announcer)
	if err != nil {
		return nil // there is such an index
	}
	for _, o := range objects {
		if s, is := o.(*v1alpha1.ClaimSlice); is {
			slices = append(slices, s)
		}
	}
	return slices
}

// ClaimSlice returns the ClaimSlice of that name; nil if there is none. It must not be modified.
func (w *Watcher) ClaimSlice(name string) *v1alpha1.ClaimSlice { return w.slices.get(name) }

// AllReadClaimSlices says whether every announcer reads ClaimSlices.
func (w *Watcher) AllReadClaimSlices() bool {
	keys, err := w.announcers.informer.GetIndexer().IndexKeys(bySlices, noSlices)
	return err == nil && len(keys) == 0
}

// OnClaims has a function called, by any goroutine, when the ClaimSlices of a node have changed, or an Announcer says that it does not
// read any. It is to be called before Run.
func (w *Watcher) OnClaims(node string, changed func()) {
	of := func(s *v1alpha1.ClaimSlice) {
		if s.Announcer == node {
			changed()
		}
	}
	informer.Handle(w.slices.informer, informer.Funcs[*v1alpha1.ClaimSlice]{
		Add: of, Update: func(_, s *v1alpha1.ClaimSlice) { of(s) }, Delete: of,
	})
	says := func(a *v1alpha1.Announcer) {
		if keys, _ := readsNoSlices(a); len(keys) > 0 {
			changed()
		}
	}
	informer.Handle(w.announcers.informer, informer.Funcs[*v1alpha1.Announcer]{
		Add: says, Update: func(_, a *v1alpha1.Announcer) { says(a) },
	})
}

// Unanswered are the Services without a class or of this one that Clarion has not answered, reduced to what Views use, and one
// that another load balancer serves, if there is any. They must not be modified. An index has them, so that it costs nothing to
// ask while there are none.
func (w *Watcher) Unanswered(class string) (services []*corev1.Service) {
	for _, key := range []string{unansweredOf(""), unansweredOf(cmp.Or(class, v1alpha1.LoadBalancerClass)), ofOthers} {
		objects, err := w.services.informer.GetIndexer().ByIndex(byAnswer, key)
		if err != nil {
			return nil // there is such an index
		}
		if key == ofOthers {
			objects = objects[:min(len(objects), 1)]
		}
		for _, object := range objects {
			if service, is := object.(*corev1.Service); is {
				services = append(services, service)
			}
		}
	}
	return services
}

// WaitAnnouncers blocks until Announcer knows all that there were when the Watcher began to run;
// false if the context ends before.
func (w *Watcher) WaitAnnouncers(ctx context.Context) bool { return await(ctx, w.announcers) }

// await blocks until the objects of the first list have been noted; false if the context ends before.
func await(ctx context.Context, s watched) bool {
	select {
	case <-s.synced():
		return true
	case <-ctx.Done():
		return false
	}
}
