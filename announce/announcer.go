package announce

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/membership"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/client/versioned"
)

// Config is what an Announcer is made of.
type Config struct {
	// Node that it runs on: the name of its Node object.
	Node string
	// Kubernetes and Clarion are clients of the cluster's API.
	Kubernetes kubernetes.Interface
	Clarion    versioned.Interface
	// GossipPort for TCP and UDP, the same on all nodes. 0 is membership.DefaultPort.
	GossipPort int
	Logger     klog.Logger
}

// Announcer announces what falls to one node.
type Announcer struct {
	config    Config
	feed      *Feed
	view      *View
	planner   *Planner
	links     *layer2.Links
	responder *layer2.Responder
	recorder  *recorder
	// cluster is there once the node's address is known, which is address.
	cluster *membership.Cluster
	address netip.Addr
	rejoin  rejoin

	// What was last seen, to tell what is new.
	own        *v1alpha1.Announcer
	peers      map[string]netip.Addr
	unseen     []string
	conditions []metav1.Condition

	ready atomic.Bool
}

// New returns an Announcer that does nothing until it runs.
func New(config Config) (*Announcer, error) {
	feed, err := NewFeed(config.Kubernetes, config.Clarion, config.Logger)
	if err != nil {
		return nil, err
	}
	registerMetrics()
	view, links := NewView(), layer2.NewLinks()
	return &Announcer{
		config:    config,
		feed:      feed,
		view:      view,
		planner:   NewPlanner(view, config.Node),
		links:     links,
		responder: layer2.NewResponder(links),
		recorder:  newRecorder(config.Node, config.Clarion.ClarionV1alpha1().Announcers(), feed, config.Logger),
	}, nil
}

// Ready says whether the announcer takes part: it knows the API's state and its peers and announces what falls to it.
func (a *Announcer) Ready() bool { return a.ready.Load() }

// Run announces until the context ends. It then leaves in order: the other announcers hear of it and take over, while this one
// still answers; that takes about a second. An error means that it cannot go on, but could if started again.
func (a *Announcer) Run(ctx context.Context) error {
	defer a.ready.Store(false)
	// What runs beside the loop outlives the context, to serve until the others have taken over.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, background := errgroup.WithContext(background)
	until, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	context.AfterFunc(background, func() { cancel(context.Cause(background)) })

	group.Go(func() error { return a.feed.Run(background) })
	group.Go(func() error { return a.links.Run(background) })
	group.Go(func() error { return a.responder.Run(background) })
	recorded := make(chan struct{})
	go func() {
		defer close(recorded)
		a.recorder.run(until)
	}()

	err := a.run(until, group)
	cancel(nil)
	<-recorded
	if a.Ready() && ctx.Err() != nil {
		a.farewell(background)
	}
	stop()
	return errors.Join(err, group.Wait())
}

// run starts in order, follows changes until the context ends and leaves the other announcers.
func (a *Announcer) run(ctx context.Context, group *errgroup.Group) error {
	if !a.learn(ctx) || !a.introduce(ctx) {
		return nil
	}
	a.cluster = membership.New(membership.Config{
		Name:    a.config.Node,
		Address: a.address,
		Port:    a.config.GossipPort,
		Logger:  a.config.Logger,
	})
	left := make(chan struct{})
	group.Go(func() error {
		defer close(left)
		return a.cluster.Run(ctx)
	})
	err := a.follow(ctx)
	if err == nil {
		a.config.Logger.Info("Leaving the other announcers", "node", a.config.Node)
		<-left
	}
	return err
}

// learn waits for what the API and the kernel say; false if the context ends before.
func (a *Announcer) learn(ctx context.Context) bool {
	a.config.Logger.Info("Reading the state of the cluster", "node", a.config.Node)
	if !a.feed.Wait(ctx) {
		return false
	}
	a.feed.Apply(a.view)
	select {
	case <-a.links.Ready():
	case <-ctx.Done():
		return false
	}
	for waiting := false; ; waiting = true {
		if a.address = a.view.NodeAddress(a.config.Node); a.address.IsValid() {
			return true
		}
		if !waiting {
			a.config.Logger.Info("Waiting for the Node to exist and have an InternalIP", "node", a.config.Node)
		}
		select {
		case <-a.feed.Changed():
			a.feed.Apply(a.view)
		case <-ctx.Done():
			return false
		}
	}
}

// introduce makes sure that there is an Announcer object, by which others know that this one is to be expected; false if
// the context ends before.
func (a *Announcer) introduce(ctx context.Context) bool {
	retry := a.recorder.retry
	for a.feed.Announcer(a.config.Node) == nil {
		err := a.recorder.create(ctx)
		if err == nil {
			break
		}
		a.config.Logger.Error(err, "Cannot introduce this node to the others, trying again", "node", a.config.Node)
		select {
		case <-time.After(retry.Step()):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// follow does what changes ask for until the context ends.
func (a *Announcer) follow(ctx context.Context) error {
	for joined := false; !joined; {
		a.meet()
		select {
		case <-a.cluster.Joined():
			joined = true
		case <-a.feed.Changed():
			a.feed.Apply(a.view)
		case <-ctx.Done():
			return nil
		}
	}
	a.rejoin.address = a.address
	a.config.Logger.Info("Taking part", "node", a.config.Node, "address", a.address, "alive", a.cluster.Alive(), "expected", len(a.peers))
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		if wait := a.look(); wait > 0 {
			again.Reset(wait)
		}
		a.step()
		a.ready.Store(true)
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		case <-a.links.Changed():
		case <-a.cluster.Changed():
		case <-a.feed.Changed():
			a.feed.Apply(a.view)
			a.meet()
			if is := a.view.NodeAddress(a.config.Node); is.IsValid() && is != a.address {
				return fmt.Errorf("the address of node %s has changed from %s to %s: start again", a.config.Node, a.address, is)
			}
		}
	}
}

// look tells the planner what the node sees besides the API. If only time is missing for the node to take part, it returns
// how much.
func (a *Announcer) look() (wait time.Duration) {
	up, alive := InterfacesUp(a.links.Interfaces()), a.cluster.Alive()
	ok, wait := a.rejoin.may(up, alive, time.Now())
	if !ok {
		up = nil
	}
	a.planner.SetInterfaces(up)
	a.planner.SetAlive(alive)
	return wait
}

// meet tells the gossip who should be there.
func (a *Announcer) meet() {
	peers := a.view.Peers()
	if a.peers != nil && maps.Equal(peers, a.peers) {
		return
	}
	a.peers = peers
	known := maps.Clone(peers)
	maps.DeleteFunc(known, func(_ string, address netip.Addr) bool { return !address.IsValid() })
	a.cluster.SetPeers(known)
}

// step plans, and does and records what has changed: first on the network, then in the API.
func (a *Announcer) step() {
	start := time.Now()
	plan := a.planner.Plan(start)
	planMetric.Observe(time.Since(start).Seconds())
	if len(plan.Again) > 0 {
		a.responder.Set(except(plan.Layer2, plan.Again)) // what it has lost and gets back, it announces
	}
	if plan.Changed || len(plan.Again) > 0 {
		a.responder.Set(plan.Layer2)
	}
	for _, m := range plan.Moves {
		a.report(m)
	}
	if !slices.Equal(a.unseen, plan.Unseen) {
		a.unseen = plan.Unseen
		if len(a.unseen) > 0 {
			a.config.Logger.Info("Announcers are alive but out of sight: is the gossip's port blocked, TCP or UDP?", "nodes", a.unseen)
		} else {
			a.config.Logger.Info("No announcer is alive but out of sight any more")
		}
	}
	addressesMetric.Set(float64(len(plan.Layer2)))

	alive, expected := len(a.cluster.Alive()), len(a.peers)
	membersMetric.WithLabelValues("alive").Set(float64(alive))
	membersMetric.WithLabelValues("expected").Set(float64(expected))
	own := a.feed.Announcer(a.config.Node)
	if plan.Changed || a.own == nil {
		a.recorder.record(a.status(own))
	} else if own != a.own {
		a.recorder.check()
	}
	a.own = own
}

// except is a set of addresses without some of them.
func except(addresses map[netip.Addr][]string, without []netip.Addr) map[netip.Addr][]string {
	rest := maps.Clone(addresses)
	for _, ip := range without {
		delete(rest, ip)
	}
	return rest
}

func (a *Announcer) report(m Move) {
	if m.To == a.config.Node {
		movesMetric.WithLabelValues("gained", string(m.Reason)).Inc()
		a.config.Logger.Info("Announcing an address", "address", m.Address, "interfaces", m.Interfaces, "reason", m.Reason, "from", m.From)
		return
	}
	movesMetric.WithLabelValues("lost", string(m.Reason)).Inc()
	a.config.Logger.Info("No longer announcing an address", "address", m.Address, "reason", m.Reason, "to", m.To, "why", m.Verdict.Sentence())
}

// status is what the node's Announcer is to say.
func (a *Announcer) status(current *v1alpha1.Announcer) v1alpha1.AnnouncerStatus {
	if a.conditions == nil && current != nil {
		a.conditions = append(a.conditions, current.Status.Conditions...)
	}
	status := v1alpha1.AnnouncerStatus{
		Layer2:  a.planner.Status(),
		Members: v1alpha1.MembersStatus{Alive: int32(len(a.cluster.Alive())), Expected: int32(len(a.peers))},
	}
	condition := metav1.Condition{
		Type:    v1alpha1.ConditionReady,
		Status:  metav1.ConditionTrue,
		Reason:  v1alpha1.ReasonRunning,
		Message: "The announcer announces what falls to its node.",
	}
	if len(status.Layer2.Interfaces) == 0 {
		condition.Status = metav1.ConditionFalse
		condition.Reason = v1alpha1.ReasonNoInterface
		condition.Message = "No interface of the node is up and has an address, a default route or its name in an L2Advertisement."
	}
	meta.SetStatusCondition(&a.conditions, condition)
	status.Conditions = append(status.Conditions, a.conditions...)
	return status
}

// farewell writes that the announcer has stopped, if that can be done quickly. Its claims stay: whoever takes over goes by
// them, and so does this node if it is back before anybody has.
func (a *Announcer) farewell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	meta.SetStatusCondition(&a.conditions, metav1.Condition{
		Type:    v1alpha1.ConditionReady,
		Status:  metav1.ConditionFalse,
		Reason:  v1alpha1.ReasonStopped,
		Message: "The announcer was stopped.",
	})
	if err := a.recorder.writeConditions(ctx, a.conditions); err != nil {
		a.config.Logger.Error(err, "Could not write that this announcer has stopped")
	}
}
