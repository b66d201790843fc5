// Package machine runs whole computers in network namespaces: a host of [network] with a root file
// system, process IDs, control groups and services of its own. What real nodes of Kubernetes run
// finds there what it finds on a computer.
//
// A machine sees the file system of the real one, and changes its own copy, which power takes with
// it. What is on its disk stays, as do its logs. Its first process is the program
// test/cluster/machine/boot. The kernel kills all of a machine when that process ends, and that
// process with the one that started it.
package machine
