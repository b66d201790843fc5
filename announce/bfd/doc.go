// Package bfd notices within a few hundred milliseconds that the path to a neighbour is dead: Bidirectional Forwarding Detection
// (RFC 5880) in asynchronous mode, with neighbours on the same link (RFC 5881) and several hops away (RFC 5883). It knows nothing of
// BGP or of what its users do about a dead path.
//
//	Set ──► Speaker ── one machine per session: state, timers, what to send when; pure
//	           │  ▲
//	           │  └── one listener per family and port 3784 or 4784, for all sessions
//	           └───── one sender per session, for it has a source port of its own
//
// Everything happens on one thread, which waits for packets and timers by itself and, if the process may (CAP_SYS_NICE), goes before
// others on a busy node: neighbours take a node for dead that is late by two packets.
//
// Authentication and the echo function are left out: packets with authentication are refused, and neighbours are told to send no
// echo. Demand mode is honoured where the neighbour asks for it, and never asked for.
package bfd
