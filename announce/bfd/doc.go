// Package bfd notices within a few hundred milliseconds that the path to a peer has failed. It
// implements Bidirectional Forwarding Detection (RFC 5880) in asynchronous mode, with peers on the
// same link (RFC 5881) and several hops away (RFC 5883). It knows nothing of BGP, or of what its
// users do about a path that has failed.
//
//	Set ──► Speaker ── one machine per session: state, timers, what to send when; pure
//	           │  ▲
//	           │  └── one listener per family and port 3784 or 4784, for all sessions
//	           └───── one sender per session, since each has a source port of its own
//
// One thread does everything. It waits for packets and timers without Go's scheduler. If the
// process may (CAP_SYS_NICE), the thread has a high priority: with the default multiplier of 3, peers
// take the path for failed if a busy node is late by two packets. If no packet has to be handled as it
// arrives (Session.Coalesce), it leaves the work to any thread while that is in time: see pace.
//
// The authentication of RFC 5880 and the echo function are not implemented. Routers are refused that
// authenticate their packets, and told to send no echo packets. Among themselves, announcers have
// sessions with an authentication of their own: see Keys. Demand mode is honoured if the peer asks for
// it, and never asked for.
package bfd
