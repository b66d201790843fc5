// Package loadbalancer manages addresses: it decides which address of which pool a Service of type LoadBalancer gets, keeps
// or gives back.
//
// It is pure. Plain values go in (Requests, pools, namespaces' labels, the time), plain values come out (addresses, one
// sentence for the user, the Services worth asking again); it has no API client, no clock and no goroutine, and a single lock.
//
//	Service ──NewRequest──► Request ──┐
//	IPAddressPool ──────────SetPools──┤                ┌─► Outcome: addresses, or an Error with a reason and a sentence
//	Namespace ──────────SetNamespace──┼──► Allocator ──┼─► Poke: Services whose answer may be another one now
//	Node, Service CIDR ──SetReserved──┤                └─► PoolStatus
//	reservations ────SetReservations──┤
//	strangers ──────────SetConflicts──┘
//
// There is one table: an address has a holding, which lists its owners; a Service has a record, which points at the holdings
// it owns. Everything else (what is free in a pool, who waits for what) is an index over that table and is rebuilt from it
// when pools change.
//
// The rules that everything follows from:
//   - A Service keeps its address for as long as its own wish, its pool and its sharing allow, and nobody outside answers for
//     it. Nothing else takes it away: neither priorities, nor autoAssign, nor a reservation, nor a node that turns up with
//     the same address.
//   - Who has none never takes from who has one.
//   - The same facts give the same answer; nothing is random.
package loadbalancer
