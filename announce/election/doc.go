// Package election decides which node announces an address. It is pure: the same nodes, claims and candidates give the same
// owners on every node, in whatever order they became known, so no node has to ask another.
//
//	the best claim hands the address to a live and eligible node? ──yes──► that node owns it
//	                    │no
//	                    ▼
//	the best claim's node is alive and eligible? ──yes──► it keeps the address
//	                    │no
//	                    ▼
//	an eligible live node is known to have taken it over? ──yes──► that node owns it
//	                    │no
//	                    ▼
//	another address of the group has an eligible node? ──yes──► that node owns this one too
//	                    │no
//	                    ▼
//	of the eligible live nodes those of the highest weight, of these those that carry
//	least, and of these the one that a rendezvous hash of (node, address) puts first
//
// A node that is a last resort counts as not eligible wherever another node is eligible. What a node carries is counted in
// groups: all its addresses of one group are one.
//
// Addresses that need a new owner are served one after the other, oldest first, and those of a group together with the
// oldest of them. Two properties follow, and everything else leans on them:
//
//   - A younger address changes nothing for the older ones, except for those of its group, so nodes that hear of a new
//     address a moment apart agree on all others.
//   - Once a node has recorded what the decision gave it, the decision for the rest stays what it was, so it does not matter
//     who sees whose claims first. A node must record all of it at once.
//
// The second one holds as long as the nodes stay the same. Who takes addresses over therefore tells the others without waiting
// for the API, lest they share the same ones out otherwise when the next node dies.
//
// The package knows neither time nor network nor Kubernetes.
package election
