// Package network builds small networks out of Linux network namespaces: hosts, the cables between
// them and the switch they are plugged into. It knows nothing about Kubernetes.
//
//	        ┌──────── switch ────────┐
//	        │  lan     mgmt     far  │     one bridge per LAN, in a namespace of their own
//	        └──┬────────┬────────┬───┘
//	eth0 ┌─────┘  eth1  │        │         a cable is a veth pair; its end in the switch is
//	 ┌───┴──────────────┴┐       │         named after the host and the LAN, "n1.lan"
//	 │        n1         │      ...
//	 └───────────────────┘
//
// Every namespace is named <network>-<host>, and nothing is created in the namespace of the caller,
// so several networks live side by side with the same addresses. What a host is follows from its
// [Spec], which makes a host that is powered on again the same host, and lets another process
// operate a network that it did not create.
package network
