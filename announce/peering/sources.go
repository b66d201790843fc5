package peering

import (
	"context"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/bfd"
	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Cluster says what the API has recorded.
type Cluster interface {
	// WaitAnnouncers blocks until Announcer knows all that there were at the start; false if the
	// context ends before.
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

// Links are the node's network interfaces.
type Links interface {
	// Ready is closed once Interfaces has all of them.
	Ready() <-chan struct{}
	// Watch returns what receives after Interfaces has changed.
	Watch() <-chan struct{}
	Interfaces() []layer2.Interface
}

// StatusWriter writes what the node records of its sessions.
type StatusWriter interface {
	WriteBGP(status v1alpha1.BGPStatus)
}

// Events tell people what becomes of sessions, by BGPPeer and address, which is the zero Addr if it
// is not known.
type Events interface {
	SessionEstablished(peer string, address netip.Addr)
	SessionLost(peer string, address netip.Addr, why string)
	SessionClosed(peer string, address netip.Addr, why string)
	BFDUp(peer string, address netip.Addr)
	BFDDown(peer string, address netip.Addr, why string)
	Failed(services []plan.ServiceRef, f plan.Failure)
}

// checks is kubeproxy.Checks.
type checks interface {
	Set(ctx context.Context, wanted map[types.NamespacedName]plan.EndpointCheck)
	Changed() <-chan struct{}
	Served() []types.NamespacedName
	Wait()
}

// rejects is reject.Rejects, of BGP.
type rejects interface {
	Set(announced map[netip.Prefix]struct{}, now time.Time)
	Step(now time.Time) (wake time.Time)
	Leave()
}

// bgpSpeaker has the sessions of BGP: a speaker.Speaker, where all of this is described.
type bgpSpeaker interface {
	Run(ctx context.Context) error
	Changed() <-chan struct{}
	Peers() []bgp.PeerStatus
	Set(peers map[bgp.SessionKey]bgp.Peer, routes map[bgp.SessionKey][]bgp.Route)
	Suspend(suspended map[bgp.SessionKey]bgp.Problem)
	Reset(key bgp.SessionKey, why bgp.Problem)
	SetHost(host bgp.Host)
	SetCloseReason(reason string)
	SetShutdownMessage(reason string)
}

// hostWatcher follows the addresses and routes of the node: a speaker.HostWatcher.
type hostWatcher interface {
	Run(ctx context.Context) error
	// Ready is closed once Host has all that there is.
	Ready() <-chan struct{}
	Changed() <-chan struct{}
	Host() bgp.Host
}

// bfdSpeaker has the sessions of BFD: a bfd.Speaker.
type bfdSpeaker interface {
	Run(ctx context.Context) error
	Changed() <-chan struct{}
	Sessions() []bfd.Status
	Set(sessions map[string]bfd.Session)
}
