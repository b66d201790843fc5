package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/clarionlb/clarion/test/cluster/internal/filelock"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/cluster/setup"
)

// startTimeout bounds each step of a start, on a machine that is busy with other things.
const startTimeout = 2 * time.Minute

// Cluster is a running cluster.
type Cluster struct {
	// Control is the host of the control plane. It is a node in a kubeadm cluster alone.
	Control *network.Host
	// Client is a host on the nodes' LAN.
	Client *network.Host
	// Router joins the nodes' LAN and the far LAN.
	Router *network.Host
	// FarClient is a host on the far LAN.
	FarClient *network.Host
	// Switch has the LANs as its devices, for sniffing all that crosses one.
	Switch *network.Host

	config        Config
	topology      topology
	network       *network.Network
	nodes         []*Node
	kubernetesDir string
	productDir    string
	programs      setup.NodePrograms // of a kubeadm cluster
	pauseImage    string             // of a kubeadm cluster
	rest          *rest.Config
	client        kubernetes.Interface
	lock          *filelock.Lock // nil for a cluster that another process runs
}

// assemble makes the handles of a cluster. It changes nothing.
func assemble(config Config) *Cluster {
	t := topology{families: config.Families, nodes: config.Nodes, kubeadm: config.Kubeadm}
	c := &Cluster{config: config, topology: t}
	c.network = &network.Network{
		Name:     config.Name,
		LANs:     []string{LAN, FarLAN, ManagementLAN, Island},
		Detached: config.Detached,
	}
	c.Switch = c.network.Switch()
	c.Client = c.network.Host(t.clientSpec())
	c.Router = c.network.Host(t.routerSpec())
	c.FarClient = c.network.Host(t.farClientSpec())
	for i := 1; i <= config.Nodes; i++ {
		c.nodes = append(c.nodes, &Node{Host: c.network.Host(t.nodeSpec(i)), cluster: c, index: i})
	}
	if config.Kubeadm {
		c.Control = c.nodes[controlPlaneIndex-1].Host
	} else {
		c.Control = c.network.Host(t.controlSpec())
	}
	return c
}

func (c *Cluster) hosts() []*network.Host {
	hosts := []*network.Host{c.Switch, c.Client, c.Router, c.FarClient}
	if !c.config.Kubeadm {
		hosts = append(hosts, c.Control)
	}
	for _, node := range c.nodes {
		hosts = append(hosts, node.Host)
	}
	return hosts
}

func hasPower(h *network.Host) bool { return h.On() }

// AddHost powers on one more host on the nodes' LAN, whose addresses end with a number, above 100,
// as those of the others do. It goes with the cluster.
func (c *Cluster) AddHost(name string, number int) (*network.Host, error) {
	h := c.network.Host(c.topology.guestSpec(name, number))
	return h, h.PowerOn()
}

// Start starts a cluster and returns when its nodes are Ready; those of a kubeadm cluster when they
// have booted. If that fails or the context ends, nothing is left but the logs. It first cleans up
// after clusters whose process was killed.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	if err := setup.Packages(ctx, config.Progress); err != nil {
		return nil, err
	}
	if err := removeAbandoned(); err != nil {
		return nil, err
	}
	lock, err := filelock.Try(lockFile(config.Name))
	if errors.Is(err, filelock.ErrHeld) {
		return nil, fmt.Errorf("another process runs a cluster with the name %q", config.Name)
	}
	if err != nil {
		return nil, err
	}
	if isUp(config.Name) {
		return nil, errors.Join(fmt.Errorf("there is a cluster with the name %[1]q already; in test/, \"go run ./cmd/cluster down %[1]s\" takes it down", config.Name), lock.Release())
	}
	c := assemble(config)
	c.lock = lock
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start cluster %s: %w (logs are in %s)", config.Name, err, config.LogDir), c.Stop())
	}
	if config.Detached {
		if err := lock.Release(); err != nil {
			return nil, err
		}
		c.lock = nil
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) (err error) {
	if err := errors.Join(clean(c.config.Name), os.RemoveAll(c.config.LogDir)); err != nil {
		return err
	}
	for _, dir := range []string{runDir(c.config.Name), c.config.LogDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if c.kubernetesDir, err = setup.Kubernetes(ctx, c.config.Progress); err != nil {
		return err
	}
	if err := c.writeState(false); err != nil {
		return err
	}
	started := time.Now()
	if err := c.network.Create(); err != nil {
		return err
	}
	for _, host := range []*network.Host{c.Client, c.Router, c.FarClient} {
		if err := host.PowerOn(); err != nil {
			return err
		}
	}
	if c.config.Kubeadm {
		err = c.startMachines(ctx)
	} else {
		err = c.startStandIn(ctx)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.config.Progress, "cluster %s with %d nodes started in %.1fs\n", c.config.Name, c.config.Nodes, time.Since(started).Seconds())
	return c.writeState(true)
}

// startStandIn starts the control plane, and nodes with the stand-in for the kubelet.
func (c *Cluster) startStandIn(ctx context.Context) error {
	if err := errors.Join(c.writeCredentials(), c.connect(), c.Control.PowerOn()); err != nil {
		return err
	}
	// The product is compiled while the control plane starts. Nodes need both.
	var g errgroup.Group
	g.Go(func() error { return c.startAPI(ctx) })
	g.Go(func() (err error) {
		c.productDir, err = setup.Product(ctx, c.config.Progress)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	for _, node := range c.nodes {
		if err := node.PowerOn(); err != nil {
			return err
		}
	}
	g.Go(func() error { return c.startControllers(ctx) })
	for _, node := range c.nodes {
		g.Go(func() error { return node.AwaitReady(ctx) })
	}
	return g.Wait()
}

// Open returns a cluster that another process started. To be able to power its nodes on, and not to
// have them die with this process, it has to be detached.
func Open(name string) (*Cluster, error) {
	s, err := readState(name)
	if err != nil {
		return nil, err
	}
	if !s.Up {
		return nil, fmt.Errorf("cluster %s is not up", name)
	}
	c := assemble(s.Config)
	c.kubernetesDir, c.productDir, c.programs, c.pauseImage = s.KubernetesDir, s.ProductDir, s.Programs, s.PauseImage
	if _, err := os.Stat(c.Kubeconfig()); errors.Is(err, os.ErrNotExist) && s.Config.Kubeadm {
		return c, nil // kubeadm has not been run
	}
	return c, c.connect()
}

// connect makes the API client. It works from outside of every namespace.
func (c *Cluster) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig("admin"))
	if err != nil {
		return err
	}
	config.Dial = c.Control.DialContext
	config.QPS = -1
	c.rest = config
	c.client, err = kubernetes.NewForConfig(config)
	return err
}

// Stop takes the cluster down and leaves only its logs.
func (c *Cluster) Stop() error {
	if c.lock == nil {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		return Remove(ctx, c.config.Name)
	}
	return errors.Join(clean(c.config.Name), c.lock.Remove())
}

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.config.Name }

// LogDir returns the folder with a folder for each host, which has the logs of everything that runs
// on it.
func (c *Cluster) LogDir() string { return c.config.LogDir }

// Nodes returns all nodes in order.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Node returns the node with a name. There must be one.
func (c *Cluster) Node(name string) *Node {
	for _, node := range c.nodes {
		if node.Name == name {
			return node
		}
	}
	panic(fmt.Sprintf("cluster %s has no node %q", c.config.Name, name))
}

// Host returns the host with a name, or nil: "control", "client", "router", "farclient", "switch"
// or a node's.
func (c *Cluster) Host(name string) *network.Host {
	for _, host := range c.hosts() {
		if host.Name == name {
			return host
		}
	}
	return nil
}

// Kubernetes returns a client with all rights and without a rate limit.
func (c *Cluster) Kubernetes() kubernetes.Interface { return c.client }

// RESTConfig returns the configuration for clients with all rights.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.rest) }

// APIAddress is where the API server listens, on the management LAN.
func (c *Cluster) APIAddress() netip.AddrPort { return c.topology.apiAddress() }

// Kubeconfig returns a file for programs that run in a host of the cluster, with all rights.
func (c *Cluster) Kubeconfig() string { return c.kubeconfig("admin") }

// KubectlCommand returns the command line of kubectl, for running it in the host Control.
func (c *Cluster) KubectlCommand(args ...string) []string {
	return append([]string{
		filepath.Join(c.kubernetesDir, "kubectl"),
		"--kubeconfig=" + c.Kubeconfig(),
		// Every cluster has the same address, by which kubectl would tell their caches apart.
		"--cache-dir=" + filepath.Join(runDir(c.config.Name), "kubectl-cache"),
	}, args...)
}

// Kubectl runs kubectl and returns what it writes.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.Control.Run(ctx, c.KubectlCommand(args...)...)
}

// Shell runs a line of shell commands in a folder, on the host Control: as somebody does who has kubectl and may do everything. It
// returns what the line writes; so does the error of a line that fails.
func (c *Cluster) Shell(ctx context.Context, folder, line string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	var out, complaints bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, &out, &complaints
	cmd.Env = append(os.Environ(),
		"PATH="+c.kubernetesDir+":"+os.Getenv("PATH"),
		"KUBECONFIG="+c.Kubeconfig(),
		"HOME="+filepath.Join(runDir(c.config.Name), "home"), // has kubectl's cache: all clusters have the same address
	)
	if err := c.Control.StartCommand(cmd); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", line, err, out.String(), complaints.String())
	}
	return out.String(), nil
}

// Apply applies manifests with kubectl, files or folders; a folder with a kustomization is built
// first. It returns when the API serves the kinds that were applied.
func (c *Cluster) Apply(ctx context.Context, paths ...string) error {
	for _, path := range paths {
		path, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		option := "--filename"
		if _, err := os.Stat(filepath.Join(path, "kustomization.yaml")); err == nil {
			option = "--kustomize"
		}
		if err := c.apply(ctx, "", option, path); err != nil {
			return err
		}
	}
	return nil
}

// ApplyYAML is Apply for a text.
func (c *Cluster) ApplyYAML(ctx context.Context, text string) error {
	return c.apply(ctx, text, "--filename", "-")
}

var appliedKind = regexp.MustCompile(`(?m)^customresourcedefinition\.apiextensions\.k8s\.io/(\S+)`)

func (c *Cluster) apply(ctx context.Context, input string, args ...string) error {
	out, err := c.Control.RunWithInput(ctx, input, c.KubectlCommand(append([]string{"apply"}, args...)...)...)
	if err != nil {
		return err
	}
	wait := []string{"wait", "--for=condition=Established", "--timeout=60s"}
	kinds := appliedKind.FindAllStringSubmatch(out, -1)
	if len(kinds) == 0 {
		return nil
	}
	for _, kind := range kinds {
		wait = append(wait, "crd/"+kind[1])
	}
	_, err = c.Kubectl(ctx, wait...)
	return err
}

// tail returns the last lines of a file.
func tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
