package announce

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// countPause is the shortest time between two reports of how many prefixes are announced, if nothing else has changed: every
// node announces every Service, so all of them would write for each.
const countPause = 5 * time.Second

// routing speaks with routers for one node. It has a View of its own, so that it waits for nothing that layer 2 does, and
// layer 2 not for it.
type routing struct {
	node     string
	follower *Follower
	feed     *Feed
	links    *layer2.Links
	moved    <-chan struct{}
	view     *View
	planner  *RoutePlanner
	recorder *recorder
	events   *events
	metrics  *sessionMetrics
	logger   klog.Logger

	bootID  string
	speaker *bgp.Speaker
	// What was last seen and said, to tell what is new.
	refused   []Refusal
	draining  bool
	states    map[string]bgp.State
	reported  v1alpha1.BGPStatus
	reportDue time.Time
}

func newRouting(config Config, feed *Feed, links *layer2.Links, recorder *recorder, events *events, metrics *sessionMetrics) *routing {
	view := NewView(config.DrainTaints...)
	return &routing{
		node:     config.Node,
		follower: feed.BGP,
		feed:     feed,
		links:    links,
		moved:    links.Watch(),
		view:     view,
		planner:  NewRoutePlanner(view, config.Node),
		recorder: recorder,
		events:   events,
		metrics:  metrics,
		logger:   config.Logger,
		states:   map[string]bgp.State{},
	}
}

// Run speaks until the context ends. Routers that keep the routes of a node whose announcer restarts are then left without a
// word.
func (r *routing) Run(ctx context.Context) error {
	if !r.follower.Wait(ctx) {
		return nil
	}
	select {
	case <-r.links.Ready():
	case <-ctx.Done():
		return nil
	}
	r.follower.Apply(r.view)
	r.bootID = bootID()
	r.speaker = bgp.New(bgp.Config{Restarted: r.restarted(), Logger: r.logger})
	r.metrics.see(r.speaker)
	defer r.metrics.see(nil)
	stopped := make(chan error, 1)
	go func() { stopped <- r.speaker.Run(ctx) }()
	r.follow(ctx)
	return <-stopped
}

// follow does what changes ask for until the context ends.
func (r *routing) follow(ctx context.Context) {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		if wake := earlier(r.step(), r.report(time.Now())); !wake.IsZero() {
			again.Reset(max(time.Until(wake), 0))
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		case <-r.moved:
		case <-r.speaker.Changed():
		case <-r.follower.Changed():
			r.follower.Apply(r.view)
		}
	}
}

// step plans and has the speaker say it. It returns when to plan again.
func (r *routing) step() time.Time {
	r.planner.SetGateways(gateways(r.links.Interfaces()))
	plan := r.planner.Plan(time.Now())
	if plan.Changed {
		r.speaker.Set(plan.Peers, plan.Routes)
	}
	for _, refusal := range plan.Refused {
		if !slices.Contains(r.refused, refusal) {
			r.logger.Info("This node does not speak with a BGPPeer", "bgpPeer", refusal.Peer, "why", refusal.Sentence)
		}
	}
	if plan.Draining != r.draining {
		r.logger.Info("Whether this node takes leave of its routers has changed", "draining", plan.Draining)
	}
	r.refused, r.draining = plan.Refused, plan.Draining
	return plan.Wake
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
func (r *routing) report(now time.Time) time.Time {
	peers := r.speaker.Peers()
	r.tell(peers)
	status := r.status(peers)
	if !r.reportDue.IsZero() && slices.EqualFunc(status.Peers, r.reported.Peers, sameSession) {
		switch {
		case slices.EqualFunc(status.Peers, r.reported.Peers, sameCount):
			return time.Time{}
		case now.Before(r.reportDue):
			return r.reportDue
		}
	}
	r.reported, r.reportDue = status, now.Add(countPause)
	r.recorder.recordBGP(status)
	return time.Time{}
}

func sameSession(a, b v1alpha1.BGPSession) bool {
	return a.Name == b.Name && a.Address == b.Address && a.State == b.State && a.Since.Equal(b.Since) && a.LastError == b.LastError
}

func sameCount(a, b v1alpha1.BGPSession) bool { return a.Prefixes == b.Prefixes }

// status is what the node records of its sessions.
func (r *routing) status(peers []bgp.PeerStatus) v1alpha1.BGPStatus {
	status := v1alpha1.BGPStatus{BootID: r.bootID}
	for _, p := range peers {
		session := v1alpha1.BGPSession{
			Name:      peerOf(p.Name),
			State:     v1alpha1.BGPConnecting,
			Prefixes:  int32(p.Prefixes),
			LastError: p.Error,
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

// peerOf is the BGPPeer of a session.
func peerOf(session string) string {
	name, _, _ := strings.Cut(session, "@")
	return name
}

// tell has events on the Announcer for sessions that come and go.
func (r *routing) tell(peers []bgp.PeerStatus) {
	before := r.states
	r.states = make(map[string]bgp.State, len(peers))
	for _, p := range peers {
		r.states[p.Name] = p.State
		was, is := before[p.Name] == bgp.Established, p.State == bgp.Established
		if was != is {
			r.events.session(r.feed.Announcer(r.node), peerOf(p.Name), p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, there := r.states[name]; !there && before[name] == bgp.Established {
			r.events.session(r.feed.Announcer(r.node), peerOf(name), bgp.PeerStatus{Name: name, Error: notWanted})
		}
	}
}

// restarted says whether an announcer has spoken on this node before, since the node booted.
func (r *routing) restarted() bool {
	own := r.feed.Announcer(r.node)
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

// Reasons of events on Announcers.
const (
	eventSessionUp   = "BGPSessionEstablished"
	eventSessionDown = "BGPSessionLost"
	eventSessionLeft = "BGPSessionClosed"
)

// notWanted is the error of a session that was given up on purpose.
const notWanted = "it is not wanted any more"

// session tells that a session with a router has been established or lost.
func (e *events) session(announcer *v1alpha1.Announcer, peer string, p bgp.PeerStatus) {
	if announcer == nil {
		return
	}
	on := &corev1.ObjectReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(),
		Kind:       "Announcer",
		Name:       announcer.Name,
		UID:        announcer.UID,
	}
	router := peer
	if p.Address.IsValid() {
		router += " (" + p.Address.String() + ")"
	}
	switch {
	case p.State == bgp.Established:
		e.recorder.Eventf(on, corev1.EventTypeNormal, eventSessionUp, "the BGP session with %s is established", router)
		return
	case p.Error == notWanted:
		e.recorder.Eventf(on, corev1.EventTypeNormal, eventSessionLeft, "the BGP session with %s is closed: %s", router, notWanted)
		return
	}
	e.recorder.Eventf(on, corev1.EventTypeWarning, eventSessionDown, "the BGP session with %s is lost: %s", router, cmp.Or(p.Error, "no reason is known"))
}
