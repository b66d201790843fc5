// Package announce makes the addresses of Services reachable from one node. Announcer is the loop of the node: it starts in
// order, takes in what has changed, has it planned, does what the plan says and reports it in the node's Announcer object, and
// leaves in order.
//
//	kube.Watcher    what the API says ─────────┐
//	layer2.Links    which interfaces are up ───┤
//	membership      whom the gossip sees ──────┼──► plan.Layer2Planner ──┬──► layer2    ARP and NDP, relays     at once
//	liveness        who of the rest is dead ───┤                         ├──► membership  takeovers, told         at once
//	layer2          who else answers ──────────┘                         └──► kube      claims in the status     when the API can
//	                                                                                └──► the Watcher of every node
//
// BGP goes beside this and waits for none of it, since nodes need not agree with each other there:
//
//	kube.Watcher ──► plan.BGPPlanner ──► peering ──┬──► bgp/speaker   sessions and routes
//	                                               └──► bfd           whether the paths to the routers work
//
// Package plan is pure: values in, values out. All nodes plan from what the API has recorded and from who is alive. A node's own
// claims count once they are recorded too, not before: only so do nodes that cannot reach the API for hours go on agreeing about
// who takes over what. The other packages do what they are told and know nothing of plans; this one connects them.
package announce
