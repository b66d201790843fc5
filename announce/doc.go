// Package announce makes the addresses of Services reachable from one node. Announcer is the loop
// of the node: it starts in order, takes in what has changed, has it planned, does what the plan
// says and reports it in the node's Announcer object, and leaves in order.
//
//	kube.Watcher  what the API says ──────────┐
//	layer2        interfaces, who answers ────┤
//	membership    whom the gossip sees ───────┼──► plan.Layer2Planner ──┬──► layer2, at once
//	liveness      who of the rest is dead ────┘                         ├──► membership, at once
//	                                                                    └──► kube, when the API can
//
// layer2 then answers ARP and NDP and has the kernel relay, membership tells the others what was taken
// over, and kube writes the claims into the status, whence they come to the Watcher of every node.
//
// BGP goes beside this and waits for none of it, since nodes need not agree with each other there:
//
//	kube.Watcher ──► plan.BGPPlanner ──► peering ──┬──► bgp/speaker  sessions and routes
//	                                               └──► bfd          whether the paths work
//
// Package plan is pure: values in, values out. All nodes plan from what the API has recorded and
// from who is alive. A node's own claims count once they are recorded too, not before: only so do
// nodes that cannot reach the API for hours go on agreeing about who takes over what. The other
// packages do what they are told and know nothing of plans; this one connects them.
package announce
