// Package layer2 makes addresses reachable on the local network: it answers the ARP requests (IPv4) and the neighbour
// solicitations (IPv6) for them and announces them when they are new to this node. It knows nothing of Services, of nodes or
// of who should own an address: it does as it is told, on the interfaces it is told.
//
//	netlink ──► Links ──► Interfaces ──► (who plans) ──► Set ──► Responder
//	              └──────────────────────────────────────────────► one port per interface and protocol in use
//	                                                                 answers questions, announces what is new
//
// An address is never put on an interface. The kernel therefore neither answers for it nor takes it for the node's own; all
// that the network learns about it comes from here.
package layer2
