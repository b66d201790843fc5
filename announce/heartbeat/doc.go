// Package heartbeat notices within some 150 ms that a member may have died. It sees no more than that
// heartbeats stop; whether the member is dead is for others to find out (package liveness).
//
//	members in sight ──► ring ──► one session with each neighbour (package bfd) ──► State
//
// Each member has sessions with the two that follow it on a ring and with the two before it. So each is
// watched by four, and what a member sends and receives does not grow with the cluster. All compute the
// same ring from the same members. While they do not agree, of two members one lacks the session, and the
// other one hears nothing: that is no silence, as nothing was heard before.
package heartbeat
