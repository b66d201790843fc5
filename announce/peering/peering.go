package peering

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarionlb/clarion/announce/bfd"
	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/bgp/speaker"
	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// countPause is the shortest time between two reports of how many prefixes are announced, if nothing else has changed: every
// node announces every Service, so all of them would write for each.
const countPause = 5 * time.Second

// Cluster says what the API has recorded.
type Cluster interface {
	// WaitAnnouncers blocks until Announcer knows all that there were at the start; false if the context ends before.
	WaitAnnouncers(ctx context.Context) bool
	// Announcer returns the Announcer of a node; nil if there is none.
	Announcer(node string) *v1alpha1.Announcer
}

// Subscription brings a View up to date with the API.
type Subscription interface {
	// Wait blocks until Apply has all that there was at the start; false if the context ends before.
	Wait(ctx context.Context) bool
	// Changed receives when Apply has something to do.
	Changed() <-chan struct{}
	Apply(view *plan.View)
}

// StatusWriter writes what the node records of its sessions.
type StatusWriter interface {
	WriteBGP(status v1alpha1.BGPStatus)
}

// Events tell people what becomes of sessions, by BGPPeer and address, which is the zero Addr if it is not known.
type Events interface {
	SessionEstablished(peer string, address netip.Addr)
	SessionLost(peer string, address netip.Addr, why string)
	SessionClosed(peer string, address netip.Addr, why string)
	BFDUp(peer string, address netip.Addr)
	BFDDown(peer string, address netip.Addr, why string)
}

// Peering speaks with routers for one node. It has a View of its own, so that it waits for nothing that layer 2 does, and
// layer 2 not for it.
type Peering struct {
	node         string
	subscription Subscription
	cluster      Cluster
	links        *layer2.Links
	moved        <-chan struct{}
	view         *plan.View
	planner      *plan.BGPPlanner
	writer       StatusWriter
	events       Events
	metrics      *peeringMetrics
	logger       klog.Logger

	bootID   string
	speaker  *speaker.Speaker
	paths    *bfd.Speaker
	coupling *coupling
	plan     plan.BGPPlan
	// What was last seen and said, to tell what is new.
	refused   []plan.Refusal
	draining  bool
	watching  map[pathKey]bfd.Session
	sessions  map[bgp.SessionKey]bgp.PeerStatus
	reported  v1alpha1.BGPStatus
	reportDue time.Time
}

// Config is what Peering is made of.
type Config struct {
	// Node that speaks: the name of its Node object. A taint with one of the keys in DrainTaints has it drained.
	Node        string
	DrainTaints []string
	// Cluster and Subscription say what the API says, and Links what interfaces there are.
	Cluster      Cluster
	Subscription Subscription
	Links        *layer2.Links
	// Status is where what is seen on the sessions is written, and Events where people are told of it.
	Status StatusWriter
	Events Events
	// Registry is told the metrics of the sessions.
	Registry prometheus.Registerer
	Logger   klog.Logger
}

// New returns Peering that speaks with nobody until it runs.
func New(config Config) *Peering {
	view, metrics := plan.NewView(config.DrainTaints...), newPeeringMetrics()
	config.Registry.MustRegister(metrics)
	return &Peering{
		node:         config.Node,
		subscription: config.Subscription,
		cluster:      config.Cluster,
		links:        config.Links,
		moved:        config.Links.Watch(),
		view:         view,
		planner:      plan.NewBGPPlanner(view, config.Node),
		writer:       config.Status,
		events:       config.Events,
		metrics:      metrics,
		logger:       config.Logger,
	}
}

// Run speaks until the context ends. Routers that keep the routes of a node whose announcer restarts are then left without a
// word, unless the node goes too.
func (r *Peering) Run(ctx context.Context) error {
	if !r.subscription.Wait(ctx) || !r.cluster.WaitAnnouncers(ctx) {
		return nil
	}
	select {
	case <-r.links.Ready():
	case <-ctx.Done():
		return nil
	}
	r.subscription.Apply(r.view)
	r.bootID = bootID()
	restarted := r.restarted()
	r.speaker = speaker.New(speaker.Config{Restarted: restarted, Logger: r.logger})
	r.paths, r.coupling = bfd.NewSpeaker(), newCoupling(restarted)
	r.metrics.see(r.speaker, r.paths)
	defer r.metrics.see(nil, nil)
	// A router that keeps the routes of an announcer which restarts has to see first that BGP is gone, and then that BFD is: the
	// other way round, the node would be dead.
	watching, unwatch := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), r.logger))
	defer unwatch()
	watched, stopped := make(chan error, 1), make(chan error, 1)
	go func() { watched <- r.paths.Run(watching) }()
	go func() { stopped <- r.speaker.Run(ctx) }()
	r.loop(ctx)
	err := <-stopped
	unwatch()
	return errors.Join(err, <-watched)
}

// loop does what changes ask for until the context ends.
func (r *Peering) loop(ctx context.Context) {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		if wake := plan.Earlier(plan.Earlier(r.step(), r.couple(time.Now())), r.report(time.Now())); !wake.IsZero() {
			again.Reset(max(time.Until(wake), 0))
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		case <-r.moved:
		case <-r.speaker.Changed():
		case <-r.paths.Changed():
		case <-r.subscription.Changed():
			r.subscription.Apply(r.view)
		}
	}
}

// step plans and has the speaker say it. It returns when to plan again.
func (r *Peering) step() time.Time {
	r.planner.SetGateways(gateways(r.links.Interfaces()))
	plan := r.planner.Plan(time.Now())
	r.plan = plan
	for _, refusal := range plan.Refused {
		if !slices.Contains(r.refused, refusal) {
			r.logger.Info("This node does not speak with a BGPPeer", "bgpPeer", refusal.Peer, "why", refusal.Sentence)
		}
	}
	if plan.Draining != r.draining {
		r.logger.Info("Whether this node takes leave of its routers has changed", "draining", plan.Draining)
	}
	r.refused, r.draining = plan.Refused, plan.Draining
	r.metrics.refuse(plan.Refused)
	r.speaker.SetCloseReason(r.closeReason())
	r.speaker.SetShutdownMessage(r.planner.ShutdownMessage())
	return plan.Wake
}

// couple has BFD watch what is to be watched, and BGP act upon what comes of it. It returns when to do so again.
func (r *Peering) couple(now time.Time) time.Time {
	var networks []netip.Prefix
	for _, i := range r.links.Interfaces() {
		networks = append(networks, i.Prefixes...)
	}
	do := r.coupling.decide(observation{
		now:      now,
		peers:    r.plan.Peers,
		bfd:      r.plan.BFD,
		sessions: r.speaker.Peers(),
		paths:    r.paths.Sessions(),
		networks: networks,
	})
	r.speaker.Suspend(do.suspended)
	if r.plan.Changed {
		r.speaker.Set(r.plan.Peers, r.plan.Routes)
	}
	for key, why := range do.reset {
		r.speaker.Reset(key, why)
		w := r.coupling.watched[key]
		if w.status.Diagnostic == bfd.DetectionTimeExpired {
			r.metrics.silence.Observe(w.status.LastDetection.Seconds())
		}
		r.events.BFDDown(key.Peer, w.address, why.String())
	}
	for _, key := range do.risen {
		r.events.BFDUp(key.Peer, r.coupling.watched[key].address)
	}
	if !maps.Equal(do.sessions, r.watching) {
		r.watching = do.sessions
		named := make(map[string]bfd.Session, len(do.sessions))
		for path, session := range do.sessions {
			named[path.String()] = session
		}
		r.paths.Set(named)
	}
	r.metrics.watch(r.coupling.watched)
	return do.wake
}

// gateways are the routers of the default routes, sorted. Link-local ones have the interface as their zone.
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

// report tells the API and people what is seen on the sessions. It returns when to report again although nothing may have
// happened.
func (r *Peering) report(now time.Time) time.Time {
	peers := r.speaker.Peers()
	r.reportSessions(peers)
	status := r.status(peers, now)
	if !r.reportDue.IsZero() && slices.EqualFunc(status.Peers, r.reported.Peers, sameSession) {
		switch {
		case slices.EqualFunc(status.Peers, r.reported.Peers, sameCount):
			return time.Time{}
		case now.Before(r.reportDue):
			return r.reportDue
		}
	}
	r.reported, r.reportDue = status, now.Add(countPause)
	r.writer.WriteBGP(status)
	return time.Time{}
}

func sameSession(a, b v1alpha1.BGPSession) bool {
	return a.Name == b.Name && a.Address == b.Address && a.State == b.State && a.Since.Equal(b.Since) && a.LastError == b.LastError &&
		apiequality.Semantic.DeepEqual(a.BFD, b.BFD)
}

func sameCount(a, b v1alpha1.BGPSession) bool { return a.Prefixes == b.Prefixes }

// status is what the node records of its sessions.
func (r *Peering) status(peers []bgp.PeerStatus, now time.Time) v1alpha1.BGPStatus {
	status := v1alpha1.BGPStatus{BootID: r.bootID}
	for _, p := range peers {
		session := v1alpha1.BGPSession{
			Name:      p.Key.Peer,
			State:     v1alpha1.BGPConnecting,
			Prefixes:  int32(p.Prefixes),
			LastError: p.Problem.String(),
			BFD:       r.coupling.status(p.Key, now),
		}
		if p.State == bgp.Established {
			session.State = v1alpha1.BGPEstablished
		}
		if p.Address.IsValid() {
			session.Address = p.Address.String()
		}
		if !p.Since.IsZero() {
			since := metav1.NewTime(p.Since.Truncate(time.Second))
			session.Since = &since
		}
		status.Peers = append(status.Peers, session)
	}
	for _, refusal := range r.refused {
		status.Peers = append(status.Peers, v1alpha1.BGPSession{Name: refusal.Peer, State: v1alpha1.BGPRefused, LastError: refusal.Sentence})
	}
	slices.SortFunc(status.Peers, func(a, b v1alpha1.BGPSession) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address))
	})
	return status
}

// reportSessions has events on the Announcer for sessions that come and go.
func (r *Peering) reportSessions(peers []bgp.PeerStatus) {
	before := r.sessions
	r.sessions = make(map[bgp.SessionKey]bgp.PeerStatus, len(peers))
	for _, p := range peers {
		r.sessions[p.Key] = p
		switch was, is := before[p.Key].State == bgp.Established, p.State == bgp.Established; {
		case is && !was:
			r.events.SessionEstablished(p.Key.Peer, p.Address)
		case was && !is:
			r.events.SessionLost(p.Key.Peer, p.Address, cmp.Or(p.Problem.String(), "no reason is known"))
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(before), bgp.SessionKey.Compare) {
		if _, there := r.sessions[key]; !there && before[key].State == bgp.Established {
			r.events.SessionClosed(key.Peer, before[key].Address, r.closeReason())
		}
	}
}

// closeReason is why a router is left on purpose.
func (r *Peering) closeReason() string {
	if r.draining {
		return "the node is drained"
	}
	return "it is not wanted any more"
}

// restarted says whether an announcer has spoken on this node before, since the node booted.
func (r *Peering) restarted() bool {
	own := r.cluster.Announcer(r.node)
	return r.bootID != "" && own != nil && own.Status.BGP.BootID == r.bootID
}

// bootID identifies the time since the node was booted; it is empty if the kernel does not tell.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
