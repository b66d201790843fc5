// Package layer2 makes addresses reachable on the local network: it answers the ARP requests (IPv4) and the neighbour
// solicitations (IPv6) for them and announces them when they are new to this node. It also asks who has an address, and hears
// who else claims one, and has the kernel send on to another node what belongs to connections that began there. It knows
// nothing of Services, of nodes or of who should own an address: it does as it is told, on the interfaces it is told.
//
//	netlink ──► Links ──► Interfaces ──► (who plans) ──► Set, Care ──► Responder ──► Sightings
//	              ├──────────────────────────────────────────────────► one port per interface and protocol in use:
//	              │                                                    answers questions, announces what is new
//	              └──────────────────────► (who plans) ──► Ask ──────► Prober ──► Answer
//	              └──────────────────────► (who plans) ──► Set ──────► Relays
//
// An address is never put on an interface. The kernel therefore neither answers for it nor takes it for the node's own; all
// that the network learns about it comes from here. Where somebody else has put it on one, KernelAnswers says so.
package layer2
