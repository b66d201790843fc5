package kubeadm

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/yaml"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/install"
)

const (
	guide = "docs/install/kubeadm.md"
	// newCluster is the section of the guide that has the configuration of kubeadm.
	newCluster = "A new cluster"
)

// found makes the cluster with a configuration for kubeadm, and goes on by the guide: the control
// plane, Clarion on it while there is no network for pods, then the other nodes, the last without
// node-ip.
func (i *installation) found(config string) {
	i.t.Helper()
	commands := readDocument(i.t, guide).commands(i.t, newCluster)
	if want := "kubeadm init --config kubeadm.yaml"; commands[0] != want {
		i.t.Fatalf("the first command is %q, want %q", commands[0], want)
	}
	i.lap("machines are up")
	if err := i.Init(i.ctx, config); err != nil {
		i.t.Fatal(err)
	}
	i.lap("kubeadm init")
	for _, command := range commands[1:] {
		i.run(command)
	}
	i.run("kubectl --namespace kube-system rollout status deployment/" + install.CCM + " --timeout=120s")
	i.lap("the cloud-controller-manager runs, without a network for pods")
	var g errgroup.Group
	for _, node := range i.Nodes()[1:] {
		join := joinConfig(i.t, config, node, node != i.last())
		g.Go(func() error { return i.Join(i.ctx, node, join) })
	}
	if err := g.Wait(); err != nil {
		i.t.Fatal(err)
	}
	i.lap("kubeadm join")
	if err := i.ConnectPods(i.ctx); err != nil {
		i.t.Fatal(err)
	}
	for _, node := range i.Nodes() {
		if err := node.AwaitReady(i.ctx); err != nil {
			i.t.Fatal(err)
		}
	}
	i.run("kubectl --namespace clarion-system rollout status daemonset/announcer --timeout=120s")
	i.run("kubectl --namespace kube-system rollout status deployment/coredns --timeout=120s")
	i.lap("all runs")
}

// samples gives Clarion the addresses of the samples, by the guide, and runs the sample's
// application, by the README.
func (i *installation) samples() {
	i.t.Helper()
	for _, command := range readDocument(i.t, guide).commands(i.t, "Addresses") {
		i.run(command)
	}
	for _, command := range readDocument(i.t, "README.md").commands(i.t, "Use it") {
		i.run(command)
	}
	i.run("kubectl rollout status deployment/myapp --timeout=120s")
}

// last is the node that is not told its address.
func (i *installation) last() *cluster.Node { return i.Nodes()[len(i.Nodes())-1] }

// registration is the part of a configuration for kubeadm init that nodes that join have too.
type registration struct {
	APIVersion       string         `json:"apiVersion"`
	Kind             string         `json:"kind"`
	NodeRegistration map[string]any `json:"nodeRegistration,omitempty"`
}

// joinConfig is what the guide says about nodes that join: the block nodeRegistration of the first,
// with their own address, or without one.
func joinConfig(t *testing.T, initConfig string, node *cluster.Node, withAddress bool) string {
	t.Helper()
	join := registration{APIVersion: cluster.KubeadmVersion}
	for document := range strings.SplitSeq(initConfig, "\n---\n") {
		var r registration
		if err := yaml.Unmarshal([]byte(document), &r); err != nil {
			t.Fatal(err)
		}
		if r.Kind == "InitConfiguration" {
			join = r
		}
	}
	join.Kind = "JoinConfiguration"
	if args, ok := join.NodeRegistration["kubeletExtraArgs"].([]any); ok {
		join.NodeRegistration["kubeletExtraArgs"] = slices.DeleteFunc(args, func(arg any) bool {
			argument := arg.(map[string]any)
			if argument["name"] != "node-ip" {
				return false
			}
			argument["value"] = addresses(node)
			return !withAddress
		})
	}
	text, err := yaml.Marshal(join)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// addresses are those of a node as its kubelet takes them.
func addresses(node *cluster.Node) string {
	var all []string
	for _, ip := range node.IPs() {
		all = append(all, ip.String())
	}
	return strings.Join(all, ",")
}
