// Package reject has the kernel of a node refuse what no Service serves of the addresses that the
// node announces: a port that no Service has, a protocol, and in an aggregate of BGP an address that
// no Service has.
//
// kube-proxy translates the destination of what is served before a node forwards it, and so do those
// that take its place. What is to be forwarded and still has an announced destination is served by
// nobody. Without an answer it would go back to the router that it came from, and around until its
// time to live is up. On layer 2 the node would look for its own address on the network.
//
// TCP is answered with a RST, all else with an ICMP error: port unreachable. What a firewall or
// kube-proxy drops is dropped, as before. Connection tracking keeps nothing of what is refused.
package reject
