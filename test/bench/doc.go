// Package bench measures Clarion, as it is shipped, on a real control plane: what new Services cost
// and how fast they are served, what a restart costs, and what clients see of a failure.
// docs/performance.md has the figures.
//
// An iteration is one run of a scenario, so that -benchtime=20x gives the distribution over 20
// runs. Of each figure the median is reported, and where it matters the extremes. Everything runs
// on one machine and shares its processors.
//
// Files named helper_THING_test.go have what several benchmarks use; every other file has
// benchmarks.
package bench
