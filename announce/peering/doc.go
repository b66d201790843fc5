// Package peering keeps up the BGP sessions of one node, and BFD on their paths: it has the plan
// say which there are to be and what is announced on them, the speakers do it, and the API and
// people hear what becomes of it.
//
//	API objects ──► View ──► BGPPlanner ──┬── peers, routes ──► BGP speaker ── sessions ──┐
//	                                      └── BFD settings          ▲                     ├─► reporter
//	                                               └──► coupling ───┤                     │
//	                                                                └─► BFD speaker ── paths
//
// The coupling decides from what both speakers see. The reporter writes the status and has events.
package peering
