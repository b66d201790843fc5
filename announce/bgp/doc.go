// Package bgp has the values of BGP (RFC 4271) that the plan and the speaker share: a Peer to have a session with, a Route that
// it is told with its Attributes, and the PeerStatus that is seen on the session. It opens no socket; package speaker does.
package bgp
