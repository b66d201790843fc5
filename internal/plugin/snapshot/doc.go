// Package snapshot has all objects that the state of Clarion depends on, as of one moment, and what
// follows from them.
//
//	taken, err := snapshot.Read(ctx, clients.Kube, clients.Clarion)   // from a cluster, with the caller's rights
//	taken, err := snapshot.Parse(objects)                             // from files, or a support bundle
//	live, err := snapshot.Watch(ctx, kube, clarion)                  // by watch: live.Snapshot() after each live.Changed()
//	state := taken.State()                                            // by the code that the components run
//
// A Snapshot is plain typed lists. Nothing but managedFields is left out of what was read, so that a verb that
// asks "what if" clones it, changes the clone, and compares two States. A State is a pure function of
// its Snapshot: it has no rule of its own, but runs the allocator (package loadbalancer) and the plan of
// the announcers (package announce/plan, as package provider/announced asks it) for a moment.
//
//	answer := state.Answers[service]             // which addresses a Service is to have, or why none
//	address := state.Announced.Address(at, ip)   // who announces an address, and why not the others
package snapshot
