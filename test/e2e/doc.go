// Package e2e holds the scenarios: what a user does to a cluster with Clarion, and what has to come
// of it. They run on a real control plane with nodes in network namespaces, and apply the manifests
// as they are shipped.
//
// The files say by their names what is in them:
//
//   - helper_THING_test.go has what several tests use, and no test: deployment is the cluster,
//     fleet watches addresses move, router is a BGP peer of the nodes, and so on.
//   - Every other file has tests. A large test is in several files that begin alike:
//     addresses_test.go has the tests, addresses_pool_test.go has some of their scenarios, which
//     are functions named testThing.
//
// A helper that only one file uses stands in that file, below the tests.
//
// Each test has a cluster of its own, and three tests run side by side for two processors.
// Tests in which no question may go without an answer, and no connection be lost, do not call
// t.Parallel: they have the machine to themselves, because a late answer there is a failure.
package e2e
