// Package announce makes the addresses of Services reachable from one node: it decides which of them the node announces, has
// layer2 and bgp do so, and reports it in the node's Announcer object.
//
//	API objects ──► Feed ──► View ──┐
//	links (netlink) ────────────────┼──► Planner ──► addresses of this node ──► layer2.Responder   at once
//	members (gossip) ───────────────┘        └─────► claims ──► Announcer.status                   when the API can
//	                                                               └──► the View of every node
//
// Beside this, and waiting for none of it, goes BGP, where nodes need not agree with each other:
//
//	API objects ──► Feed ──► View ──► RoutePlanner ──► sessions and routes of this node ──► bgp.Speaker
//
// View and the planners are plain values without clock, client or goroutine; Announcer is the loop that feeds them. All nodes plan
// from what the API has recorded and from who is alive. A node's own claims count once they are recorded too, not before:
// only so do nodes that cannot reach the API for hours go on agreeing about who takes over what.
package announce
