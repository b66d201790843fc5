// Package loadbalancer manages addresses: it decides which address of which pool a Service of type
// LoadBalancer gets, keeps or gives back.
//
// The package is pure. Plain values go in: Requests, pools, the labels of namespaces, the time.
// Plain values come out: addresses, one sentence for the user, the Services to requeue. It has no
// API client, no clock and no goroutine, and a single lock.
//
//	Service ──NewRequest──► Request ──┐
//	IPAddressPool ──────────SetPools──┤                ┌─► Outcome: addresses, or an Error in a sentence
//	Namespace ──────────SetNamespace──┼──► Allocator ──┼─► requeue: Services to ask for again
//	what else is in use ──SetReserved─┤                └─► PoolStatus
//	reservations ────SetReservations──┤
//	conflicts ──────────SetConflicts──┘
//
// One table says who has what:
//
//	record ◄──owners──► allocation ──────► pool ──────► space, one per family:
//	a Service           an address                      free addresses, those that await their
//	                                                    reuse, and the queue of who waits for one
//
// A record is a Service, with its request and the last answer. An allocation is an address that has
// owners or awaits its reuse. Several owners share the address. Everything else is an index over
// this table and is built again from it when pools change: what is free in a pool, what is shared
// under a key, who waits for what.
//
// Every pool has a share of the addresses that its spec names: all of them but those that another
// pool had first. What is in force is the last version of the spec that could be read.
//
// Some addresses are not for everybody. A restriction says for whom they are, which is their
// audience: the Service that a reservation names, or nobody, because something else uses the address,
// because a reservation keeps it out of use, or because of a conflict. A conflict is an address
// that a host on the network answers for which is none of the nodes.
//
// Everything follows from three rules:
//   - A Service keeps its address for as long as its own request and its sharing allow, until an
//     edit takes this address out of its pool or there is a conflict. Nothing else takes the address
//     away: neither a pool that is deleted, cannot be read or is for others now, nor priorities, nor
//     autoAssign, nor a reservation, nor a node that turns up with the same address.
//   - A Service without an address never takes one from a Service that has one.
//   - The same facts give the same answer. Nothing is random.
package loadbalancer
