package plan

import "net/netip"

// ProbeTarget is a member out of sight and how to ask for it.
type ProbeTarget struct {
	Name string
	// Node is how to reach the kernel of its node; not valid if none of this node's interfaces is in its network.
	Node Question
	// Announced is an address that its announcer answers for; not valid if this node cannot ask for any.
	Announced Question
	// Left says that its announcer has gone on purpose.
	Left bool
}

// Question is whom to ask for and where.
type Question struct {
	Address   netip.Addr
	Interface string
}
