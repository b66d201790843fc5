package announce

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/watchdog"
)

// Config is what an Announcer is made of.
type Config struct {
	// Node that it runs on: the name of its Node object.
	Node string
	// Kubernetes and Clarion are clients of the cluster's API.
	Kubernetes kubernetes.Interface
	Clarion    versioned.Interface
	// LoadBalancerClass of the Services that are Clarion's: what the cloud-controller-manager is told;
	// "" is v1alpha1.LoadBalancerClass.
	LoadBalancerClass string
	// DrainTaints are the keys of the taints that have a node drained.
	DrainTaints []string
	// IgnoreExcludeLabel has nodes announce although a label excludes them from load balancers.
	IgnoreExcludeLabel bool
	// RecordDeadNodes has it recorded which nodes are silent, for the cloud-controller-manager.
	RecordDeadNodes bool
	// Refresh is how often addresses are announced again although nothing has changed; 0: never.
	Refresh time.Duration
	// GossipPort for TCP and UDP, the same on all nodes. 0 is membership.DefaultPort.
	GossipPort int
	// HeartbeatPort for UDP, the same on all nodes. 0 is heartbeat.DefaultPort.
	HeartbeatPort int
	// HeartbeatInterval is the time between two heartbeats, from heartbeat.MinimumInterval on. 0 is heartbeat.DefaultInterval.
	HeartbeatInterval time.Duration
	// Registry is told the metrics. It must be given, and cannot be that of another Announcer.
	Registry prometheus.Registerer
	// Logger for what happens. The zero Logger is silent.
	Logger klog.Logger
}

// Announcer announces what falls to one node.
type Announcer struct {
	node    string
	logger  klog.Logger
	metrics *metrics

	// api is what the API says and is told, lan what the network says and is told, and others who
	// else announces.
	api    apiParts
	lan    lan
	others others
	// checks find out when the node serves what it is about to announce.
	checks checks
	// health is that of the node's kube-proxy.
	health health
	// peering is BGP, which needs nothing from here.
	peering routing

	view    *plan.View
	planner *plan.Layer2Planner
	// seen is what was last seen, and status what the node says of itself.
	seen   seen
	status status

	turns watchdog.Loop
	// redo says that a turn has failed, so that what it was about is to be done again.
	redo  bool
	ready atomic.Bool
}

// New returns an Announcer that does nothing until it runs.
func New(config Config) *Announcer { return newAnnouncer(config, newParts(config)) }

func newAnnouncer(config Config, with parts) *Announcer {
	view := plan.NewView(config.DrainTaints...)
	view.SetClass(config.LoadBalancerClass)
	view.IgnoreExclusion(config.IgnoreExcludeLabel)
	a := &Announcer{
		node:    config.Node,
		logger:  config.Logger,
		metrics: newMetrics(config.Registry),
		api:     with.api,
		lan:     newLAN(with.lan, config.Logger),
		checks:  with.checks,
		health:  with.health,
		peering: with.peering,
		view:    view,
		planner: plan.NewLayer2Planner(view, config.Node),
	}
	a.others = newOthers(with, a.lan.seesGateway, config.Logger)
	guard.SetReporter(guard.NewReporter(
		func() klog.Logger { return config.Logger },
		func(component string) { a.metrics.panics.WithLabelValues(component).Inc() },
	))
	return a
}

// Ready says whether the announcer takes part: it knows the API's state and its peers and announces
// what falls to it.
func (a *Announcer) Ready() bool { return a.ready.Load() }

// Unready is why the announcer is not Ready; nil if it is.
func (a *Announcer) Unready() error {
	if a.Ready() {
		return nil
	}
	if err := a.api.watcher.Problem(); err != nil {
		return err
	}
	return errors.New("still learning the state of the cluster")
}

// APIWentBack takes note that the API has gone back, as if restored from a copy. Informers see that themselves: this is for what is
// written and not watched.
func (a *Announcer) APIWentBack() {
	if a.api.deadNodes != nil {
		a.api.deadNodes.WentBack()
	}
}

// Healthy returns an error if the announcer has come to a halt, on layer 2 or in BGP, and should be started anew. Turns that fail for a
// fault of the program are no halt: what is announced stays announced, and a new process would fail too and announce less.
func (a *Announcer) Healthy() error {
	if err := a.turns.Stuck(); err != nil {
		return fmt.Errorf("layer 2: %w", err)
	}
	if err := a.peering.Stuck(); err != nil {
		return fmt.Errorf("BGP: %w", err)
	}
	return nil
}
