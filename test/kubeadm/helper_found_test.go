package kubeadm

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/install"
)

const (
	// firstCluster is what the person goes by.
	firstCluster = "docs/guides/first-cluster.md"
	// pool and page are the person's own addresses, and its first, in place of the guide's.
	pool = "192.168.10.150-192.168.10.160"
	page = "192.168.10.150"
)

func (i *installation) guide() document {
	i.t.Helper()
	return readDocument(i.t, firstCluster).with(
		"192.168.10.200-192.168.10.250", pool,
		"http://192.168.10.200", "http://"+page,
	)
}

// found makes a cluster of machines, the first of which has the control plane, with a configuration
// for kubeadm, and installs Clarion on it.
func (i *installation) found(config string, nodes ...*cluster.Node) {
	i.t.Helper()
	guide := i.guide()
	i.lap("machines are up")
	control := guide.commands("The control plane")
	if want := "kubeadm init --config kubeadm.yaml"; control[0] != want {
		i.t.Fatalf("the first command is %q, want %q", control[0], want)
	}
	var machines errgroup.Group
	machines.Go(func() error { return i.importImage(i.Nodes(), i.image.Archive(), guide.block("The image", "sh")) })
	if err := i.Init(i.ctx, config); err != nil {
		i.t.Fatal(err)
	}
	i.lap("kubeadm init")
	i.checkVersion(guide)
	for _, node := range nodes[1:] {
		join := i.joinConfig(config, node)
		machines.Go(func() error { return i.Join(i.ctx, node, join) })
	}
	if err := machines.Wait(); err != nil {
		i.t.Fatal(err)
	}
	i.lap("kubeadm join")
	for _, command := range guide.commands("Clarion") {
		i.run(strings.Replace(command, "manifests/", cmp.Or(i.overlay, "manifests/"), 1))
	}
	i.lap("Clarion runs, without a network for pods")
}

// checkVersion expects that the guide has the user download the Kubernetes that is tested.
func (i *installation) checkVersion(guide document) {
	i.t.Helper()
	version, err := i.Kubernetes().Discovery().ServerVersion()
	if err != nil {
		i.t.Fatal(err)
	}
	folder := fmt.Sprintf("/stable:/v%s.%s/deb/", version.Major, version.Minor)
	if packages := guide.blocks("All four machines", "sh")[1]; strings.Count(packages, folder) != 2 {
		i.t.Errorf("%s does not take Kubernetes from %s:\n%s", guide.name, folder, packages)
	}
}

// network gives pods of nodes their network, in place of the plugin that the guide applies.
func (i *installation) network(nodes ...*cluster.Node) {
	i.t.Helper()
	commands := i.guide().commands("A network for pods")
	if !strings.HasPrefix(commands[0], "kubectl apply -f https://") {
		i.t.Fatalf("%q does not apply a network plugin", commands[0])
	}
	if err := i.ConnectPods(i.ctx, nodes...); err != nil {
		i.t.Fatal(err)
	}
	for _, command := range commands[1:] {
		i.run(command)
	}
	for _, node := range nodes {
		if err := node.AwaitReady(i.ctx); err != nil {
			i.t.Fatal(err)
		}
	}
	i.lap("pods have a network")
}

// openPage gives Clarion addresses, runs an application, and fetches its page from another machine.
func (i *installation) openPage() {
	i.t.Helper()
	guide := i.guide()
	i.write("pool.yaml", guide.block("Addresses", "yaml"))
	for _, command := range slices.Concat(guide.commands("Addresses"), guide.commands("A page")) {
		i.run(command)
	}
	if address := i.awaitAddress("web"); address != page {
		i.t.Errorf("the page has the address %s, want %s", address, page)
	}
	i.answers(page)
	out, err := i.Client.Run(i.ctx, "sh", "-c", guide.typed("A page"))
	if err != nil || !strings.HasPrefix(out, "web-") {
		i.t.Errorf("the page says %q, want the name of a pod: %v", out, err)
	}
	i.lap("the page is there")
}

// worksByTheGuide makes a cluster of all machines, with the page on it.
func (i *installation) worksByTheGuide(config string) {
	i.t.Helper()
	i.found(config, i.Nodes()...)
	i.network(i.Nodes()...)
	i.openPage()
}

var (
	joinCommand     = regexp.MustCompile(`--token (\S+) --discovery-token-ca-cert-hash (sha256:[0-9a-f]{64})`)
	exampleJoin     = regexp.MustCompile(`token: (\S+)\n +caCertHashes: \["(sha256:[0-9a-f]{64})"\]`)
	nodeIPArgument  = regexp.MustCompile(`(?m)^ *- \{name: node-ip, value: ([^}]*)\}.*\n`)
	registrationKey = "nodeRegistration:\n"
)

// joinConfig is the guide's for nodes that join, with the token and the hash of this cluster and the
// node's own address. What the configuration of the control plane does not say about its node, it
// does not say either.
func (i *installation) joinConfig(initConfig string, node *cluster.Node) string {
	i.t.Helper()
	guide := i.guide()
	text := guide.block("The workers", "yaml")
	printed := joinCommand.FindStringSubmatch(i.runOn(i.Nodes()[0], guide.blocks("The control plane", "sh")[1]))
	example := exampleJoin.FindStringSubmatch(text)
	address := nodeIPArgument.FindStringSubmatch(text)
	if printed == nil || example == nil || address == nil {
		i.t.Fatalf("kubeadm printed %q, the guide has %q and %q for:\n%s", printed, example, address, text)
	}
	text = strings.NewReplacer(
		example[1], printed[1],
		example[2], printed[2],
		"apiServerEndpoint: 192.168.10.11:6443", fmt.Sprintf("apiServerEndpoint: %q", i.APIAddress()),
		"value: "+address[1], fmt.Sprintf("value: %q", addresses(node)),
	).Replace(text)
	if !strings.Contains(initConfig, registrationKey) {
		text, _, _ = strings.Cut(text, registrationKey)
	}
	return text
}

// withoutAddress is a configuration whose kubelet is not told its address.
func withoutAddress(config string) string { return nodeIPArgument.ReplaceAllString(config, "") }

// addresses are those of a node as its kubelet takes them.
func addresses(node *cluster.Node) string {
	var all []string
	for _, ip := range node.IPs() {
		all = append(all, ip.String())
	}
	return strings.Join(all, ",")
}

// samples installs Clarion with the addresses and the application of the samples, by the README.
func (i *installation) samples() {
	i.t.Helper()
	for _, command := range readDocument(i.t, "README.md").commands("Use it") {
		i.run(command)
	}
	i.run("kubectl rollout status deployment/myapp --timeout=120s")
}

// announcersRolledOut waits until the announcers of all nodes are ready.
func (i *installation) announcersRolledOut() {
	i.t.Helper()
	i.run("kubectl --namespace clarion-system rollout status daemonset/announcer --timeout=120s")
}

// controller is the node that runs the cloud-controller-manager.
func (i *installation) controller() *cluster.Node {
	i.t.Helper()
	for _, node := range i.Nodes() {
		if _, err := node.Process(install.CCMProcess); err == nil {
			return node
		}
	}
	i.t.Fatalf("no node runs %s", install.CCMProcess)
	return nil
}
