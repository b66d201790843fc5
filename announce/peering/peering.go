package peering

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bfd"
	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/bgp/speaker"
	"github.com/clarionlb/clarion/announce/kubeproxy"
	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/announce/reject"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/watchdog"
)

// Config is what Peering is made of.
type Config struct {
	// Node that the sessions are of: the name of its Node object. A taint with one of the keys in
	// DrainTaints has it drained.
	Node        string
	DrainTaints []string
	// IgnoreExcludeLabel has nodes announce although a label excludes them from load balancers.
	IgnoreExcludeLabel bool
	// LoadBalancerClass of the Services that are Clarion's; "" is v1alpha1.LoadBalancerClass.
	LoadBalancerClass string
	// Cluster and Subscription say what the API says, and Links what interfaces there are.
	Cluster      Cluster
	Subscription Subscription
	Links        Links
	// Status is where what is seen on the sessions is written, and Events where people are told of it.
	Status StatusWriter
	Events Events
	// Registry is told the metrics of the sessions.
	Registry prometheus.Registerer
	Logger   klog.Logger
}

// Peering keeps up the BGP sessions of one node. It has a View of its own, so that it waits for
// nothing that layer 2 does, and layer 2 not for it.
type Peering struct {
	config  Config
	moved   <-chan struct{} // the links have changed
	view    *plan.View
	planner *plan.BGPPlanner
	plan    plan.BGPPlan
	metrics *peeringMetrics

	// rejects has the kernel refuse what nobody serves of what is announced.
	rejects rejects
	// checks find out when the node serves what it is about to announce.
	checks checks

	// What Run begins with. Tests have their own.
	newBGP func(speaker.Config) bgpSpeaker
	newBFD func() bfdSpeaker
	host   hostWatcher
	bootID func() string

	// These are there while it runs.
	bgp      bgpSpeaker
	bfd      bfdSpeaker
	rollout  *rollout
	coupling *coupling
	reporter *reporter
	turns    watchdog.Loop
	// redo says that a turn has failed, so that what it was about is to be done again.
	redo bool
	// peers are the sessions of the plan, as far as it is their turn to be as it wants them.
	peers map[bgp.SessionKey]bgp.Peer
	// watching are the sessions that BFD was given last.
	watching map[pathKey]bfd.Session
}

// New returns Peering that has no sessions until it runs.
func New(config Config) *Peering {
	view, metrics := plan.NewView(config.DrainTaints...), newPeeringMetrics()
	view.SetClass(config.LoadBalancerClass)
	view.IgnoreExclusion(config.IgnoreExcludeLabel)
	config.Registry.MustRegister(metrics)
	return &Peering{
		config:  config,
		moved:   config.Links.Watch(),
		view:    view,
		planner: plan.NewBGPPlanner(view, config.Node),
		metrics: metrics,
		rejects: reject.New("bgp", config.Logger),
		checks:  kubeproxy.NewChecks(config.Logger),
		newBGP:  func(c speaker.Config) bgpSpeaker { return speaker.New(c) },
		newBFD:  func() bfdSpeaker { return bfd.NewSpeaker() },
		host:    speaker.NewHostWatcher(),
		bootID:  kernelBootID,
	}
}

// Run keeps the sessions up until the context ends. Peers that keep the routes of a node whose
// announcer restarts are then left without a NOTIFICATION, unless the node goes too.
func (p *Peering) Run(ctx context.Context) error {
	hostEnded := make(chan error, 1)
	go func() { hostEnded <- p.host.Run(klog.NewContext(ctx, p.config.Logger)) }()
	if !p.awaitState(ctx) {
		return <-hostEnded
	}
	p.config.Subscription.Apply(p.view)
	p.view.AwaitConfirmations(p.config.Node)
	bootID := p.bootID()
	restarted := p.restarted(bootID)
	p.bgp = p.newBGP(speaker.Config{Restarted: restarted, Logger: p.config.Logger})
	p.bfd, p.coupling, p.rollout = p.newBFD(), newCoupling(restarted), newRollout()
	p.reporter = &reporter{writer: p.config.Status, events: p.config.Events, logger: p.config.Logger, bootID: bootID}
	p.metrics.watchSpeakers(p.bgp, p.bfd)
	defer p.metrics.watchSpeakers(nil, nil)
	// A peer that keeps the routes of an announcer which restarts has to see first that BGP is
	// gone, and then that BFD is: the other way round, the node would be dead.
	untilBGPEnds, endBFD := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), p.config.Logger))
	defer endBFD()
	bfdEnded, bgpEnded := make(chan error, 1), make(chan error, 1)
	go func() { bfdEnded <- p.bfd.Run(untilBGPEnds) }()
	go func() { bgpEnded <- p.bgp.Run(ctx) }()
	p.loop(ctx)
	err := <-bgpEnded
	endBFD()
	return errors.Join(err, <-bfdEnded, <-hostEnded)
}

// Stuck returns an error if the loop has come to a halt.
func (p *Peering) Stuck() error { return p.turns.Stuck() }

// awaitState waits until all is known that there is; false if the context ends before.
func (p *Peering) awaitState(ctx context.Context) bool {
	if !p.config.Subscription.Wait(ctx) || !p.config.Cluster.WaitAnnouncers(ctx) {
		return false
	}
	for _, ready := range []<-chan struct{}{p.config.Links.Ready(), p.host.Ready()} {
		select {
		case <-ready:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// loop does what changes ask for until the context ends.
func (p *Peering) loop(ctx context.Context) {
	again := time.NewTimer(0)
	defer again.Stop()
	defer p.rejects.Leave()
	defer p.checks.Wait()
	defer p.turns.Rest()
	for {
		p.turns.Work()
		if wake := p.turn(ctx); !wake.IsZero() {
			again.Reset(max(time.Until(wake), 0))
		}
		p.turns.Rest()
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		case <-p.moved:
		case <-p.host.Changed():
		case <-p.bgp.Changed():
		case <-p.bfd.Changed():
		case <-p.checks.Changed():
			for _, service := range p.checks.Served() {
				p.view.Confirm(service)
			}
		case <-p.config.Subscription.Changed():
			p.config.Subscription.Apply(p.view)
		}
	}
}

// turnRetry is when a turn is tried again that has failed.
const turnRetry = time.Second

// turn does what there is to do. If it panics, the sessions and routes stay as they are, and the next
// turn does anew what this one may not have done.
func (p *Peering) turn(ctx context.Context) (wake time.Time) {
	if guard.Run("bgp", "", func() {
		p.checks.Set(ctx, p.view.Unconfirmed())
		wake = p.step(time.Now())
	}) != nil {
		p.redo = true
		return time.Now().Add(turnRetry)
	}
	return wake
}

// step plans, does it, and reports. It returns when to do so again although nothing may have
// happened; zero: never.
func (p *Peering) step(now time.Time) time.Time {
	p.updatePlan(now)
	changed, turn := p.rollOut(now)
	changed = changed || p.redo
	if p.plan.Changed || p.redo {
		p.rejects.Set(announced(p.plan.Routes), now) // before it is announced
	}
	wake := plan.Earlier(plan.Earlier(p.plan.Wake, turn), p.couple(p.plan.Changed || changed, now))
	p.redo = false
	wake = plan.Earlier(wake, p.rejects.Step(now))
	return plan.Earlier(wake, p.reporter.report(p.bgp.Peers(), sources{
		path:     func(key bgp.SessionKey) *v1alpha1.BFDSession { return p.coupling.status(key, now) },
		revision: p.rollout.revision,
	}, now))
}

// updatePlan plans what the node is to announce, and to whom.
func (p *Peering) updatePlan(now time.Time) {
	p.planner.SetGateways(gateways(p.config.Links.Interfaces()))
	p.bgp.SetHost(p.ownAddresses())
	p.plan = p.planner.Plan(now)
	for _, f := range p.plan.Failures {
		guard.Report("routes", f.On(), f.Panic)
		if services := p.view.ServicesOf(f.Address); len(services) > 0 {
			p.config.Events.Failed(services, f)
		}
	}
	p.reporter.planned(p.plan)
	p.metrics.refuse(p.plan.Refused)
	p.bgp.SetCloseReason(p.reporter.closeReason())
	p.bgp.SetShutdownMessage(p.planner.ShutdownMessage())
}

// announced are the prefixes of all routes. Sessions of one BGPPeer have the same ones.
func announced(routes map[bgp.SessionKey][]bgp.Route) map[netip.Prefix]struct{} {
	prefixes, counted := map[netip.Prefix]struct{}{}, map[string]bool{}
	for session, routes := range routes {
		if counted[session.Peer] {
			continue
		}
		counted[session.Peer] = true
		for _, route := range routes {
			prefixes[route.Prefix] = struct{}{}
		}
	}
	return prefixes
}

// ownAddresses are those of the node, of which those of Services are marked. What the cluster knows
// the node by is its own, whatever a Service says.
func (p *Peering) ownAddresses() bgp.Host {
	host := p.host.Host()
	host.Internal, host.Gateways = p.view.InternalIPs(p.config.Node), gateways(p.config.Links.Interfaces())
	host.Addresses = slices.Clone(host.Addresses)
	for i, a := range host.Addresses {
		host.Addresses[i].Service = p.view.HasAddress(a.Addr) && !slices.Contains(host.Internal, a.Addr)
	}
	return host
}

// couple has BFD watch what is to be watched, and BGP act upon what comes of it and on the plan, if
// that has changed. It returns when to do so again.
func (p *Peering) couple(changed bool, now time.Time) time.Time {
	var networks []netip.Prefix
	for _, i := range p.config.Links.Interfaces() {
		networks = append(networks, i.Prefixes...)
	}
	do := p.coupling.decide(observation{
		now:      now,
		peers:    p.peers,
		bfd:      p.plan.BFD,
		sessions: p.bgp.Peers(),
		paths:    p.bfd.Sessions(),
		networks: networks,
	})
	p.bgp.Suspend(do.suspended) // before Set, so that none is dialled that is to wait
	if changed {
		p.bgp.Set(p.peers, p.plan.Routes)
	}
	for _, key := range slices.SortedFunc(maps.Keys(do.reset), bgp.SessionKey.Compare) {
		why := do.reset[key]
		p.bgp.Reset(key, why)
		if why.Kind == bgp.BFDSilent {
			p.metrics.silence.Observe(why.Silence.Seconds())
		}
		p.config.Events.BFDDown(key.Peer, p.coupling.watched[key].address, why.String())
	}
	for _, key := range do.up {
		p.config.Events.BFDUp(key.Peer, p.coupling.watched[key].address)
	}
	p.watchPaths(do.sessions)
	p.metrics.watchPaths(p.coupling.watched)
	return do.wake
}

// watchPaths has BFD keep these sessions. It knows them by names.
func (p *Peering) watchPaths(sessions map[pathKey]bfd.Session) {
	if maps.Equal(sessions, p.watching) {
		return
	}
	p.watching = sessions
	named := make(map[string]bfd.Session, len(sessions))
	for path, session := range sessions {
		named[path.String()] = session
	}
	p.bfd.Set(named)
}

// gateways are the routers of the default routes, sorted. Link-local ones have the interface as
// their zone.
func gateways(interfaces []layer2.Interface) []netip.Addr {
	var out []netip.Addr
	for _, i := range interfaces {
		if !i.Up {
			continue
		}
		for _, gateway := range i.Gateways {
			if gateway.Is6() && gateway.IsLinkLocalUnicast() {
				gateway = gateway.WithZone(i.Name)
			}
			out = append(out, gateway)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// restarted says whether an announcer has had sessions on this node before, since the node booted.
func (p *Peering) restarted(bootID string) bool {
	own := p.config.Cluster.Announcer(p.config.Node)
	return bootID != "" && own != nil && own.Status.BGP.BootID == bootID
}

// kernelBootID identifies the time since the node was booted; it is empty if the kernel does not tell.
func kernelBootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
