package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster/images"
	"github.com/clarionlb/clarion/test/cluster/machine"
	"github.com/clarionlb/clarion/test/cluster/setup"
)

const (
	// adminConfig is where kubeadm leaves a kubeconfig with all rights.
	adminConfig = "/etc/kubernetes/admin.conf"
	// podCIDRsFile has the ranges of a node's pods, one on each line.
	podCIDRsFile = "/etc/cni/pod-cidrs"
)

// diskDir has the disks of a cluster's machines, and its backup. They are too large for the memory that
// stateDir may be in.
func diskDir(name string) string { return filepath.Join("/var/tmp/clarion", name) }

// startMachines boots the machines of a kubeadm cluster and gives them the images of Kubernetes.
// kubeadm has not been run on any.
func (c *Cluster) startMachines(ctx context.Context) (err error) {
	if err := raiseInotifyLimit(c.config.Progress); err != nil {
		return err
	}
	if c.programs, err = setup.Node(ctx, c.config.Progress); err != nil {
		return err
	}
	if c.productDir, err = setup.Product(ctx, c.config.Progress); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.archive("")), 0o755); err != nil {
		return err
	}
	kubernetes, err := images.NewKubernetes(ctx, c.kubernetesDir, c.programs, c.productDir)
	if err != nil {
		return err
	}
	c.pauseImage = kubernetes.Pause
	if err := images.Write(c.archive("control-plane"), kubernetes.ControlPlane...); err != nil {
		return err
	}
	if err := images.Write(c.archive("node"), kubernetes.Node...); err != nil {
		return err
	}
	var g errgroup.Group
	for _, node := range c.nodes {
		g.Go(func() error {
			if err := node.PowerOn(); err != nil {
				return err
			}
			archives := []string{"node.tar"}
			if node.index == controlPlaneIndex {
				archives = append(archives, "control-plane.tar")
			}
			return node.importImages(ctx, archives...)
		})
	}
	return g.Wait()
}

// archive is the path of an archive of images.
func (c *Cluster) archive(name string) string {
	return filepath.Join(diskDir(c.config.Name), "images", name+".tar")
}

func (n *Node) importImages(ctx context.Context, archives ...string) error {
	err := await(ctx, "containerd on "+n.Name, func(ctx context.Context) error {
		_, err := n.Execute(ctx, "", "ctr", "version")
		return err
	})
	if err != nil {
		return err
	}
	for _, archive := range archives {
		if _, err := n.Execute(ctx, "", "ctr", "--namespace=k8s.io", "images", "import", "--local", filepath.Join(imagesMount, archive)); err != nil {
			return err
		}
	}
	return nil
}

// Execute runs a command inside the machine of a kubeadm cluster's node, and returns what it wrote
// to its standard output.
func (n *Node) Execute(ctx context.Context, input string, command ...string) (string, error) {
	return n.machine().Execute(ctx, input, command...)
}

// Init runs kubeadm init on the first node with a configuration, completed by what [InitConfig]
// says. The API can be used when it returns.
func (c *Cluster) Init(ctx context.Context, config string) error {
	control := c.nodes[controlPlaneIndex-1]
	config, err := InitConfig(config, setup.Version(c.kubernetesDir), control.IPs()[0])
	if err != nil {
		return err
	}
	if config, err = c.audited(config); err != nil {
		return err
	}
	if err := control.runKubeadm(ctx, config, "init"); err != nil {
		return err
	}
	return c.useAdminConfig()
}

// Join runs kubeadm join on a node with a configuration, completed by what [JoinConfig] says.
func (c *Cluster) Join(ctx context.Context, node *Node, config string) error {
	config, err := JoinConfig(config)
	if err != nil {
		return err
	}
	return node.runKubeadm(ctx, config, "join")
}

func (n *Node) runKubeadm(ctx context.Context, config, verb string) error {
	const file = "/etc/kubernetes/kubeadm.yaml"
	if err := n.machine().WriteFile(file, config); err != nil {
		return err
	}
	out, err := n.Execute(ctx, "", "kubeadm", verb, "--config="+file)
	log := filepath.Join(n.cluster.config.LogDir, n.Name, "kubeadm.log")
	return errors.Join(err, os.WriteFile(log, []byte(out), 0o644))
}

// useAdminConfig takes the kubeconfig that kubeadm has made.
func (c *Cluster) useAdminConfig() error {
	content, err := os.ReadFile(c.nodes[controlPlaneIndex-1].machine().Spec.OnDisk(adminConfig))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.Kubeconfig()), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(c.Kubeconfig(), content, 0o600); err != nil {
		return err
	}
	return c.connect()
}

// StopAPIServer takes the API server of a kubeadm cluster away, as a crash does: it says goodbye to
// nobody. The returned function brings it back, and returns when it serves.
func (c *Cluster) StopAPIServer(ctx context.Context) (start func(context.Context) error, err error) {
	control := c.nodes[controlPlaneIndex-1]
	process, err := control.Process("kube-apiserver")
	if err != nil {
		return nil, err
	}
	spec := control.machine().Spec
	manifest, aside := spec.OnDisk("/etc/kubernetes/manifests/kube-apiserver.yaml"), spec.OnDisk("/etc/kubernetes/kube-apiserver.yaml")
	if err := os.Rename(manifest, aside); err != nil {
		return nil, err
	}
	start = func(ctx context.Context) error {
		if another, err := control.Process("kube-apiserver"); err == nil {
			return fmt.Errorf("the API server was not away: one runs with ID %d", another.PID)
		}
		if err := os.Rename(aside, manifest); err != nil {
			return err
		}
		return await(ctx, "the API to be ready again", func(ctx context.Context) error {
			_, err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
			return err
		})
	}
	return start, errors.Join(process.Kill(), process.Wait(ctx))
}

// ConnectPods gives nodes of a kubeadm cluster, which have joined, a network for their pods, in the
// range that kube-controller-manager has chosen, and all nodes routes to it. It stands for the
// network plugin that users apply. Nodes that were registered anew need it again.
func (c *Cluster) ConnectPods(ctx context.Context, nodes ...*Node) error {
	for _, node := range nodes {
		err := await(ctx, "a range for the pods of "+node.Name, func(ctx context.Context) error {
			object, err := c.client.CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{})
			if err == nil && len(object.Spec.PodCIDRs) < len(c.config.Families) {
				err = fmt.Errorf("the node has %d", len(object.Spec.PodCIDRs))
			}
			if err == nil {
				err = node.machine().WriteFile(podCIDRsFile, strings.Join(object.Spec.PodCIDRs, "\n"))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, node := range c.nodes {
		if err := node.routePods(); err != nil {
			return err
		}
	}
	for _, node := range nodes {
		network, err := node.podNetwork()
		if err != nil {
			return err
		}
		if err := node.machine().WriteFile("/etc/cni/net.d/10-bridge.conflist", network); err != nil {
			return err
		}
	}
	return nil
}

// podNetwork is the configuration of the network plugins of a node (CNI specification).
func (n *Node) podNetwork() (string, error) {
	cidrs, err := n.podCIDRs()
	var ranges, routes []string
	for _, cidr := range cidrs {
		ranges = append(ranges, fmt.Sprintf(`[{"subnet":%q}]`, cidr))
		family := corev1.IPv4Protocol
		if cidr.Addr().Is6() {
			family = corev1.IPv6Protocol
		}
		routes = append(routes, fmt.Sprintf(`{"dst":%q}`, everything(family)))
	}
	return fmt.Sprintf(`{"cniVersion":"1.0.0","name":"pods","plugins":[
{"type":"bridge","bridge":"cni0","isGateway":true,"hairpinMode":true,"ipam":{"type":"host-local","ranges":[%s],"routes":[%s]}},
{"type":"portmap","capabilities":{"portMappings":true}}]}
`, strings.Join(ranges, ","), strings.Join(routes, ",")), err
}

// routePods leads to the pods of the other nodes.
func (n *Node) routePods() error {
	for _, other := range n.cluster.nodes {
		if other == n {
			continue
		}
		cidrs, err := other.podCIDRs()
		if err != nil {
			return err
		}
		for _, cidr := range cidrs {
			via := other.Address("eth0", cidr.Addr().Is6())
			if err := n.SetRoute(cidr, via); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *Node) machine() *machine.Machine {
	c := n.cluster
	name := c.config.Name
	spec := machine.Spec{
		Name:         n.Name,
		ControlGroup: controlGroup(name) + n.Name,
		Disk:         filepath.Join(diskDir(name), n.Name),
		Logs:         filepath.Join(c.config.LogDir, n.Name),
		Kept: []string{
			"/etc/cni", "/etc/kubernetes", "/var/lib/cni", "/var/lib/containerd", "/var/lib/etcd", "/var/lib/kubelet",
		},
		Mounts:   map[string]string{"/opt/cni/bin": c.programs.CNI, imagesMount: filepath.Dir(c.archive(""))},
		Programs: []string{filepath.Join(c.kubernetesDir, "kubectl")},
		Files:    n.files(),
		Sysctls: map[string]string{ // as the kubelet wants them
			"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1",
			"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
		},
		Services: []machine.Service{
			{Name: "containerd", Command: []string{"containerd"}},
			{Name: "kubelet", Command: []string{"/bin/sh", "-c", startKubelet}, Needs: []string{kubeletConfig, kubeletFlags}},
		},
	}
	for _, program := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		spec.Programs = append(spec.Programs, filepath.Join(c.programs.Containerd, program))
	}
	for _, program := range []string{"kubelet", "kubeadm"} {
		spec.Programs = append(spec.Programs, filepath.Join(c.programs.Kubeadm, program))
	}
	return &machine.Machine{Host: n.Host, Spec: spec, BootProgram: filepath.Join(c.productDir, "boot")}
}

// controlGroup is the beginning of the names of a cluster's control groups.
func controlGroup(name string) string { return "clarion-" + name + "-" }

const (
	imagesMount   = "/mnt/images"
	kubeletConfig = "/var/lib/kubelet/config.yaml"
	kubeletFlags  = "/var/lib/kubelet/kubeadm-flags.env"
	// startKubelet is what kubeadm's unit for systemd does.
	startKubelet = ". " + kubeletFlags + ` && exec kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
--kubeconfig=/etc/kubernetes/kubelet.conf --config=` + kubeletConfig + " $KUBELET_KUBEADM_ARGS"
)

// files are those that differ from the real machine's.
func (n *Node) files() map[string]string {
	hosts := "127.0.0.1 localhost\n::1 localhost\n"
	for _, node := range n.cluster.nodes {
		hosts += fmt.Sprintf("%s %s\n", node.Address("eth0", false), node.Name)
	}
	return map[string]string{
		"/etc/hosts":       hosts,
		"/etc/hostname":    n.Name + "\n",
		"/etc/machine-id":  fmt.Sprintf("%032x\n", n.index),
		"/etc/resolv.conf": fmt.Sprintf("nameserver %s\n", n.cluster.Router.Address("eth0", false)),
		// Empty, it makes no service manager, so that kubeadm leaves the kubelet to this machine.
		"/usr/bin/systemctl": "",
		"/etc/containerd/config.toml": fmt.Sprintf(`version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = %q
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
use_internal_loopback = true
`, n.cluster.pauseImage),
	}
}

// boot boots the node's machine.
func (n *Node) boot() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := n.machine().PowerOn(ctx); err != nil {
		return err
	}
	return n.routePods()
}

// podCIDRs are the ranges of the node's pods, none before [Cluster.ConnectPods].
func (n *Node) podCIDRs() ([]netip.Prefix, error) {
	content, err := os.ReadFile(n.machine().Spec.OnDisk(podCIDRsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var prefixes []netip.Prefix
	for _, text := range strings.Fields(string(content)) {
		prefix, parseErr := netip.ParsePrefix(text)
		prefixes, err = append(prefixes, prefix), errors.Join(err, parseErr)
	}
	return prefixes, err
}
