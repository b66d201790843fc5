// Package migrate works out how a cluster moves to Clarion from another load balancer: which objects Clarion needs, what of the
// other one cannot be carried over, what happens to each Service, and in which order. It is pure: objects in, a Plan out. It
// knows no cluster; the command does what the Plan says.
//
//	objects of the other load balancer ──┐
//	Services, Nodes ─────────────────────┼──► New ──► Plan ──► Objects, Moves, Remarks, Steps
//	Options ─────────────────────────────┘
//
// One rule is above all others: a Service keeps its address. Where it cannot, a Remark says so before anything is changed.
package migrate
