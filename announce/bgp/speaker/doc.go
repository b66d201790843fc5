// Package speaker announces routes to routers by BGP. It knows nothing of Services, of nodes or of who should announce what: it is
// told which routers to speak with and what to say to each, and says what it sees on the sessions.
//
//	(who plans) ──► Set ──► Speaker ──► one neighbor per router ──► connection ──► GoBGP ──► router
//	                           ▲              │  differences                         │
//	                           └── Peers ◄────┴───────────────── what happens ◄──────┘
//
// It only dials and never listens, so it gets along with whatever else speaks BGP on the node. What routers send is not taken
// over and not passed on.
//
// Every router has a GoBGP server of its own. That keeps apart what the protocol keeps apart, the autonomous system, the
// identifier and the routes for each router, and it keeps routers from each other: a session that is stuck, is flooded with
// routes or is torn down holds no lock that another one needs. A server that is told that it needs IPv4 and IPv6 unicast alone
// takes 0.8 MiB; it would be 10 MiB with the tables of all families.
package speaker
