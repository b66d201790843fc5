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
	// dial begins to connect, and tries again until the peer has accepted. What restart says goes
	// into the OPEN; without Peer.RestartTime it says nothing.
	dial(restart restartState) error
	// announce adds or replaces routes, which must be of families that have a next hop and that the
	// session carries. It may come from OpenConfirm on.
	announce(routes []bgp.Route, hops nextHops) error
	// begin has the session established, from OpenConfirm on and once. What was announced until
	// then is what the peer hears first, and then that these are all (End-of-RIB, RFC 4724).
	begin()
	// withdraw removes routes. It may overtake what was announced and has not been sent yet.
	withdraw(routes []bgp.Route) error
	// updates is how many UPDATE messages have been sent, and announced how many routes in these.
	// changed receives after that too.
	updates() uint64
	announced() uint64

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

// restartState is what this side says of itself by the capability for graceful restart (RFC 4724,
// section 3).
type restartState struct {
	// restarted sets the Restart State bit: this side has restarted, and has not heard any routes
	// since. A peer that restarts as well does not wait for it.
	restarted bool
	// preserved sets the Forwarding State bits: what was announced earlier can still be reached by
	// way of the node, so that the peer may go on with the routes that it has kept.
	preserved bool
}

// openConnection returns a connection that has no routes yet and does not dial.
type openConnection func(peer bgp.Peer, address netip.Addr, logger klog.Logger) (connection, error)

// event is something that happened on a connection.
type event struct {
	// state that was reached. It is empty if only problem happened. With Idle the connection has
	// ended and is of no use any more.
	state bgp.State
	// problem is what went wrong.
	problem bgp.Problem
	// negotiated is set with OpenConfirm.
	negotiated negotiated
}

// negotiated is what both sides have said of themselves in their OPEN messages.
type negotiated struct {
	// local is the address of this node on the session.
	local    netip.Addr
	peerASN  uint32
	peerID   netip.Addr
	families bgp.Families
	// extendedNextHop says that IPv4 routes may have an IPv6 next hop (RFC 8950).
	extendedNextHop bool
	// gracefulRestart says that the peer keeps routes over a restart (RFC 4724).
	gracefulRestart bool
}
