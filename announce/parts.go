package announce

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/heartbeat"
	"github.com/clarionlb/clarion/announce/kube"
	"github.com/clarionlb/clarion/announce/kubeproxy"
	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/liveness"
	"github.com/clarionlb/clarion/announce/membership"
	"github.com/clarionlb/clarion/announce/peering"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/announce/reject"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// runner works until the context ends, and then returns nil.
type runner interface {
	Run(ctx context.Context) error
}

// parts are what an Announcer perceives the world with and acts on it. The real ones are those of
// New; what they do is said at their types.
type parts struct {
	api     apiParts
	lan     lanParts
	checks  checks
	health  health
	peering routing
	pauses  pauses
	// newMembers returns the gossip of a node at an address, with a first key.
	newMembers func(address netip.Addr, key []byte) members
	// newHeartbeats returns the heartbeats of a node at an address, with the keys of the gossip.
	newHeartbeats func(address netip.Addr, keys func() [][]byte) heartbeats
}

// apiParts are for the API.
type apiParts struct {
	watcher   watcher
	layer2    subscription
	keys      keyWatcher
	cacheSync cacheSync
	status    statusWriter
	events    events
	// deadNodes records which nodes are silent; nil if that is not wanted.
	deadNodes deadNodes
	// unanswered tells Services that nobody answers them.
	unanswered unanswered
	// reachable asks whether the API server answers.
	reachable liveness.Reach
}

// watcher is kube.Watcher.
type watcher interface {
	runner
	Announcer(node string) *v1alpha1.Announcer
	Problem() error
}

// subscription is kube.Subscription.
type subscription interface {
	Wait(ctx context.Context) bool
	Changed() <-chan struct{}
	Apply(view *plan.View)
}

// keyWatcher is kube.KeyWatcher.
type keyWatcher interface {
	runner
	Changed() <-chan struct{}
	Key() ([]byte, error)
}

// cacheSync is kube.CacheSync.
type cacheSync interface {
	Synced(ctx context.Context) bool
	Changed() <-chan struct{}
	Reset()
	Wait()
}

// statusWriter is kube.StatusWriter.
type statusWriter interface {
	Run(ctx context.Context)
	Create(ctx context.Context) error
	Write(status v1alpha1.AnnouncerStatus)
	WriteRest(status v1alpha1.AnnouncerStatus)
	Recheck()
	WriteStopped(ctx context.Context, conditions []metav1.Condition) error
}

// deadNodes is kube.DeadNodesWriter.
type deadNodes interface {
	runner
	Write(silent, unknown []string)
	WentBack()
}

// events is kube.Events.
type events interface {
	Start()
	Stop()
	Moved(services []plan.ServiceRef, m plan.Move)
	Conflict(services []plan.ServiceRef, c plan.Conflict)
	Failed(services []plan.ServiceRef, f plan.Failure)
}

// unanswered is kube.Unanswered.
type unanswered interface {
	Run(ctx context.Context, elected func() bool)
}

// lanParts are for the network and the kernel.
type lanParts struct {
	links     links
	responder responder
	prober    prober
	relayer   relayer
	rejects   rejects
}

// links is layer2.Links.
type links interface {
	runner
	Ready() <-chan struct{}
	Changed() <-chan struct{}
	Interfaces() []layer2.Interface
	KernelChanged() <-chan struct{}
	KernelAnswers(announced layer2.Announced) string
	Permitted() error
	KernelAddresses() []layer2.KernelAddress
	NodeIPs() []netip.Addr
}

// responder is layer2.Responder.
type responder interface {
	runner
	Set(addresses map[netip.Addr][]string)
	SetProxied(addresses map[netip.Addr]layer2.Proxied)
	Reannounce(addresses ...netip.Addr)
	Quiesce(addresses ...netip.Addr)
	SetMembers(macs []net.HardwareAddr)
	Sighted() <-chan struct{}
	Sightings() []layer2.Sighting
	AnswerKept()
}

// prober is layer2.Prober.
type prober interface {
	runner
	liveness.Prober
}

// relayer is layer2.Relays.
type relayer interface {
	Set(relays map[netip.Addr]layer2.Relay) error
	Restore() error
}

// pauses is liveness.PauseWatch.
type pauses interface {
	runner
	Fit() bool
	Hold() time.Duration
	Away() time.Duration
	Changed() <-chan struct{}
	Resume()
}

// routing is peering.Peering.
type routing interface {
	runner
	Stuck() error
}

// checks is kubeproxy.Checks.
type checks interface {
	Set(ctx context.Context, wanted map[types.NamespacedName]plan.EndpointCheck)
	Changed() <-chan struct{}
	Served() []types.NamespacedName
	Wait()
}

// health is kubeproxy.Health.
type health interface {
	runner
	Changed() <-chan struct{}
	Condition() (condition metav1.Condition, known bool)
}

// rejects is reject.Rejects.
type rejects interface {
	Set(announced map[netip.Prefix]struct{}, now time.Time)
	Step(now time.Time) (wake time.Time)
	Leave()
	Sentence() string
}

// members is membership.Cluster.
type members interface {
	runner
	SetPeers(peers map[string]netip.Addr)
	SetNodes(addresses []netip.Addr)
	SetKey(key []byte) error
	Keys() [][]byte
	Joined() <-chan struct{}
	Changed() <-chan struct{}
	Alive() []string
	Left(name string) bool
	LastSeen(name string) time.Time
	Broadcast(text []byte)
	Tell(name string, text []byte)
	Messages() []membership.Message
}

// heartbeats is heartbeat.Heartbeats.
type heartbeats interface {
	runner
	Set(neighbours map[string]netip.Addr)
	Changed() <-chan struct{}
	States(now time.Time) (states map[string]heartbeat.State, next time.Time)
	LastHeard(name string) time.Time
	LastArrival(name string) time.Time
	Await(name string, after time.Time)
	Forget(now time.Time)
	Leave()
}

// newParts returns the real ones, whose metrics the Registry is told.
func newParts(config Config) parts {
	announcers := kube.NewAnnouncerClient(config.Clarion.ClarionV1alpha1())
	watcher := kube.NewWatcher(config.Kubernetes, config.Clarion, config.Node)
	slices := config.Clarion.ClarionV1alpha1().ClaimSlices()
	status := kube.NewStatusWriter(config.Node, announcers, watcher, config.Logger)
	status.UseClaimSlices(slices, watcher)
	watcher.OnClaims(config.Node, status.Recheck)
	cacheSync := kube.NewCacheSync(announcers, watcher)
	cacheSync.UseClaimSlices(slices, watcher)
	events := kube.NewEvents(config.Kubernetes, watcher, config.Node, config.Logger)
	watcher.OnFailure(events.FailedOn)
	watcher.OnUnread(events.CannotRead)
	links := layer2.NewLinks()
	responder, prober := layer2.NewResponder(links), layer2.NewProber(links)
	pauses := liveness.NewPauseWatch(cmp.Or(config.HeartbeatInterval, heartbeat.DefaultInterval))
	responder.Refresh, responder.Fit, responder.Hold = config.Refresh, pauses.Fit, pauses.Hold
	registerPackets(config.Registry, responder, prober)
	var dead deadNodes
	if config.RecordDeadNodes {
		dead = kube.NewDeadNodesWriter(config.Node, config.Kubernetes, watcher, config.Logger)
	}
	return parts{
		api: apiParts{
			watcher:   watcher,
			layer2:    watcher.Layer2,
			keys:      kube.NewKeyWatcher(config.Kubernetes),
			cacheSync: cacheSync,
			status:    status,
			events:    events,
			deadNodes: dead,
			unanswered: kube.NewUnanswered(config.Kubernetes, func() []*corev1.Service {
				return watcher.Unanswered(config.LoadBalancerClass)
			}, events.Unanswered, config.LoadBalancerClass),
			reachable: func(ctx context.Context) bool { return kube.Answers(ctx, announcers, config.Node) },
		},
		pauses: pauses,
		lan: lanParts{
			links: links, responder: responder, prober: prober, relayer: layer2.NewRelays(links), rejects: reject.New("layer2", config.Logger),
		},
		checks: kubeproxy.NewChecks(config.Logger),
		health: kubeproxy.NewHealth(),
		peering: peering.New(peering.Config{
			Node:               config.Node,
			LoadBalancerClass:  config.LoadBalancerClass,
			DrainTaints:        config.DrainTaints,
			IgnoreExcludeLabel: config.IgnoreExcludeLabel,
			Cluster:            watcher,
			Subscription:       watcher.BGP,
			Links:              links,
			Status:             status,
			Events:             events,
			Registry:           config.Registry,
			Logger:             config.Logger,
		}),
		newMembers: func(address netip.Addr, key []byte) members {
			return membership.New(membership.Config{
				Name: config.Node, Address: address, Port: config.GossipPort, Key: key, Logger: config.Logger,
			})
		},
		newHeartbeats: func(address netip.Addr, keys func() [][]byte) heartbeats {
			return heartbeat.New(heartbeat.Config{
				Address: address, Port: config.HeartbeatPort, Interval: config.HeartbeatInterval, Keys: keys, Alive: pauses.Alive, Logger: config.Logger,
			})
		},
	}
}
