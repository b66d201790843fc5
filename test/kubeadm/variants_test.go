package kubeadm

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/frr"
	"github.com/clarionlb/clarion/test/install"
)

// variants has the tests run that "make kubeadm" runs and "make test" does not, for their time.
var variants = flag.Bool("variants", false, "run clusters of other kinds, too")

const (
	takesLong = "it takes long: make kubeadm runs it"
	// installing is the guide that has the configuration of kubeadm by itself, and clusters the one
	// for those that differ from a new one.
	installing = "docs/install/kubeadm.md"
	clusters   = "docs/guides/clusters.md"
)

func variant(t *testing.T, config cluster.Config, kubeadm string) *installation {
	t.Helper()
	if !*variants {
		t.Skip(takesLong)
	}
	i := boot(t, config)
	i.worksByTheGuide(kubeadm)
	return i
}

// changed is the guide's configuration with other words in it.
func changed(t *testing.T, pairs ...string) string {
	t.Helper()
	return readDocument(t, installing).with(pairs...).block("A new cluster", "yaml")
}

// TestOneNode is a cluster of a control plane alone.
func TestOneNode(t *testing.T) {
	if !*variants {
		t.Skip(takesLong)
	}
	i := boot(t, cluster.Config{Nodes: 1})
	i.found(changed(t), i.Nodes()...)
	for _, command := range readDocument(t, clusters).commands("One node, or control planes alone") {
		i.run(command)
	}
	i.network(i.Nodes()...)
	i.openPage()
	i.replaceAnnouncers()
}

// TestWithoutKubeProxy is a cluster in which something else is to serve Services, which does not run yet. What Clarion does by itself
// works: it initialises nodes, and gives out addresses that a node answers for.
func TestWithoutKubeProxy(t *testing.T) {
	if !*variants {
		t.Skip(takesLong)
	}
	i := boot(t, cluster.Config{Nodes: 2})
	const repository, ref = "https://github.com/clarionlb/clarion//manifests", "?ref="
	install := readDocument(t, "docs/install.md").with(
		"- "+repository+"/components/prometheus"+ref+i.image.Version+"\n", "", // there is no operator
		repository, "../manifests", ref+i.image.Version, "",
		"value: 192.168.10.11}", fmt.Sprintf("value: %q}", i.APIAddress().Addr()),
		`value: "6443"}`, fmt.Sprintf("value: \"%d\"}", i.APIAddress().Port()),
	)
	i.overlay = "overlay/"
	if err := os.Mkdir(filepath.Join(i.desk, i.overlay), 0o755); err != nil {
		t.Fatal(err)
	}
	i.write(filepath.Join(i.overlay, "kustomization.yaml"), install.block("Kustomize", "yaml"))
	i.found(changed(t, "kind: InitConfiguration\n", "kind: InitConfiguration\nskipPhases: [addon/kube-proxy]\n"), i.Nodes()...)
	if err := i.ConnectPods(i.ctx, i.Nodes()...); err != nil {
		t.Fatal(err)
	}
	guide := i.guide()
	i.run(guide.commands("A network for pods")[1])
	i.write("pool.yaml", guide.block("Addresses", "yaml"))
	for _, command := range slices.Concat(guide.commands("Addresses"), guide.commands("A page")) {
		i.run(command)
	}
	if address := i.awaitAddress("web"); address != page {
		t.Errorf("the page has the address %s, want %s", address, page)
	}
	i.run("kubectl wait service/web --for=condition=clarionlb.io/Announced --timeout=60s")
	owner := i.owner(page)
	i.eventually(owner.Name+" to answer for the address", func(ctx context.Context) error {
		out, err := i.Client.Run(ctx, "sh", "-c", "curl --silent --max-time 1 http://"+page+"; ip neigh show "+page)
		if err == nil && !strings.Contains(out, owner.MAC("eth0").String()) {
			err = fmt.Errorf("the client has found %q", out)
		}
		return err
	})
	for _, node := range i.Nodes() {
		out := i.run("kubectl get announcer " + node.Name + ` -o jsonpath='{.status.conditions[?(@.type=="KubeProxy")].reason}'`)
		if out != v1alpha1.ReasonNoAnswer {
			t.Errorf("the Announcer of %s says of kube-proxy: %q", node.Name, out)
		}
	}
}

// TestTheAPIServerIsAwayForMinutes is about clients that wait long between their tries by then.
func TestTheAPIServerIsAwayForMinutes(t *testing.T) {
	i := variant(t, cluster.Config{Nodes: 3}, changed(t))
	i.stayWithoutAPIServer(3 * time.Minute)
}

// TestBehindAFirewall has nodes drop everything but what Kubernetes needs and the guide lets through.
func TestBehindAFirewall(t *testing.T) {
	i := variant(t, cluster.Config{Nodes: 3}, changed(t))
	const established = " policy drop; ct state established,related accept; "
	rules := readDocument(t, "docs/guides/firewall.md").with(
		"hook input priority filter; policy accept;",
		"hook input priority filter;"+established+"iifname lo accept; tcp dport { 6443, 10250 } accept;",
		"hook forward priority filter; policy accept;",
		"hook forward priority filter;"+established+"ip saddr 10.244.0.0/16 accept;",
	).block("", "nft")
	for _, node := range i.Nodes() {
		if _, err := node.Execute(i.ctx, rules, "nft", "--file", "-"); err != nil {
			t.Fatal(err)
		}
	}
	i.replaceAnnouncers()
	for _, node := range i.Nodes() {
		i.eventually(node.Name+" to see all announcers", func(ctx context.Context) error {
			alive, err := install.MembersAlive(ctx, node)
			if err == nil && alive != len(i.Nodes()) {
				err = fmt.Errorf("it sees %d", alive)
			}
			return err
		})
	}
	i.pullThePlug()
}

func TestDualStack(t *testing.T) {
	i := variant(t, cluster.Config{Nodes: 3, Families: []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}}, changed(t,
		"value: 192.168.10.11}", "value: \"192.168.10.11,fd00:10::11\"}",
		"podSubnet: 10.244.0.0/16", "podSubnet: 10.244.0.0/16,fd00:244::/48\n  serviceSubnet: 10.96.0.0/16,fd00:96::/112",
	))
	service := `apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: public}
spec: {addresses: ["` + pool + `", "fd00:10::200-fd00:10::250"]}
---
apiVersion: v1
kind: Service
metadata: {name: both}
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
`
	if err := i.ApplyYAML(i.ctx, service); err != nil {
		t.Fatal(err)
	}
	var found []string
	i.eventually("addresses of both families", func(ctx context.Context) error {
		out, err := i.Kubectl(ctx, "get", "service", "both", "--output=jsonpath={.status.loadBalancer.ingress[*].ip}")
		if found = strings.Fields(out); err == nil && len(found) != 2 {
			err = fmt.Errorf("it has %q", found)
		}
		return err
	})
	for _, address := range found {
		i.answers(address)
	}
}

func TestIptables(t *testing.T) {
	i := variant(t, cluster.Config{Nodes: 3}, changed(t, "mode: nftables ", "mode: iptables "))
	i.replaceAnnouncers()
}

// TestKubeadmsDefaults is a cluster whose kubelets expect no cloud provider.
func TestKubeadmsDefaults(t *testing.T) {
	i := variant(t, cluster.Config{Nodes: 3}, "apiVersion: "+cluster.KubeadmVersion+"\nkind: ClusterConfiguration\nnetworking: {podSubnet: 10.244.0.0/16}\n")
	for _, node := range i.Nodes() {
		if out := i.run("kubectl get node " + node.Name + " --output='jsonpath={.spec.providerID}'"); out != "" {
			t.Errorf("%s was left as it is by nobody: it has the provider ID %s", node.Name, out)
		}
	}
	i.pullThePlug()
	for _, command := range readDocument(t, clusters).commands("A cluster that exists") {
		i.run(command) // leaves nodes to others
	}
	i.run("kubectl --namespace kube-system rollout status deployment/" + install.CCM + " --timeout=120s")
	i.serve("without-nodes")
}

func TestBGP(t *testing.T) {
	i := variant(t, cluster.Config{Nodes: 3}, changed(t))
	router, err := frr.Start(i.ctx, i.Router, filepath.Join(i.LogDir(), "router"))
	if err != nil {
		t.Fatal(err)
	}
	defer router.Close()
	i.run("kubectl apply -f manifests/samples/deployment.yaml -f manifests/samples/bgp.yaml -f manifests/samples/service-routed.yaml")
	i.run("kubectl rollout status deployment/myapp --timeout=120s")
	address := netip.MustParseAddr(i.awaitAddress("myapp-routed"))
	i.eventually("the router to know the way", func(ctx context.Context) error {
		hops, err := router.Hops(ctx, netip.PrefixFrom(address, address.BitLen()))
		if err == nil && len(hops) != 2 {
			err = fmt.Errorf("it goes by %v, want both workers", hops)
		}
		return err
	})
	meter := i.measureFrom(i.FarClient, address.String())
	i.run("kubectl --namespace clarion-system rollout restart daemonset/announcer")
	i.announcersRolledOut()
	i.lostNothing(t, meter)
}
