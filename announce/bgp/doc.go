// Package bgp has the values of BGP (RFC 4271) that the plan and the speaker share: a Peer to have
// a session with, by a SessionKey, a Route that is announced to it with its Attributes, and the
// PeerStatus that is seen on the session, with a Problem if there is one. It opens no socket;
// package speaker does.
package bgp
