package announce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/kube"
	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/liveness"
	"github.com/clarionlb/clarion/announce/membership"
	"github.com/clarionlb/clarion/announce/peering"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/gossipkey"
)

// Config is what an Announcer is made of.
type Config struct {
	// Node that it runs on: the name of its Node object.
	Node string
	// Kubernetes and Clarion are clients of the cluster's API.
	Kubernetes kubernetes.Interface
	Clarion    versioned.Interface
	// DrainTaints are the keys of the taints that have a node drained.
	DrainTaints []string
	// Refresh is how often addresses are announced again although nothing has changed; 0: never.
	Refresh time.Duration
	// GossipPort for TCP and UDP, the same on all nodes. 0 is membership.DefaultPort.
	GossipPort int
	Logger     klog.Logger
}

// Announcer announces what falls to one node.
type Announcer struct {
	config    Config
	watcher   *kube.Watcher
	keys      *kube.KeyWatcher
	view      *plan.View
	planner   *plan.Layer2Planner
	links     *layer2.Links
	responder *layer2.Responder
	prober    *layer2.Prober
	relays    *relays
	dad       *dad
	detector  *liveness.Detector
	events    *kube.Events
	writer    *kube.StatusWriter
	peering   *peering.Peering
	// cluster is there once the node's address is known, which is address.
	cluster *membership.Cluster
	address netip.Addr
	gate    liveness.Gate
	synced  *kube.CacheSync
	// warmUpEnd is until when the node takes part so newly that others may not have been met.
	warmUpEnd time.Time

	// What was last seen, to tell what is new.
	own           *v1alpha1.Announcer
	peers         map[string]netip.Addr
	macs          map[string]string
	states        map[string]plan.MemberState
	gossipBlocked []string
	isolated      bool
	kernel        kernelCheck
	defended      map[netip.Addr]time.Time
	conditions    []metav1.Condition

	ready atomic.Bool
}

// New returns an Announcer that does nothing until it runs.
func New(config Config) (*Announcer, error) {
	watcher := kube.NewWatcher(config.Kubernetes, config.Clarion, config.Node, config.Logger)
	keys := kube.NewKeyWatcher(config.Kubernetes)
	registerMetrics()
	view, links := plan.NewView(config.DrainTaints...), layer2.NewLinks()
	prober := layer2.NewProber(links)
	a := &Announcer{
		config:    config,
		watcher:   watcher,
		keys:      keys,
		view:      view,
		planner:   plan.NewLayer2Planner(view, config.Node),
		links:     links,
		responder: layer2.NewResponder(links),
		prober:    prober,
		relays:    newRelays(links, config.Logger),
		dad:       newDAD(prober, config.Logger),
		events:    kube.NewEvents(config.Kubernetes, watcher, config.Node, config.Logger),
		synced:    kube.NewCacheSync(config.Clarion.ClarionV1alpha1().Announcers(), watcher),
		writer:    kube.NewStatusWriter(config.Node, config.Clarion.ClarionV1alpha1().Announcers(), watcher, config.Logger),
		defended:  map[netip.Addr]time.Time{},
	}
	a.responder.Refresh = config.Refresh
	registerWire(a.responder, prober)
	a.peering = peering.New(peering.Config{
		Node:         config.Node,
		DrainTaints:  config.DrainTaints,
		Cluster:      watcher,
		Subscription: watcher.BGP,
		Links:        links,
		Status:       a.writer,
		Events:       a.events,
		Registry:     legacyregistry.Registerer(),
		Logger:       config.Logger,
	})
	a.detector = liveness.NewDetector(prober, a.seesGateway, a.seesAPI, config.Logger)
	return a, nil
}

// Ready says whether the announcer takes part: it knows the API's state and its peers and announces what falls to it.
func (a *Announcer) Ready() bool { return a.ready.Load() }

// Run announces until the context ends. It then tells the other announcers that it leaves, which takes up to a second; this one
// still answers meanwhile. What it has stays with its node for a while, and others answer in its place, so that it can be
// started anew, for an upgrade say, without a move. An error means that it cannot go on, but could if started again.
func (a *Announcer) Run(ctx context.Context) error {
	defer a.ready.Store(false)
	// What runs beside the loop outlives the context, to serve until the others have taken over.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, background := errgroup.WithContext(background)
	until, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	context.AfterFunc(background, func() { cancel(context.Cause(background)) })

	group.Go(func() error { return a.watcher.Run(background) })
	group.Go(func() error { return a.keys.Run(background) })
	group.Go(func() error { return a.links.Run(background) })
	group.Go(func() error { return a.responder.Run(background) })
	group.Go(func() error { return a.prober.Run(background) })
	group.Go(func() error { return a.peering.Run(until) })
	a.events.Start()
	defer a.events.Stop()
	recorded := make(chan struct{})
	go func() {
		defer close(recorded)
		a.writer.Run(until)
	}()

	err := a.run(until, group)
	cancel(nil)
	a.dad.wait()
	a.detector.Wait()
	a.synced.Wait()
	<-recorded
	if a.Ready() && ctx.Err() != nil {
		a.writeStopped(background)
	}
	stop()
	return errors.Join(err, group.Wait())
}

// run starts in order, follows changes until the context ends and leaves the other announcers.
func (a *Announcer) run(ctx context.Context, group *errgroup.Group) error {
	if !a.awaitState(ctx) || !a.createAnnouncer(ctx) || !a.awaitKey(ctx) {
		return nil
	}
	key, err := a.keys.Key()
	if err != nil {
		return err
	}
	a.cluster = membership.New(membership.Config{
		Name:    a.config.Node,
		Address: a.address,
		Port:    a.config.GossipPort,
		Key:     key,
		Logger:  a.config.Logger,
	})
	left := make(chan struct{})
	group.Go(func() error {
		defer close(left)
		return a.cluster.Run(ctx)
	})
	err = a.loop(ctx)
	if err == nil {
		a.config.Logger.Info("Leaving the other announcers", "node", a.config.Node)
		<-left
	}
	return err
}

func (a *Announcer) changeKey() {
	key, err := a.keys.Key()
	if err == nil {
		err = a.cluster.SetKey(key)
	}
	if err != nil {
		a.config.Logger.Error(err, "The key of the gossip cannot be used, the one before stays", "secret", klog.KRef(gossipkey.Namespace, gossipkey.Secret))
	}
}

// warmUp is how long a node that has begun to take part leaves addresses alone that nobody has, unless all the nodes are
// there already. The announcers of a new cluster start within this time.
const warmUp = 3 * time.Second

// loop does what changes ask for until the context ends.
func (a *Announcer) loop(ctx context.Context) error {
	for joined := false; !joined; {
		a.updatePeers()
		select {
		case <-a.cluster.Joined():
			joined = true
		case <-a.watcher.Layer2.Changed():
			a.watcher.Layer2.Apply(a.view)
		case <-a.keys.Changed():
			a.changeKey()
		case <-ctx.Done():
			return nil
		}
	}
	a.gate.Address = a.address
	a.warmUpEnd = time.Now().Add(warmUp)
	a.config.Logger.Info("Taking part", "node", a.config.Node, "address", a.address, "alive", a.cluster.Alive(), "expected", len(a.peers))
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		wake := plan.Earlier(a.observe(ctx), a.step(ctx))
		if !wake.IsZero() {
			again.Reset(max(time.Until(wake), 0))
		}
		a.ready.Store(true)
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		case <-a.links.Changed():
			a.kernel.stale = true
		case <-a.links.KernelChanged():
			a.kernel.stale = true
		case <-a.cluster.Changed():
			a.receiveTakeovers()
		case <-a.detector.Changed():
		case <-a.synced.Changed():
		case <-a.keys.Changed():
			a.changeKey()
		case r := <-a.dad.done:
			a.finishProbe(r)
		case <-a.responder.Sighted():
			for _, s := range a.responder.Sightings() {
				a.observeSighting(s)
			}
		case <-a.watcher.Layer2.Changed():
			a.watcher.Layer2.Apply(a.view)
			a.kernel.stale = true
			a.updatePeers()
			if is := a.view.NodeAddress(a.config.Node); is.IsValid() && is != a.address {
				return fmt.Errorf("the address of node %s has changed from %s to %s: start again", a.config.Node, a.address, is)
			}
		}
	}
}

// observe tells the planner what the node sees besides the API. If only time is missing for the node to take part, it returns
// when to look again.
func (a *Announcer) observe(ctx context.Context) (wake time.Time) {
	now := time.Now()
	up, alive := interfacesUp(a.links.Interfaces()), a.cluster.Alive()
	var suspects []plan.ProbeTarget
	company := liveness.Quorum{Expected: len(a.peers)}
	for name, address := range a.peers {
		if _, sees := slices.BinarySearch(alive, name); sees {
			if name != a.config.Node {
				company.InGossip = append(company.InGossip, plan.QuestionFor(address, up))
			}
			continue
		}
		if s, relevant := a.planner.ProbeTarget(name, up); relevant {
			s.Left = a.cluster.Left(name)
			suspects = append(suspects, s)
		}
	}
	absent, isolated := a.detector.Update(ctx, suspects, company)
	for name, absence := range absent {
		if before, known := a.states[name]; absence == plan.Dead && known && before != plan.Dead {
			if seen := a.cluster.LastSeen(name); !seen.IsZero() {
				detectionMetric.Observe(now.Sub(seen).Seconds())
			}
		}
	}
	if isolated != a.isolated {
		a.config.Logger.Info("This node reaches no announcer, no router and no API server, and announces nothing until it does", "isolated", isolated)
	}
	a.states, a.isolated = absent, isolated

	ok, wait := a.gate.Allows(up, alive, isolated, func() bool { return a.synced.Synced(ctx) }, now)
	if !ok {
		up = nil
	}
	if ok || wait == 0 {
		a.synced.Reset() // not cut off, or still
	}
	if wait > 0 {
		wake = now.Add(wait)
	}
	novice := now.Before(a.warmUpEnd) && !a.view.Complete(alive)
	if novice {
		wake = plan.Earlier(wake, a.warmUpEnd)
	}
	a.planner.SetWarmingUp(novice)
	a.planner.SetInterfaces(up)
	a.planner.SetAlive(alive)
	a.planner.SetMemberStates(absent)
	return wake
}

// updatePeers tells the gossip who should be there, and notes with which hardware addresses.
func (a *Announcer) updatePeers() {
	a.macs = a.view.MACs()
	peers := a.view.Peers()
	if a.peers != nil && maps.Equal(peers, a.peers) {
		return
	}
	a.peers = peers
	known := maps.Clone(peers)
	maps.DeleteFunc(known, func(_ string, address netip.Addr) bool { return !address.IsValid() })
	a.cluster.SetPeers(known)
}

// step plans, and does and records what has changed: first on the network, then in the API. It returns when to plan again.
func (a *Announcer) step(ctx context.Context) time.Time {
	start := time.Now()
	todo := a.planner.Plan(start)
	planMetric.Observe(time.Since(start).Seconds())
	a.relays.prepare(todo.Relays) // what belongs to connections from elsewhere needs its way before it comes
	if todo.Changed {
		a.responder.Set(todo.Layer2)
	}
	relayed := a.relays.finish(todo.Relays, start)
	a.sendTakeovers(todo.Takeovers)
	if len(todo.Quiesce) > 0 {
		a.responder.Quiesce(todo.Quiesce...)
	}
	if len(todo.Reannounce) > 0 {
		a.responder.Reannounce(todo.Reannounce...)
	}
	a.responder.SetProxied(proxiedBy(todo.Proxied))
	macs := a.macs
	a.dad.probe(ctx, todo.Probes, func(mac net.HardwareAddr) bool { return macs[mac.String()] != "" })
	for _, m := range todo.Moves {
		a.report(m)
	}
	if !slices.Equal(a.gossipBlocked, todo.GossipBlocked) {
		a.gossipBlocked = todo.GossipBlocked
		if len(a.gossipBlocked) > 0 {
			a.config.Logger.Info("Announcers are alive but out of sight: is the gossip's port blocked, TCP or UDP?", "nodes", a.gossipBlocked)
		} else {
			a.config.Logger.Info("No announcer is alive but out of sight any more")
		}
	}
	addressesMetric.Set(float64(len(todo.Layer2)))
	proxiedMetric.Set(float64(len(todo.Proxied)))

	alive, expected := len(a.cluster.Alive()), len(a.peers)
	membersMetric.WithLabelValues("alive").Set(float64(alive))
	membersMetric.WithLabelValues("expected").Set(float64(expected))
	own := a.watcher.Announcer(a.config.Node)
	if loud := a.kernel.look(a.links, a.planner.PossibleInterfaces, a.config.Logger, start); todo.Changed || a.own == nil || loud {
		a.writer.Write(a.status(own))
	} else if own != a.own {
		a.writer.Recheck()
	}
	a.own = own
	return plan.Earlier(plan.Earlier(todo.Wake, a.kernel.due()), relayed)
}

// sendTakeovers has the other announcers know what this one has taken over.
func (a *Announcer) sendTakeovers(takeovers []plan.Takeover) {
	if len(takeovers) == 0 {
		return
	}
	text, err := json.Marshal(takeovers)
	if err != nil {
		a.config.Logger.Error(err, "Cannot tell the others what was taken over")
		return
	}
	a.cluster.Broadcast(text)
}

// receiveTakeovers takes in what others have told.
func (a *Announcer) receiveTakeovers() {
	for _, notice := range a.cluster.Messages() {
		var takeovers []plan.Takeover
		if err := json.Unmarshal(notice.Text, &takeovers); err != nil {
			a.config.Logger.Error(err, "Cannot read what an announcer tells", "node", notice.From)
			continue
		}
		a.planner.ObserveTakeovers(notice.From, takeovers, time.Now())
	}
}

// proxiedBy leaves out what says no hardware address.
func proxiedBy(care map[netip.Addr]plan.Proxy) map[netip.Addr]layer2.Proxied {
	out := make(map[netip.Addr]layer2.Proxied, len(care))
	for ip, c := range care {
		if mac, err := net.ParseMAC(c.MAC); err == nil {
			out[ip] = layer2.Proxied{Interfaces: c.Interfaces, MAC: mac}
		}
	}
	return out
}

// finishProbe takes the result of a trial.
func (a *Announcer) finishProbe(r dadResult) {
	a.dad.finished(r)
	if c, news := a.planner.ReportProbe(r.address, r.host, time.Now()); news {
		a.reportConflict(c)
	}
}

// defence is the shortest time between two announcements that answer those of a stranger: RFC 5227, section 2.4.
const defence = 10 * time.Second

// observeSighting takes note of somebody else who answers for an address of this node: the announcer that is to have it next, or a
// stranger.
func (a *Announcer) observeSighting(s layer2.Sighting) {
	now := time.Now()
	if node := a.macs[s.MAC.String()]; node != "" {
		conflictsMetric.WithLabelValues("member").Inc()
		a.planner.ObserveAnnouncement(s.Address, node, now)
		return
	}
	conflictsMetric.WithLabelValues("stranger").Inc()
	if c, news := a.planner.ObserveConflict(s.Address, plan.ConflictingHost{Interface: s.Interface, MAC: s.MAC.String()}, now); news {
		a.reportConflict(c)
	}
	if now.Sub(a.defended[s.Address]) >= defence {
		a.defended[s.Address] = now
		a.responder.Reannounce(s.Address)
	}
}

// reportConflict tells people of a stranger that has an address.
func (a *Announcer) reportConflict(c plan.Conflict) {
	a.config.Logger.Info("A stranger answers for an address", "address", c.Address, "mac", c.MAC, "interface", c.Interface, "announced", c.InUse)
	a.events.Conflict(a.view.ServicesOf(c.Address), c)
}

// seesAPI reports whether the API server can be reached.
func (a *Announcer) seesAPI(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	// Not from a cache, so that an API server that is cut off from its peers, on this very node perhaps, does not count.
	_, err := a.config.Clarion.ClarionV1alpha1().Announcers().Get(ctx, a.config.Node, metav1.GetOptions{})
	return err == nil
}

// seesGateway reports whether a default gateway answers on its network.
func (a *Announcer) seesGateway(ctx context.Context) bool {
	for _, i := range a.links.Interfaces() {
		for _, gateway := range i.Gateways {
			if _, answered, err := a.prober.Ask(ctx, layer2.Question{
				Interface: i.Name, Address: gateway, Tries: 3, Interval: 30 * time.Millisecond,
			}); err == nil && answered {
				return true
			}
		}
	}
	return false
}
