// Package election decides which node owns an address, which is the node that announces it. The
// package is pure: the same live nodes, claims and eligible nodes give the same owners on every
// node, in whatever order they became known. So no node has to ask another.
//
// The incumbent is the node with the best claim. For one address, the decision goes through these
// questions:
//
//	the incumbent hands the address over to a live and eligible node? ──yes──► that node owns it
//	                    │no
//	                    ▼
//	the incumbent is alive and eligible? ──yes──► it keeps the address
//	                    │no
//	                    ▼
//	an eligible live node is known to have taken it over? ──yes──► that node owns it
//	                    │no
//	                    ▼
//	an eligible live node owns another address of the group? ──yes──► it owns this one too
//	                    │no
//	                    ▼
//	of the eligible live nodes those of the highest weight, of these those that carry least,
//	and of these the one with the highest rendezvous hash of (node, address)
//
// A node that is a last resort counts as eligible only if no other node is. What a node carries is
// counted in groups: all its addresses of one group count as one.
//
// Addresses that the claims leave open get their owners one after the other, the oldest first.
// Those of a group get theirs together with the oldest of them. Everything else relies on two
// properties that follow:
//
//   - A younger address changes nothing for older ones, except for those of its group. So nodes
//     that hear of a new address at different times agree on all others.
//   - When a node records the claims that the decision gave it, the decision for the rest stays
//     what it was. So it does not matter who sees whose claims first. A node must record all of its
//     claims at once.
//
// The second property holds as long as the live nodes are the same. A node that takes addresses
// over therefore tells the others at once, without waiting for the API: otherwise, if another node
// died next, they might decide differently about the same addresses.
//
// The package knows neither time nor network nor Kubernetes.
package election
