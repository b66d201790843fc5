// Package election decides which node announces an address. It is pure: the same nodes, claims and candidates give the same
// owners on every node, in whatever order they became known, so no node has to ask another.
//
//	claims of the address ──► the best one's node is alive and eligible? ──yes──► it keeps the address
//	                                          │no
//	                                          ▼
//	                   of the eligible live nodes those that carry least, and of these
//	                   the one that a rendezvous hash of (node, address) puts first
//
// Addresses that need a new owner are served one after the other, oldest first. Two properties follow, and everything else
// leans on them:
//
//   - A younger address changes nothing for the older ones, so nodes that hear of a new address a moment apart agree on all
//     others.
//   - Once a node has recorded what the decision gave it, the decision for the rest stays what it was, so it does not matter
//     who sees whose claims first.
//
// The package knows neither time nor network nor Kubernetes.
package election
