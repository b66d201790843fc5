// Package speaker announces routes to BGP peers (RFC 4271). It knows nothing of Services, of nodes
// or of who should announce what: it is told which peers to have sessions with and what to announce
// to each, and says what it sees on the sessions.
//
//	(who plans) ──► Set ──► Speaker ──► one neighbor per peer ──► session ──► connection ──► GoBGP ──► peer
//	                           ▲              │                     │              │
//	                           └── Peers ◄────┴──── PeerStatus ◄────┴── events ◄───┘
//
// It only dials, so it gets along with whatever else speaks BGP on the node.
// Routes that peers send are not taken over and not passed on.
//
// A connection has two parts. The handshake dials the peer and compares both OPENs, so that nothing
// is sent that they have not agreed. GoBGP, behind a relay, has the session from there on.
//
// Only the files whose names begin with gobgp know GoBGP. What a session needs of it is the
// interface connection; the tests of neighbors and sessions have another one, which has no sockets.
//
// Every peer has a GoBGP server of its own. That keeps apart what the protocol keeps apart, the
// autonomous system, the identifier and the routes for each peer, and it keeps peers from each
// other: a session that is stuck, is flooded with routes or is torn down holds no lock that another
// one needs. A server that is told that it needs IPv4 and IPv6 unicast alone takes 0.8 MiB; it
// would be 10 MiB with the tables of all families.
package speaker
