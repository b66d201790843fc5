// Package plan decides what one node announces, by layer 2 and by BGP, and why. It touches nothing:
// values go in and plans come out. It has no client, no socket, no clock and no goroutine.
//
//	Services, EndpointSlices ──┐
//	pools, advertisements ─────┤            ┌─► Layer2Planner ─► Layer2Plan: answer, proxy, probe, relay, tell
//	Nodes, Announcers ─────────┼──► View ───┤        ▲
//	BGPPeers, BFDProfiles, … ──┘            │        └ members, interfaces, what was heard on the network
//	                                        │
//	                                        └─► BGPPlanner ────► BGPPlan: sessions, routes, BFD
//	                                                 ▲
//	                                                 └ gateways
//
// A View is what the API says, reduced to what plans need and indexed by address. It knows what has
// changed since the last plan, so that a small change costs little. Every node has the same View,
// and decides by itself:
//
//   - On layer 2 one node announces an address. Package election gives it to one of those that may,
//     by the claims that nodes have recorded in the status of their Announcers. All nodes come to
//     the same result.
//   - By BGP every node that may announces an address, each on its own.
//
// Both planners find out which advertisements want an address announced, and for which Services, in
// the same way: a matcher has which advertisements select which pools.
//
// A planner that is made anew goes on where another one ended: what matters for long is recorded in
// the API. Only this is remembered beside, each by a type of its own:
//
//   - liveSet: who is alive although the gossip does not see it, and since when it is out of sight
//   - claims: what this node has claimed, and how far an address is that comes or leaves
//   - takeovers: what nodes have taken over and not recorded yet
//   - toldClaims: claims that this node does not know because it was taken for dead
//   - conflicts: which hosts answer for addresses without being announcers
//   - proxies: for whom this node answers
//   - relays and absences: which moves may not have been noticed, and which previous owners are lost
//   - gracefulShutdown: how far this node is with leaving its BGP peers
//
// Reasons are values. The sentences for them are in sentences.go.
package plan
