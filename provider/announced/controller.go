// Package announced is the controller of what the API says about announcements: the condition
// Announced of Services, and the status of L2Advertisements, BGPPeers, BGPAdvertisements,
// Communities and BFDProfiles. It announces nothing and decides nothing: what is so it reads from the
// Announcers, and what is to be and why it asks package plan, by which the announcers themselves go.
//
//	informers ──► informer.Changes ──► evaluator (a plan.View and its planners)
//	                                      ├──► statements ──► conditionWriter ──► condition Announced
//	                                      ├──► conflicts ──► loadbalancer.Allocator, events
//	                                      └──► status of advertisements, BGPPeers, Communities, BFDProfiles
package announced

import (
	"context"
	"maps"
	"net/netip"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	clarioninformers "github.com/clarionlb/clarion/client/informers"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/deadnodes"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/informer"
	"github.com/clarionlb/clarion/internal/liblog"
	"github.com/clarionlb/clarion/loadbalancer"
	"github.com/clarionlb/clarion/provider/internal/status"
)

// evaluationPause is how long changes are collected after others were evaluated: the first is
// evaluated at once.
const evaluationPause = 200 * time.Millisecond

// Config is what a Controller works with.
type Config struct {
	// Informers and ClarionInformers are factories that are started after New.
	Informers        informers.SharedInformerFactory
	ClarionInformers clarioninformers.SharedInformerFactory
	// Leases is deadnodes.NewInformer, which is started after New; nil if announcers record nothing.
	Leases cache.SharedIndexInformer
	// Kube writes the conditions of Services, and Clarion the other statuses.
	Kube    kubernetes.Interface
	Clarion versioned.Interface
	// Allocator is told for which addresses other hosts answer, and Requeue which Services it may
	// answer otherwise now.
	Allocator *loadbalancer.Allocator
	Requeue   func(services ...types.NamespacedName)
	// LoadBalancerClass of the Services that are Clarion's; "" is v1alpha1.LoadBalancerClass.
	LoadBalancerClass string
	// IgnoreExcludeLabel says that announcers announce from nodes that a label excludes from load balancers.
	IgnoreExcludeLabel bool
	// Events go to Services, about what their conditions say and about addresses that conflict, and
	// Conflicts counts such addresses.
	Events    record.EventRecorder
	Conflicts metrics.GaugeMetric
	Logger    klog.Logger
}

// Controller keeps the conditions and statuses up to date.
type Controller struct {
	Config
	services  corelisters.ServiceLister
	slices    cache.SharedIndexInformer
	pods      cache.SharedIndexInformer
	changes   *informer.Changes
	delivered []cache.InformerSynced
	// podsDelivered is apart: who may not list the announcers' Pods does everything else.
	podsDelivered cache.InformerSynced

	evaluator  *evaluator
	conditions *conditionWriter
	// conflicts are those that the allocator was told of last, nil before the first evaluation, and told
	// those that Services were told of.
	conflicts map[netip.Addr]conflict
	told      map[netip.Addr]*toldConflict
	// away are the nodes whose announcers cannot speak for themselves.
	away map[string]*noticed

	mu sync.Mutex
	// wishes are the addresses that Services ask for by name and do not have, with whether they may be
	// given them.
	wishes map[netip.Addr]bool
}

// New returns a Controller that follows the informers once they are started.
func New(config Config) *Controller {
	services := config.Informers.Core().V1().Services()
	c := &Controller{
		Config:     config,
		services:   services.Lister(),
		slices:     newSliceInformer(config.Kube),
		pods:       newPodInformer(config.Kube),
		changes:    informer.NewChanges(),
		told:       map[netip.Addr]*toldConflict{},
		away:       map[string]*noticed{},
		evaluator:  newEvaluator(),
		conditions: newConditionWriter(config.Kube.CoreV1(), services.Lister(), newEventWriter(config.Events, services.Lister())),
	}
	c.evaluator.view.SetClass(config.LoadBalancerClass)
	c.evaluator.view.IgnoreExclusion(config.IgnoreExcludeLabel)
	c.changes.OnFailure(c.failedOn)
	e, core, api := c.evaluator, config.Informers.Core().V1(), config.ClarionInformers.Clarion().V1alpha1()
	c.delivered = []cache.InformerSynced{
		informer.Latest(c.changes, core.Services().Informer(), nil, e.setService),
		informer.Latest(c.changes, c.slices, nil, e.setEndpointSlice),
		informer.Latest(c.changes, core.Nodes().Informer(), nodeConcerns, byName(e.setNode)),
		informer.Latest(c.changes, api.IPAddressPools().Informer(), changesSpec, byName(e.setPool)),
		informer.Latest(c.changes, api.L2Advertisements().Informer(), nil, byName(e.setL2Advertisement)),
		informer.Latest(c.changes, api.BGPPeers().Informer(), nil, byName(e.setBGPPeer)),
		informer.Latest(c.changes, api.BGPAdvertisements().Informer(), nil, byName(e.setBGPAdvertisement)),
		informer.Latest(c.changes, api.Communities().Informer(), nil, byName(e.setCommunity)),
		informer.Latest(c.changes, api.BFDProfiles().Informer(), nil, byName(e.setBFDProfile)),
		// Of two claims with one epoch that holds which was recorded first: every state counts, in
		// the order of the watch.
		informer.States(c.changes, api.Announcers().Informer(), byName(e.setAnnouncer)),
		informer.States(c.changes, api.ClaimSlices().Informer(), byName(e.setClaimSlice)),
	}
	c.podsDelivered = informer.Latest(c.changes, c.pods, nil, e.setPod)
	if config.Leases != nil {
		informer.Latest(c.changes, config.Leases, recordsOtherwise, e.setRecord)
	}
	return c
}

// failedOn has a Service say, or else tells by an event, that an object could not be taken in for a
// fault of the program.
func (c *Controller) failedOn(object any, name types.NamespacedName, p *guard.Panic) {
	switch o := object.(type) {
	case *corev1.Service:
		if o != nil {
			c.evaluator.failedOn(name, p)
			c.Events.Event(o, corev1.EventTypeWarning, v1alpha1.ReasonInternalError, p.Error())
		}
	case *discoveryv1.EndpointSlice:
		if o != nil {
			c.evaluator.failedOn(types.NamespacedName{Namespace: o.Namespace, Name: o.Labels[discoveryv1.LabelServiceName]}, p)
		}
	case *corev1.Node:
		if o != nil {
			c.Events.Event(o, corev1.EventTypeWarning, v1alpha1.ReasonInternalError, p.Error())
		}
	}
}

// byName is for objects that have no namespace.
func byName[T any](set func(name string, object *T)) func(types.NamespacedName, *T) {
	return func(name types.NamespacedName, object *T) { set(name.Name, object) }
}

// changesSpec is for objects of our API whose status and annotations are not looked at here.
func changesSpec[T any](before, after *T) bool {
	return plan.Concerns(any(before).(metav1.Object), any(after).(metav1.Object))
}

// recordsOtherwise is for Leases of announcers.
func recordsOtherwise(before, after *coordinationv1.Lease) bool {
	return !deadnodes.Of(before).Equal(deadnodes.Of(after))
}

// nodeConcerns leaves out what a kubelet reports all the time.
func nodeConcerns(before, after *corev1.Node) bool {
	reduced := func(node *corev1.Node) *corev1.Node {
		out := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: node.Labels, Annotations: node.Annotations}}
		out.Spec.Taints, out.Status.Addresses = node.Spec.Taints, node.Status.Addresses
		for _, c := range node.Status.Conditions {
			out.Status.Conditions = append(out.Status.Conditions, corev1.NodeCondition{Type: c.Type, Status: c.Status})
		}
		return out
	}
	return !apiequality.Semantic.DeepEqual(reduced(before), reduced(after))
}

// ShutDown ends what New has begun. Follow does that when its context ends.
func (c *Controller) ShutDown() {
	c.conditions.queue.ShutDown()
	c.conditions.events.queue.ShutDown()
}

// Follow starts the informers that only the Controller needs, and keeps it up to date with all
// until go is closed, without a write. A process that stands by so knows in which order claims were
// recorded, and does not collect changes for ever. It returns false if the context ends before, and
// is to be called before anything below.
func (c *Controller) Follow(ctx context.Context, until <-chan struct{}) bool {
	context.AfterFunc(ctx, c.ShutDown)
	go c.slices.RunWithContext(liblog.Informers(ctx))
	go c.pods.RunWithContext(liblog.Informers(ctx))
	if !cache.WaitForCacheSync(ctx.Done(), c.delivered...) {
		return false
	}
	c.changes.Apply()
	c.evaluator.planLayer2(time.Now())
	for {
		select {
		case <-ctx.Done():
			return false
		case <-until:
			return true
		case <-c.changes.Changed():
			c.changes.Apply()
			c.evaluator.view.Settle()
		}
		select {
		case <-ctx.Done():
			return false
		case <-until:
			return true
		case <-time.After(evaluationPause):
		}
	}
}

// Run evaluates the changes and writes what comes of them, until the context ends.
func (c *Controller) Run(ctx context.Context) {
	defer c.conditions.start(ctx)()
	for {
		again, written := time.Time{}, false
		guard.Run("announced", "", func() {
			again = c.Evaluate()
			written = c.writeStatuses(ctx)
			due, marked := c.markAway(ctx, time.Now())
			again, written = plan.Earlier(again, due), written && marked
		})
		if !written {
			again = plan.Earlier(again, time.Now().Add(status.RetryDelay))
		}
		var timer <-chan time.Time
		if !again.IsZero() {
			timer = time.After(time.Until(again))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(evaluationPause):
		}
		select {
		case <-ctx.Done():
			return
		case <-timer:
		case <-c.changes.Changed():
		}
	}
}

// Evaluate brings everything up to date with the informers, and tells the allocator of conflicts.
// What is to be written waits for Run. It returns when time alone will change something; zero if
// never. It is not to be called beside Run.
func (c *Controller) Evaluate() (again time.Time) {
	podsKnown := c.podsDelivered()
	c.changes.Apply()
	c.evaluator.podsKnown = podsKnown
	now := time.Now()
	statements, again := c.evaluator.evaluate(now)
	c.reportConflicts()
	if !maps.EqualFunc(c.conflicts, c.evaluator.conflicts, conflict.equal) {
		c.Requeue(c.Allocator.SetConflicts(now, conflictingAddresses(c.evaluator.conflicts))...)
	}
	c.conflicts = c.evaluator.conflicts
	c.settleWishes(now)
	c.conditions.want(statements, now)
	return again
}

// toldConflict is a conflict as Services were told of it, and those of them that have the address.
type toldConflict struct {
	conflict
	services sets.Set[types.UID]
}

// reportConflicts tells Services of the conflicts about their addresses that they were not told of, also one that
// gets an address when the conflict is known already. Before the first evaluation nothing is known but what the
// Services say: those that say that they are in conflict know.
func (c *Controller) reportConflicts() {
	c.Conflicts.Set(float64(len(c.evaluator.conflicts)))
	maps.DeleteFunc(c.told, func(address netip.Addr, _ *toldConflict) bool {
		_, still := c.evaluator.conflicts[address]
		return !still
	})
	for address, found := range c.evaluator.conflicts {
		told := c.told[address]
		if told == nil || !told.sameHosts(found) {
			c.Logger.Info("Other hosts answer for an address", "address", address, "who", found.String())
			told = &toldConflict{conflict: found}
			c.told[address] = told
		}
		have := sets.New[types.UID]()
		for _, service := range c.evaluator.view.ServicesOf(address) {
			object, err := c.services.Services(service.Namespace).Get(service.Name)
			if err != nil {
				continue
			}
			have.Insert(object.UID)
			if !told.services.Has(object.UID) && (c.conflicts != nil || !saysConflict(object)) {
				c.Events.Event(object, corev1.EventTypeWarning, v1alpha1.ReasonAddressConflict, address.String()+": "+found.sentence())
			}
		}
		told.services = have
	}
}

func saysConflict(service *corev1.Service) bool {
	said := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAnnounced)
	return said != nil && said.Reason == v1alpha1.ReasonAddressConflict
}
