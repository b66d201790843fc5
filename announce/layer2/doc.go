// Package layer2 makes addresses reachable on the local network. It answers the ARP requests (IPv4,
// RFC 826) and the neighbour solicitations (IPv6, RFC 4861) for them, and announces them when they
// are new to this node. It can also ask who has an address, it notices who else claims one, and it
// has the kernel relay packets of connections that began on another node. The package knows nothing
// of Services, of nodes, or of who should own an address. It does what it is told, on the
// interfaces it is told.
//
//	netlink ──► Links ──► Interfaces ──► (plan) ──► Set, SetProxied ──► Responder ──► Sightings
//	              ├───────────────────────────────────────────────────► one ifaceResponder for each interface and
//	              │                                                     protocol in use: answers and announces
//	              ├─────────────────────► (plan) ──► Ask ─────────────► Prober ──► Answer
//	              └─────────────────────► (plan) ──► Set ─────────────► Relays
//
// A proxied address is owned by another node, whose announcer is away for a moment, for an upgrade
// say. This node answers in its place (proxy ARP, RFC 1027, and proxy NDP, RFC 4861, section
// 7.2.8). But the reply carries the owner's hardware address, so that packets go to the owner as
// before.
//
// An address is never put on an interface. So the kernel neither answers for it nor takes it for
// the node's own, and all that the network learns about it comes from this package. If somebody
// else has put an address on an interface, KernelAnswers says so.
package layer2
