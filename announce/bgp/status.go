package bgp

import (
	"net/netip"
	"time"
)

// State is how far a session has come (RFC 4271, section 8.2.2).
type State string

// The states.
const (
	// Idle is no attempt: something about the Peer is wrong, or it is paused.
	Idle State = "Idle"
	// Connect is an attempt to connect, or the time between two.
	Connect State = "Connect"
	// OpenSent is a connection on which the peer has not sent its OPEN yet.
	OpenSent State = "OpenSent"
	// OpenConfirm is a peer that has sent its OPEN and has not yet accepted.
	OpenConfirm State = "OpenConfirm"
	// Established is a session that carries routes.
	Established State = "Established"
)

// PeerStatus is what is seen on a session.
type PeerStatus struct {
	Key SessionKey
	// Address of the peer; the zero Addr is one that has not been found yet.
	Address netip.Addr
	State   State
	// Since when it has been in that State, or for anything but Established, since when it has not
	// been Established.
	Since time.Time
	// Prefixes that are announced on the session; 0 without one.
	Prefixes int
	// Sent are those Prefixes by family, and Unsent those that were to be announced but cannot be:
	// the session does not carry their family, or there is no next hop.
	Sent, Unsent PrefixCounts
	// Flaps are how often a session has been lost.
	Flaps int
	// Updates are the UPDATE messages that have been sent.
	Updates uint64
	// Problem is the last thing that went wrong. It stays until there is a session, and after that
	// only if something is wrong with that: a family that has no next hop.
	Problem Problem

	// Local is the address of this node on the session; the zero Addr without one.
	Local netip.Addr
	// PeerASN and PeerID are what the peer says of itself in its OPEN; 0 and the zero Addr without
	// a session.
	PeerASN uint32
	PeerID  netip.Addr
	// Families that the session carries, since both sides have offered them in their OPENs; 0
	// without one.
	Families Families
	// Announced are those of Families that have a next hop: only their routes are announced. 0
	// without a session.
	Announced Families
	// ExtendedNextHop says that the peer takes IPv4 routes with an IPv6 next hop (RFC 8950).
	ExtendedNextHop bool
	// GracefulRestart says that the peer will keep the routes when this process ends without a
	// NOTIFICATION (RFC 4724).
	GracefulRestart bool
}

// PrefixCounts are numbers of prefixes.
type PrefixCounts struct{ IPv4, IPv6 int }

// Of is the number of those of one family.
func (c PrefixCounts) Of(f Families) int {
	if f == IPv4 {
		return c.IPv4
	}
	return c.IPv6
}

// FamilyProblem is why no routes of a family are sent on an established session; no Problem if they
// are, or there are none to send.
func (s PeerStatus) FamilyProblem(f Families) Problem {
	switch {
	case s.State != Established || s.Unsent.Of(f) == 0:
		return Problem{}
	case s.Families&f == 0:
		return Problem{Kind: NotCarried, Families: f}
	}
	return Problem{Kind: NoNextHop, Families: f, Address: s.Address}
}
