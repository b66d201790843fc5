package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// patience bounds every wait. It is far beyond what anything takes, so that a slow machine fails no
// test.
const patience = 2 * time.Minute

// fixture is a running cluster with a Deployment "web" of one pod on each node, and a NodePort
// Service "web" for it.
type fixture struct {
	*cluster.Cluster
	ctx context.Context
}

func start(t *testing.T, config cluster.Config) *fixture {
	t.Helper()
	f := &fixture{Cluster: cluster.New(t, config), ctx: t.Context()}
	for _, node := range f.Nodes() {
		f.untaint(t, node.Name)
	}
	err := f.ApplyYAML(f.ctx, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: `+fmt.Sprint(len(f.Nodes()))+`
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}
      tolerations: [{operator: Exists, effect: NoExecute}]
      containers:
      - {name: web, image: registry.example/web, ports: [{containerPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  ipFamilyPolicy: PreferDualStack
  selector: {app: web}
  ports: [{port: 80, nodePort: 30080}]
---
apiVersion: v1
kind: Service
metadata: {name: web-local}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  ipFamilyPolicy: PreferDualStack
  selector: {app: web}
  ports: [{port: 80, nodePort: 30081}]
`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Kubectl(f.ctx, "rollout", "status", "deployment/web", "--timeout=2m"); err != nil {
		t.Fatal(err)
	}
	return f
}

// untaint does what a cloud-controller-manager does to a new node.
func (f *fixture) untaint(t *testing.T, node string) {
	t.Helper()
	patch := []byte(`{"spec":{"taints":[]}}`)
	if _, err := f.Kubernetes().CoreV1().Nodes().Patch(f.ctx, node, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// meter measures an address until the test ends.
func meter(t *testing.T, from *network.Host, to netip.Addr, port uint16) *network.Meter {
	m := from.Measure(netip.AddrPortFrom(to, port), network.MeterOptions{Timeout: 500 * time.Millisecond})
	t.Cleanup(func() { m.Stop() })
	return m
}

func await(t *testing.T, m *network.Meter, match func(network.Attempt) bool) network.Attempt {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	attempt, err := m.Await(ctx, match)
	if err != nil {
		t.Fatal(err)
	}
	return attempt
}

// eventually waits until a check returns nil.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

func (f *fixture) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	pods, err := f.Kubernetes().CoreV1().Pods(metav1.NamespaceDefault).List(f.ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

func (f *fixture) service(t *testing.T, name string) *corev1.Service {
	t.Helper()
	service, err := f.Kubernetes().CoreV1().Services(metav1.NamespaceDefault).Get(f.ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// answeredBy matches answers of a node's pod.
func answeredBy(node string) func(network.Attempt) bool {
	return func(a network.Attempt) bool { return a.Err == nil && a.Answer.Node == node }
}

func TestDualStackClusterWithNftables(t *testing.T) {
	t.Parallel()
	f := start(t, cluster.Config{
		Families: []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol},
		Flags:    map[string][]string{"kube-controller-manager": {"--node-monitor-period=1s", "--node-monitor-grace-period=10s"}},
	})
	t.Run("Services answer", f.testServices)
	t.Run("the client's address reaches pods with the policy Local", f.testClientAddress)
	t.Run("pods reach each other and the API", f.testPods)
	t.Run("a cut LAN leaves the API and takes the clients", f.testCutLAN)
	t.Run("a cut management LAN leaves the clients and takes the API", f.testCutManagement)
	t.Run("a blocked port is blocked alone", f.testBlock)
	t.Run("a node that loses power is NotReady, and works again after a boot", f.testPower)
	t.Run("a frozen kube-proxy keeps its rules", f.testFrozenProxy)
	t.Run("CRDs are served when Apply returns", f.testApply)
}

func TestClustersWithIptablesSideBySide(t *testing.T) {
	t.Parallel()
	for _, family := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
		f := start(t, cluster.Config{Families: []corev1.IPFamily{family}, ProxyMode: "iptables"})
		t.Run(string(family)+": Services answer", f.testServices)
		t.Run(string(family)+": the client's address reaches pods with the policy Local", f.testClientAddress)
		t.Run(string(family)+": pods reach each other and the API", f.testPods)
	}
}

// TestANewNodeAwaitsACloudProvider expects what a kubelet with --cloud-provider=external registers.
func TestANewNodeAwaitsACloudProvider(t *testing.T) {
	t.Parallel()
	families := []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	c := cluster.New(t, cluster.Config{Families: families, Nodes: 1})
	node, err := c.Kubernetes().CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := corev1.Taint{Key: "node.cloudprovider.kubernetes.io/uninitialized", Value: "true", Effect: corev1.TaintEffectNoSchedule}
	if len(node.Spec.Taints) != 1 || node.Spec.Taints[0] != want {
		t.Errorf("taints: %v", node.Spec.Taints)
	}
	if got := node.Annotations["alpha.kubernetes.io/provided-node-ip"]; got != "192.168.10.11,fd00:10::11" {
		t.Errorf("provided node IP: %q", got)
	}
	if got := fmt.Sprint(node.Spec.PodCIDRs); got != "[10.244.1.0/24 fd00:244:1::/64]" {
		t.Errorf("pod CIDRs: %s", got)
	}
}

func (f *fixture) testServices(t *testing.T) {
	for _, from := range []*network.Host{f.Client, f.FarClient} {
		for _, node := range f.Nodes() {
			for _, ip := range node.IPs() {
				f.awaitAllPods(t, from, ip, 30080)
			}
		}
	}
	for _, ip := range f.service(t, "web").Spec.ClusterIPs {
		for _, node := range f.Nodes() {
			f.awaitAllPods(t, node.Host, netip.MustParseAddr(ip), 80)
		}
	}
}

// awaitAllPods waits until each pod of this cluster has answered at an address, and expects no
// other to.
func (f *fixture) awaitAllPods(t *testing.T, from *network.Host, to netip.Addr, port uint16) {
	t.Helper()
	m := meter(t, from, to, port)
	names := map[string]bool{}
	for _, pod := range f.pods(t) {
		names[pod.Name] = true
		await(t, m, func(a network.Attempt) bool { return a.Answer.Pod == pod.Name })
	}
	for pod := range m.Stop().Pods() {
		if !names[pod] {
			t.Errorf("%s:%d was answered by %s, which is not of cluster %s", to, port, pod, f.Name())
		}
	}
}

func (f *fixture) testClientAddress(t *testing.T) {
	for _, from := range []*network.Host{f.Client, f.FarClient} {
		for _, node := range f.Nodes() {
			for _, ip := range node.IPs() {
				m := meter(t, from, ip, 30081)
				attempt := await(t, m, network.Succeeded)
				if got, want := attempt.Answer.Client.Addr(), from.Address("eth0", ip.Is6()); got != want {
					t.Errorf("the pod saw %s, want %s", got, want)
				}
				if attempt.Answer.Node != node.Name {
					t.Errorf("a pod on %s answered for %s", attempt.Answer.Node, node.Name)
				}
				m.Stop()
			}
		}
	}
}

func (f *fixture) testPods(t *testing.T) {
	pods := f.pods(t)
	for _, pod := range pods {
		namespace := f.podNamespace(t, pod)
		for _, other := range pods {
			for i, ip := range other.Status.PodIPs {
				url := "http://" + netip.AddrPortFrom(netip.MustParseAddr(ip.IP), 80).String()
				answer, err := f.Node(pod.Spec.NodeName).Run(f.ctx, "ip", "netns", "exec", namespace, "curl", "-sS", "--max-time", "20", url)
				if err != nil {
					t.Error(err)
				} else if want := "client=" + strings.TrimSuffix(netip.AddrPortFrom(netip.MustParseAddr(pod.Status.PodIPs[i].IP), 0).String(), "0"); !strings.Contains(answer, want) {
					t.Errorf("want %q in %q", want, answer)
				}
			}
		}
		kubernetes := netip.AddrPortFrom(netip.MustParseAddr(f.service(t, "kubernetes").Spec.ClusterIP), 443)
		answer, err := f.Node(pod.Spec.NodeName).Run(f.ctx, "ip", "netns", "exec", namespace,
			"curl", "-sS", "--insecure", "--max-time", "20", "https://"+kubernetes.String()+"/version")
		if err != nil || !strings.Contains(answer, "gitVersion") {
			t.Errorf("%s, %v", answer, err)
		}
	}
}

// podNamespace returns the network namespace of a pod.
func (f *fixture) podNamespace(t *testing.T, pod corev1.Pod) string {
	t.Helper()
	list, err := f.Node(pod.Spec.NodeName).Run(f.ctx, "ip", "netns", "list")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(list) {
		name := strings.Fields(line)[0]
		if !strings.HasPrefix(name, f.Node(pod.Spec.NodeName).Namespace()+"-") {
			continue
		}
		addresses, err := f.Control.Run(f.ctx, "ip", "netns", "exec", name, "ip", "-o", "address")
		if err == nil && strings.Contains(addresses, " "+pod.Status.PodIP+"/") {
			return name
		}
	}
	t.Fatalf("no namespace has the address %s of pod %s", pod.Status.PodIP, pod.Name)
	return ""
}

// callAPI calls the API from a node, by the API's Service.
func (f *fixture) callAPI(node *cluster.Node) error {
	_, err := node.Run(f.ctx, "curl", "-sS", "--insecure", "--max-time", "1", "https://10.96.0.1/version")
	return err
}

func (f *fixture) testCutLAN(t *testing.T) {
	node := f.Node("n1")
	m := meter(t, f.Client, node.IPs()[0], 30081)
	await(t, m, network.Succeeded)
	if err := node.CutLink("eth0"); err != nil {
		t.Fatal(err)
	}
	await(t, m, network.Failed)
	eventually(t, func() error { return f.callAPI(node) })
	if err := node.RestoreLink("eth0"); err != nil {
		t.Fatal(err)
	}
	await(t, m, network.Succeeded)
}

func (f *fixture) testCutManagement(t *testing.T) {
	node := f.Node("n1")
	m := meter(t, f.Client, node.IPs()[0], 30081)
	if err := node.CutLink("eth1"); err != nil {
		t.Fatal(err)
	}
	if err := f.callAPI(node); err == nil {
		t.Error("the API is still reachable")
	}
	await(t, m, network.Succeeded)
	if err := node.RestoreLink("eth1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return f.callAPI(node) })
}

func (f *fixture) testBlock(t *testing.T) {
	node := f.Node("n1")
	blocked, other := meter(t, f.Client, node.IPs()[0], 30080), meter(t, f.Client, node.IPs()[0], 30081)
	barrier, err := node.Block(f.ctx, network.Traffic{Device: "eth0", Peer: f.Client.Address("eth0", false), Protocol: "tcp", Port: 30080})
	if err != nil {
		t.Fatal(err)
	}
	await(t, blocked, network.Failed)
	await(t, other, network.Succeeded)
	if err := barrier.Lift(); err != nil {
		t.Fatal(err)
	}
	await(t, blocked, network.Succeeded)
}

func (f *fixture) testPower(t *testing.T) {
	node := f.Node("n2")
	m := meter(t, f.Client, node.IPs()[0], 30081)
	await(t, m, network.Succeeded)
	kubelet, err := node.Kubelet()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.PowerOff(); err != nil {
		t.Fatal(err)
	}
	await(t, m, network.Failed)
	if err := kubelet.Wait(f.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Kubelet(); err == nil {
		t.Error("the kubelet of a node without power runs")
	}
	_, err = f.Kubectl(f.ctx, "wait", "node/n2", "--for=condition=Ready=Unknown", "--timeout=2m")
	if err != nil {
		t.Fatal(err)
	}
	if err := node.PowerOn(); err != nil {
		t.Fatal(err)
	}
	if err := node.AwaitReady(f.ctx); err != nil {
		t.Fatal(err)
	}
	await(t, m, answeredBy("n2"))
	t.Log(m.Stop())
}

func (f *fixture) testFrozenProxy(t *testing.T) {
	node := f.Node("n1")
	proxy, err := node.Proxy()
	if err != nil {
		t.Fatal(err)
	}
	if err := proxy.Stop(); err != nil {
		t.Fatal(err)
	}
	await(t, meter(t, f.Client, node.IPs()[0], 30081), network.Succeeded)
	if err := errors.Join(proxy.Kill(), proxy.Wait(f.ctx), node.StartProxy(), node.AwaitReady(f.ctx)); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) testApply(t *testing.T) {
	const kind = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  names: {kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}
  scope: Cluster
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
`
	const object = `{apiVersion: example.org/v1, kind: Widget, metadata: {name: one}}`
	if err := errors.Join(f.ApplyYAML(f.ctx, kind), f.ApplyYAML(f.ctx, object)); err != nil {
		t.Fatal(err)
	}
	out, err := f.Kubectl(f.ctx, "get", "widgets", "--output=name")
	if err != nil || out != "widget.example.org/one\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := f.Kubectl(f.ctx, "get", "no-such-kind"); err == nil || !strings.Contains(err.Error(), "no-such-kind") {
		t.Errorf("the error does not say what kubectl said: %v", err)
	}
}
