package speaker

import (
	"net/netip"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
)

// connection is all that a session needs of an implementation of BGP: it connects to one peer until
// there is a session, carries that, and is of no use any more when it has ended. One goroutine
// calls its methods, but for updates, which any may call.
type connection interface {
	// dial begins to connect, and tries again until there is a session. restarting sets the Restart
	// State bit (RFC 4724, section 3): a peer that has kept the routes of an earlier session uses
	// them until it has heard all of this one. Without Peer.RestartTime it says nothing.
	dial(restarting bool) error
	// announce adds or replaces routes of families that have a next hop. It may come before dial
	// and before there is a session: the peer then hears the routes first of all.
	announce(routes []bgp.Route, hops nextHops) error
	// withdraw removes routes.
	withdraw(routes []bgp.Route) error
	// updates is how many UPDATE messages have been sent.
	updates() uint64

	// changed receives after something has happened, and events returns what has since it was
	// called last.
	changed() <-chan struct{}
	events() []event

	// cease ends a session with a NOTIFICATION that says why: a Cease for Administrative Shutdown
	// (RFC 9003). The peer keeps no routes. It closes the connection too.
	cease(reason string)
	// close ends everything. A peer that keeps routes over a restart is left without a
	// NOTIFICATION, so that it does.
	close()
}

// openConnection returns a connection that has no routes yet and does not dial.
type openConnection func(peer bgp.Peer, address netip.Addr, logger klog.Logger) (connection, error)

// event is something that happened on a connection.
type event struct {
	// state that was reached. It is empty if only problem happened.
	state bgp.State
	// problem is what went wrong.
	problem bgp.Problem
	// negotiated is set with Established.
	negotiated negotiated
}

// negotiated is what both sides have said of themselves in their OPEN messages.
type negotiated struct {
	peerASN  uint32
	peerID   netip.Addr
	families bgp.Families
	// extendedNextHop says that IPv4 routes may have an IPv6 next hop (RFC 8950).
	extendedNextHop bool
	// gracefulRestart says that the peer keeps routes over a restart (RFC 4724).
	gracefulRestart bool
}
