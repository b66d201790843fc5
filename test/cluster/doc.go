// Package cluster runs a Kubernetes cluster on one machine: a real control plane, and nodes,
// clients and a router that are network namespaces. Tests and demonstrations run the product on it
// as a user would, and do to it what happens to machines: power goes, cables are cut, packets
// vanish, processes die.
//
//	farclient 172.31.0.100                            control plane 172.30.0.1
//	    │                                                 │
//	────┴── far LAN ─┬──                          ────────┴─┬──────────┬── management LAN
//	            eth1 │ .1                              eth1 │ .11 eth1 │ .12
//	              router           client                  n1         n2  ...
//	            eth0 │ .1       eth0 │ .100            eth0 │ .11 eth0 │ .12
//	          ───────┴───────────────┴──────────────────────┴──────────┴── LAN 192.168.10.0/24
//
// The same in IPv6: fd00:10::/64, fd00:20::/64 and fd00:30::/64, where .11 is ::11. Pods get
// 10.244.<node>.0/24, routed between the nodes over the LAN; Services 10.96.0.0/16. Nodes reach the
// API server over the management LAN, so that the LAN can fail alone, and the other way round.
//
// etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kube-proxy are the released
// ones, with RBAC and the Node authorizer on. What is not real is the kubelet: see
// test/cluster/kubelet for its stand-in. Nodes carry the taint that a cloud-controller-manager
// removes, until one does.
//
// With [Config].Kubeadm the nodes are real, too: computers of test/cluster/machine that are all on the
// LAN, on which kubeadm makes a cluster of kubelets, containerd and pods. [Cluster.Init],
// [Cluster.Join] and [Cluster.ConnectPods] are what an administrator does then.
//
// [New] is what a test wants. [Start] and [Open] are for programs.
package cluster
