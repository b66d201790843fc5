// Package kubeadm tests Clarion on real clusters: kubeadm, kubelets, containerd and pods as users
// have them, on machines that are network namespaces. What it does on them are the words of the
// documentation.
//
// The tests need root. They compile some 20 programs when they are run for the first time.
package kubeadm
