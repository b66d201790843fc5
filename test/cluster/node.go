package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/clarionlb/clarion/test/cluster/network"
)

// productImage is the repository of the image that the product's manifests name. Its containers run
// the programs of the checkout.
const productImage = "ghcr.io/clarionlb/clarion"

// Node is a host that is a Kubernetes node. Its LAN device is eth0, its device on the management
// LAN eth1.
type Node struct {
	*network.Host
	cluster *Cluster
	index   int
	// bootID changes with every PowerOn.
	bootID string
}

// PowerOn boots the node: everything that the kernel kept is fresh, the kubelet and kube-proxy
// start. It does not wait for them, see [Node.AwaitReady].
func (n *Node) PowerOn() error {
	if n.cluster.config.Kubeadm {
		return n.boot()
	}
	if err := n.Host.PowerOn(); err != nil {
		return err
	}
	n.bootID = string(uuid.NewUUID())
	if err := n.StartKubelet(); err != nil {
		return err
	}
	return n.StartProxy()
}

// Reboot is PowerOff and PowerOn.
func (n *Node) Reboot() error {
	if err := n.PowerOff(); err != nil {
		return err
	}
	return n.PowerOn()
}

// StartKubelet starts the node's kubelet, which [Node.PowerOn] does too, for a test that has ended it.
func (n *Node) StartKubelet() error {
	c := n.cluster
	command := []string{
		filepath.Join(c.productDir, "kubelet"),
		"--kubeconfig", c.kubeconfig(n.Name),
		"--node-name", n.Name,
		"--boot-id", n.bootID,
		"--node-ip", join(n.IPs()),
		"--pod-cidr", join(c.topology.podCIDRs(n.index)),
		"--image", productImage + "=" + c.productDir,
		"--log-dir", filepath.Join(c.config.LogDir, n.Name),
		"--netns-prefix", n.Namespace(),
	}
	for repository, dir := range c.config.Images {
		command = append(command, "--image", repository+"="+dir)
	}
	_, err := n.Start(filepath.Join(c.config.LogDir, n.Name, "kubelet.log"), command...)
	return err
}

// StartProxy starts the node's kube-proxy, which [Node.PowerOn] does too, for a test that has ended it.
func (n *Node) StartProxy() error {
	config := filepath.Join(runDir(n.cluster.config.Name), "kube-proxy-"+n.Name+".json")
	if err := n.writeProxyConfig(config); err != nil {
		return err
	}
	_, err := n.cluster.startComponent(n.Host, "kube-proxy", "--config="+config, "--hostname-override="+n.Name)
	return err
}

func (n *Node) writeProxyConfig(path string) error {
	content, err := json.Marshal(map[string]any{
		"apiVersion":       "kubeproxy.config.k8s.io/v1alpha1",
		"kind":             "KubeProxyConfiguration",
		"clientConnection": map[string]any{"kubeconfig": n.cluster.kubeconfig("kube-proxy")},
		"mode":             n.cluster.config.ProxyMode,
		"clusterCIDR":      join(n.cluster.topology.clusterCIDRs()),
		// Sizes of the connection table belong to the whole machine.
		"conntrack": map[string]any{"maxPerCore": 0},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// IPs returns the node's addresses on the LAN, one per family of the cluster.
func (n *Node) IPs() []netip.Addr {
	return n.cluster.topology.nodeIPs(n.index)
}

// Kubelet returns the running kubelet.
func (n *Node) Kubelet() (*network.Process, error) {
	processes, err := n.Processes("kubelet")
	if err != nil {
		return nil, err
	}
	// Its pods run the same executable.
	for _, p := range processes {
		if slices.Contains(p.Command, "--kubeconfig") {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no kubelet runs on %s", n.Name)
}

// Proxy returns the running kube-proxy.
func (n *Node) Proxy() (*network.Process, error) { return n.Process("kube-proxy") }

// Process returns the oldest running process of an executable on the node, in its pods or outside:
// "announcer", "cloud-controller-manager".
func (n *Node) Process(name string) (*network.Process, error) {
	processes, err := n.Processes(name)
	if err != nil {
		return nil, err
	}
	if len(processes) == 0 {
		return nil, fmt.Errorf("no %s runs on %s", name, n.Name)
	}
	return processes[0], nil
}

// AwaitReady waits until the node works: the kubelet that runs now has reported in and says Ready,
// pods may be scheduled to it as far as that goes, and Services are reachable from it.
func (n *Node) AwaitReady(ctx context.Context) error {
	what := n.Name + " to be ready"
	if n.cluster.config.Kubeadm {
		booted, err := n.Process("boot")
		if err != nil {
			return err
		}
		return await(ctx, what, func(ctx context.Context) error { return n.works(ctx, booted.Started) }, booted)
	}
	kubelet, err := n.Kubelet()
	if err != nil {
		return err
	}
	proxy, err := n.Proxy()
	if err != nil {
		return err
	}
	return await(ctx, what, func(ctx context.Context) error { return n.works(ctx, kubelet.Started) }, kubelet, proxy)
}

// works tells why the node does not work, or not yet. What the API says about it may still be from
// before a time.
func (n *Node) works(ctx context.Context, since time.Time) error {
	lease, err := n.cluster.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, n.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if lease.Spec.RenewTime == nil || lease.Spec.RenewTime.Time.Before(since) {
		return fmt.Errorf("the lease of the node was not renewed since %s", since.Format(time.TimeOnly))
	}
	node, err := n.cluster.client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if err := ready(node); err != nil {
		return err
	}
	for _, ip := range n.cluster.topology.apiServiceIPs()[:1] {
		conn, err := n.DialContext(ctx, "tcp", netip.AddrPortFrom(ip, 443).String())
		if err != nil {
			return fmt.Errorf("the API is not reachable by its Service: %w", err)
		}
		conn.Close()
	}
	return nil
}

// ready tells why a node is not Ready, or not yet free of the taints that kube-controller-manager
// gives to such nodes.
func ready(node *corev1.Node) error {
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
			return fmt.Errorf("the node has the taint %s", taint.Key)
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("the node is not Ready: %v", node.Status.Conditions)
}
