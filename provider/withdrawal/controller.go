// Package withdrawal takes the endpoints of dead nodes out of service, long before Kubernetes notices that the nodes are dead.
//
// The announcers know after a fraction of a second that a node is dead, and record it (package deadnodes). Once a majority of them has,
// the Controller does what the node lifecycle controller of Kubernetes does 40 s later: it marks the pods of the node not ready. The
// endpoint controllers and every kube-proxy do the rest. Nothing is deleted and nothing is detached.
//
//	Leases ──► view.verdicts: a majority? ──► view.due: not too many? ──► mark ──► pods/status
//
// A kubelet that is alive calls its pods ready again, within 10 s of its own accord. So nothing needs to be remembered of what was marked
// but for moments, in which a verdict proves wrong: then the pods are ready again at once (restore).
package withdrawal

import (
	"context"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
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
	listers "github.com/clarionlb/clarion/client/listers/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/deadnodes"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/informer"
	"github.com/clarionlb/clarion/internal/notify"
)

const (
	// shortestBoot is less than any machine takes from power-off to a kernel that answers. A node that answers so soon was not dead, and
	// its pods are what they were. After that nobody but its kubelet knows.
	shortestBoot = 3 * time.Second
	// tries is how often the pods of a node are tried to be marked, retryPause how long after the first time it is tried again, twice as
	// long each time, and writeTimeout how long it may take each time.
	tries        = 5
	retryPause   = 250 * time.Millisecond
	writeTimeout = 5 * time.Second
	// rest is how long a node is left alone of which a verdict was wrong, twice as long each time, up to longestRest. That is also for how
	// long it is remembered.
	rest, longestRest = time.Minute, time.Hour
	// warningAfter is when it is said that no announcer records anything.
	warningAfter = time.Minute
)

// Reasons of the events on a Node.
const (
	// eventWithdrawn (Warning, Node): a majority of the announcers takes the node for dead, and its pods were marked not ready, so that nobody
	// sends to them any more. With --withdraw-endpoints-of-dead-nodes.
	eventWithdrawn = "EndpointsWithdrawn"
	// eventRestored (Normal, Node): the node was not dead, and its pods are ready again.
	eventRestored = "EndpointsRestored"
	// eventHeld (Warning, Node): a majority of the announcers takes the node for dead, but its pods are left to Kubernetes, as too many nodes
	// are dead at once for that to be likely.
	eventHeld = "EndpointsNotWithdrawn"
)

// Config is what a Controller works with.
type Config struct {
	// Informers and ClarionInformers are factories that are started after New.
	Informers        informers.SharedInformerFactory
	ClarionInformers clarioninformers.SharedInformerFactory
	Kube             kubernetes.Interface
	// Leases is deadnodes.NewInformer, which is started after New.
	Leases cache.SharedIndexInformer
	// Events go to Nodes, and Count counts withdrawals by result.
	Events record.EventRecorder
	Count  *metrics.CounterVec
	Logger klog.Logger
}

// Controller marks the pods of dead nodes.
type Controller struct {
	Config
	nodes      corelisters.NodeLister
	services   corelisters.ServiceLister
	announcers listers.AnnouncerLister
	changed    notify.Signal

	// active are the withdrawals of which the verdict stands, by node, and held the nodes whose events have said that there is none.
	active map[string]*withdrawal
	held   map[string]bool
	// resting are the nodes of which a verdict was wrong.
	resting map[string]*wrongVerdict
	// warnAt is when to say that no announcer records anything; zero once that is settled.
	warnAt time.Time
}

// withdrawal is what is done about one verdict.
type withdrawal struct {
	node    *corev1.Node
	verdict deadnodes.Verdict
	began   time.Time
	// marked are the pods that were marked not ready: none is marked twice for one verdict.
	marked map[types.UID]struct{}
	tried  int
	// next is when to try again; zero if there is nothing left to do.
	next time.Time
}

// wrongVerdict is until when a node is left alone, unless it turns out to have booted: then the verdict was right.
type wrongVerdict struct {
	until  time.Time
	rest   time.Duration
	bootID string
}

// New returns a Controller that does nothing until it runs.
func New(config Config) *Controller {
	core, announcers := config.Informers.Core().V1(), config.ClarionInformers.Clarion().V1alpha1().Announcers()
	c := &Controller{
		Config:     config,
		nodes:      core.Nodes().Lister(),
		services:   core.Services().Lister(),
		announcers: announcers.Lister(),
		changed:    notify.New(),
		active:     map[string]*withdrawal{},
		held:       map[string]bool{},
		resting:    map[string]*wrongVerdict{},
	}
	informer.Handle(c.Leases, informer.OnAny(c.changed.Notify))
	informer.Handle(core.Nodes().Informer(), informer.Funcs[*corev1.Node]{
		Add: func(*corev1.Node) { c.changed.Notify() },
		Update: func(before, after *corev1.Node) {
			if isReady(before) != isReady(after) || before.UID != after.UID {
				c.changed.Notify()
			}
		},
		Delete: func(*corev1.Node) { c.changed.Notify() },
	})
	informer.Handle(announcers.Informer(), informer.Funcs[*v1alpha1.Announcer]{
		Add: func(*v1alpha1.Announcer) { c.changed.Notify() }, Update: func(_, _ *v1alpha1.Announcer) {}, Delete: func(*v1alpha1.Announcer) { c.changed.Notify() },
	})
	return c
}

func isReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// Run acts until the context ends. The informers of the Config have delivered by then.
func (c *Controller) Run(ctx context.Context) {
	if !cache.WaitForCacheSync(ctx.Done(), c.Leases.HasSynced) {
		return
	}
	c.warnAt = time.Now().Add(warningAfter)
	for {
		var wake time.Time
		if guard.Run("withdrawal", "", func() { wake = c.step(ctx, time.Now()) }) != nil {
			wake = time.Now().Add(retryPause)
		}
		var timer <-chan time.Time
		if !wake.IsZero() {
			timer = time.After(time.Until(wake))
		}
		select {
		case <-ctx.Done():
			return
		case <-timer:
		case <-c.changed:
		}
	}
}

// view is what the informers have now.
func (c *Controller) view() (v view, nodes map[string]*corev1.Node) {
	v = view{ready: map[string]bool{}, records: map[string]deadnodes.Record{}}
	nodes = map[string]*corev1.Node{}
	list, _ := c.nodes.List(labels.Everything()) // a cache does not fail
	for _, node := range list {
		v.ready[node.Name] = isReady(node)
		nodes[node.Name] = node
	}
	announcers, _ := c.announcers.List(labels.Everything())
	for _, announcer := range announcers {
		v.records[announcer.Name] = nil
	}
	for _, object := range c.Leases.GetStore().List() {
		if lease, is := object.(*coordinationv1.Lease); is {
			if _, announces := v.records[lease.Name]; announces {
				v.records[lease.Name] = deadnodes.Of(lease)
			}
		}
	}
	return v, nodes
}

// step does what is to be done, and returns when there is more to do; zero if nothing is by time alone.
func (c *Controller) step(ctx context.Context, now time.Time) (wake time.Time) {
	v, nodes := c.view()
	dead := v.verdicts()
	for name, w := range c.active {
		if _, stands := dead[name]; !stands {
			delete(c.active, name)
			c.end(ctx, w, v.ready[name], now)
		}
	}
	for name := range c.held {
		if _, stands := dead[name]; !stands {
			delete(c.held, name)
		}
	}
	begun := func(name string) bool { return c.active[name] != nil || c.rests(nodes[name], now) }
	due, held := v.due(dead, begun, now)
	for _, name := range due {
		c.active[name] = &withdrawal{node: nodes[name], verdict: dead[name], began: now, marked: map[types.UID]struct{}{}, next: now}
	}
	for _, name := range held {
		c.hold(nodes[name], dead[name], v.limit())
	}
	for name, w := range c.active {
		if !w.next.IsZero() && !w.next.After(now) {
			c.begin(ctx, w, v.ready[name])
		}
		wake = plan.Earlier(wake, w.next)
	}
	return plan.Earlier(wake, c.warn(now))
}

// begin marks the pods of a node, and says so once that is done or given up. Kubernetes goes on in any case.
func (c *Controller) begin(ctx context.Context, w *withdrawal, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := c.mark(ctx, w)
	w.tried++
	if err != nil {
		c.Logger.Error(err, "Cannot mark all pods of a dead node not ready", "node", w.node.Name, "try", w.tried)
	}
	if err != nil && ready && w.tried < tries {
		w.next = time.Now().Add(retryPause << (w.tried - 1))
		return
	}
	w.next = time.Time{}
	c.Count.WithLabelValues("withdrawn").Inc()
	c.Logger.Info("Marked the pods of a dead node not ready", "node", w.node.Name, "pods", len(w.marked), "by", w.verdict.By, "since", w.verdict.Since)
	c.Events.Eventf(w.node, corev1.EventTypeWarning, eventWithdrawn, "%s %d pods that were ready are marked not ready.", w.verdict.Sentence(), len(w.marked))
}

// end ends a withdrawal of which the verdict stands no more. A node that is Ready for Kubernetes all the time may not have been dead: the
// next verdict about it is not acted upon for a while.
func (c *Controller) end(ctx context.Context, w *withdrawal, ready bool, now time.Time) {
	if !ready {
		return
	}
	c.rest(w.node, now)
	if now.Sub(w.began) >= shortestBoot {
		c.Logger.Info("A node that was dead answers again; its kubelet says which pods are ready", "node", w.node.Name)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	count, err := c.restore(ctx, w)
	if err != nil {
		c.Logger.Error(err, "Cannot call all pods ready again of a node that was not dead; its kubelet will", "node", w.node.Name)
	}
	c.Count.WithLabelValues("restored").Inc()
	c.Events.Eventf(w.node, corev1.EventTypeNormal, eventRestored, "The node was not dead: it answers again. %d pods are ready again.", count)
}

// hold says, once for each verdict, that a node is left to Kubernetes.
func (c *Controller) hold(node *corev1.Node, of deadnodes.Verdict, limit int) {
	if c.held[node.Name] {
		return
	}
	c.held[node.Name] = true
	c.Count.WithLabelValues("held").Inc()
	c.Events.Eventf(node, corev1.EventTypeWarning, eventHeld,
		"%s But more nodes are dead at once than %d, so that this is left to Kubernetes.", of.Sentence(), limit)
}

// rest leaves a node alone for a while, of which a verdict was wrong.
func (c *Controller) rest(node *corev1.Node, now time.Time) {
	for other, r := range c.resting {
		if now.Sub(r.until) > longestRest {
			delete(c.resting, other)
		}
	}
	r := c.resting[node.Name]
	if r == nil || r.booted(node) {
		r = &wrongVerdict{rest: rest / 2, bootID: node.Status.NodeInfo.BootID}
		c.resting[node.Name] = r
	}
	r.rest = min(2*r.rest, longestRest)
	r.until = now.Add(r.rest)
}

func (c *Controller) rests(node *corev1.Node, now time.Time) bool {
	r := c.resting[node.Name]
	return r != nil && now.Before(r.until) && !r.booted(node)
}

// booted says whether a node, as it is now, has booted since the verdict.
func (r *wrongVerdict) booted(node *corev1.Node) bool { return node.Status.NodeInfo.BootID != r.bootID }

// warn says once, after a while, that no announcer records anything, and returns when to do so.
func (c *Controller) warn(now time.Time) (wake time.Time) {
	if c.warnAt.IsZero() || now.Before(c.warnAt) {
		return c.warnAt
	}
	c.warnAt = time.Time{}
	if len(c.Leases.GetStore().ListKeys()) == 0 {
		c.Logger.Info("No announcer records which nodes are dead, so that no endpoints are withdrawn: they need --record-dead-nodes")
	}
	return time.Time{}
}
