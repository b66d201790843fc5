package bgp

import (
	"cmp"
	"net/netip"
)

// SessionKey tells the sessions of a node apart. It can be compared with == and be a map key.
type SessionKey struct {
	// Peer is the name of what asks for the session: a BGPPeer.
	Peer string
	// Gateway is the address of the peer if Peer stands for the routers of the node's default
	// routes, of which there may be several. It is the zero Addr for a Peer that stands for one
	// router.
	Gateway netip.Addr
}

// String is for logs and for people: the name and, if there is one, the gateway, as in "tor@192.0.2.1".
func (k SessionKey) String() string {
	if !k.Gateway.IsValid() {
		return k.Peer
	}
	return k.Peer + "@" + k.Gateway.String()
}

// Compare orders keys by Peer, then by Gateway.
func (k SessionKey) Compare(other SessionKey) int {
	return cmp.Or(cmp.Compare(k.Peer, other.Peer), k.Gateway.Compare(other.Gateway))
}
