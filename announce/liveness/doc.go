// Package liveness says whether members that the gossip has lost are dead, and whether this node may say so or is cut off itself.
//
//	gossip: a member is lost ──► Detector: ask its node, its announcer, a majority, a router ──► plan.MemberState
//	                                 └─► this node reaches nobody: isolated ──► Gate: may this node announce?
//
// Gossip alone is not enough to take addresses from a node: a blocked port would make everybody take over everything.
package liveness
