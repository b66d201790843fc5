// Package e2e holds the scenarios: what a user does to a cluster with Clarion, and what has to come of it, on a real control
// plane with nodes in network namespaces. The manifests are applied as they are shipped.
package e2e
