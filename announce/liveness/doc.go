// Package liveness says whether members that the gossip has lost are dead, and whether this node
// may say so or is cut off itself.
//
//	a member lost ──► Detector ──┬──► plan.MemberState: is it dead?
//	                             └──► isolated: does this node reach anybody? ──► Gate
//
// The Detector asks the member's node, its announcer, a majority of the others and a router. The Gate
// says whether this node may announce.
//
// Gossip alone is not enough to take addresses from a node: a blocked port would make everybody
// take over everything.
package liveness
