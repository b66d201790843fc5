// Package e2e holds the scenarios: what a user does to a cluster with Clarion, and what has to come of it, on a real control
// plane with nodes in network namespaces. The manifests are applied as they are shipped.
//
// Each scenario has a cluster of its own, and as many run side by side as there are processors. Those that let no question go
// without an answer, and no connection be lost, have the machine to themselves: there, to be late is to fail.
package e2e
