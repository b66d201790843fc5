package e2e

import (
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/install"
)

// TestMovingInTheWordsOfThePlan moves a cluster to Clarion from one load balancer after the other, and back. The objects and the Services
// are as its programs leave them, which do not run. The commands are those of the plan and of the document, word by word.
func TestMovingInTheWordsOfThePlan(t *testing.T) {
	t.Parallel()
	m := newMover(t)
	for _, from := range []formerBalancer{kubeVIP, byBGP(kubeVIP), ciliumLB, serviceLB} {
		name := from.source
		if from.routed {
			name += " by BGP"
		}
		t.Run(name, func(t *testing.T) { m.in(t).moveAndBack(&from) })
	}
	t.Run("the documented way from MetalLB", func(t *testing.T) { m.in(t).moveAsDocumented() })
}

// formerBalancer is a load balancer that a cluster moves away from.
type formerBalancer struct {
	// source is its name for "kubectl clarion migrate", and flags are those that the user gives.
	source, flags string
	// kinds and objects are its own and those of its programs, in YAML, and services what it serves. The first, whose name
	// comes before those of the others, is the canary of the plan.
	kinds, objects, services string
	// says has words of the plan.
	says []string
	// routed says that it speaks BGP with the router, and that nobody reaches the addresses without a route.
	routed bool
	// gives says that Services get other addresses, of a range that begins so.
	gives string
	// elsewhere are the beginnings of commands for programs that this cluster does not have, with commands that have their effect.
	elsewhere map[string]string
	// stopped are commands that find nothing once all commands of the plan were run.
	stopped []string
}

// mover is a cluster, and a folder in which a user gives commands.
type mover struct {
	*deployment
	folder, path string
	installed    bool
}

const migrationDocument = "../../docs/migration.md"

func newMover(t *testing.T) *mover {
	t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder, commands := t.TempDir(), t.TempDir()
	for name, target := range map[string]string{
		filepath.Join(folder, "manifests"): filepath.Join(root, "manifests"),
		filepath.Join(commands, helmName):  self,
	} {
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	d := newDeployment(t, install.Bare(t, cluster.Config{Nodes: 2})).within("shop")
	return &mover{deployment: d, folder: folder, path: commands + ":" + filepath.Join(root, ".cache", "bin")}
}

// in has it report to a subtest from now on.
func (m *mover) in(t *testing.T) *mover {
	m.deployment = m.deployment.in(t)
	return m
}

// do runs a command in the folder.
func (m *mover) do(line string) string {
	m.t.Helper()
	out, err := m.Shell(m.ctx, m.folder, "PATH="+m.path+":$PATH; "+line)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// helm runs a command of Helm that installs or upgrades Clarion, and waits until all of it runs.
func (m *mover) helm(line string) {
	m.t.Helper()
	if m.installed { // by the plan of another load balancer
		line = strings.Replace(line, "helm install", "helm upgrade", 1)
	}
	m.do(line)
	m.AwaitReady(m.t)
	const flag = "--require-load-balancer-class"
	if args := m.kubectl("get", "--namespace=kube-system", "deployment/"+ccm, "--output=jsonpath={..args}"); strings.Contains(args, flag) != strings.Contains(line, flag) {
		m.t.Errorf("after %s, the cloud-controller-manager has the arguments %s", line, args)
	}
	if !m.installed {
		m.installed = true
		m.kubectl("apply", "--namespace="+m.namespace, "--filename="+m.Sample("deployment.yaml"))
		m.kubectl("rollout", "status", "--namespace="+m.namespace, "deployment/myapp", "--timeout=120s")
	}
}

// former makes what a load balancer leaves, and returns its Services as they are then, in their order.
func (m *mover) former(from *formerBalancer) (before []*corev1.Service) {
	m.t.Helper()
	if from.kinds != "" {
		m.applyYAML(from.kinds)
	}
	m.applyYAML(from.objects)
	services := m.Kubernetes().CoreV1().Services(m.namespace)
	for text := range strings.SplitSeq(from.services, "\n---\n") {
		want := &corev1.Service{}
		if err := yaml.UnmarshalStrict([]byte(text), want); err != nil {
			m.t.Fatal(err)
		}
		want.Spec.Type, want.Spec.Selector = corev1.ServiceTypeLoadBalancer, map[string]string{"app": "myapp"}
		for i := range want.Spec.Ports {
			want.Spec.Ports[i].TargetPort.IntVal = 8080
		}
		made, err := services.Create(m.ctx, want, metav1.CreateOptions{})
		if err != nil {
			m.t.Fatal(err)
		}
		made.Status = want.Status
		if made, err = services.UpdateStatus(m.ctx, made, metav1.UpdateOptions{}); err != nil {
			m.t.Fatal(err)
		}
		before = append(before, made)
	}
	return before
}

// gone deletes what a load balancer has left.
func (m *mover) gone(from *formerBalancer, before []*corev1.Service) {
	m.t.Helper()
	for _, s := range before {
		m.dropFinalizers(s.Name) // as its programs do
		m.delete(s.Name)
	}
	file := filepath.Join(m.t.TempDir(), "objects.yaml")
	if err := os.WriteFile(file, []byte(from.objects), 0o600); err != nil {
		m.t.Fatal(err)
	}
	m.kubectl("delete", "--ignore-not-found", "--filename="+file)
}

// isAsBefore checks that Services are as another load balancer had them.
func (m *mover) isAsBefore(when string, before []*corev1.Service) {
	m.t.Helper()
	text := func(s *corev1.Service) string {
		text, err := json.Marshal([]any{s.Spec, s.Labels, s.Annotations, s.Finalizers, s.Status})
		if err != nil {
			m.t.Fatal(err)
		}
		return string(text)
	}
	for _, s := range before {
		if now := text(m.service(s.Name)); now != text(s) {
			m.t.Errorf("%s, Service %s is\n%s\nand was\n%s", when, s.Name, now, text(s))
		}
	}
}

// isClarions checks that a Service has kept its addresses, or has got one, and that Clarion announces it.
func (m *mover) isClarions(from *formerBalancer, before *corev1.Service) {
	m.t.Helper()
	m.kubectl("wait", "--namespace="+m.namespace, "--for=condition=clarionlb.io/Announced", "--timeout=120s", "service/"+before.Name)
	has := m.kubectl("get", "service", before.Name, "--namespace="+m.namespace, "--output=jsonpath={.status.loadBalancer.ingress[*].ip}")
	if want := strings.Join(addressTexts(before), " "); from.gives == "" && has != want || !strings.HasPrefix(has, from.gives) {
		m.t.Errorf("Service %s has %s, and had %s", before.Name, has, want)
	}
	client := m.Client
	if from.routed {
		client = m.FarClient
	}
	if port := before.Spec.Ports[0]; port.Protocol == corev1.ProtocolTCP && port.Port == 80 {
		m.awaitAnswer(client, netip.MustParseAddr(has))
	}
}

// moveAndBack does what the plan says, and puts one Service back in between and all of them in the end.
func (m *mover) moveAndBack(from *formerBalancer) {
	if from.routed {
		m.startRouter()
	}
	before := m.former(from)
	plan := m.do("kubectl clarion migrate " + from.source + from.flags)
	for _, want := range from.says {
		if !strings.Contains(plan, want) {
			m.t.Errorf("%q is missing in\n%s", want, plan)
		}
	}
	m.isAsBefore("after a dry run", before)
	back := documentedCommands(m.t, migrationDocument, "## Back again")[0][0]

	commands := plannedCommands(m.t, plan)
	for _, command := range commands {
		switch {
		case strings.HasPrefix(command, "helm install clarion "), strings.HasPrefix(command, "helm upgrade clarion "):
			m.helm(command)
		case strings.Contains(command, " --apply --canary=shop/"+before[0].Name):
			m.do(command)
			m.isClarions(from, before[0])
			m.isAsBefore("after the canary", before[1:])
			m.do(back)
			m.isAsBefore("after the rollback of the canary", before)
			m.do(command)
		case strings.HasSuffix(command, " --apply"):
			m.do(command)
			for _, s := range before {
				if s.Spec.LoadBalancerClass == nil {
					m.isClarions(from, s)
				}
			}
		case strings.HasSuffix(command, "# on each node"):
			for _, node := range m.Nodes() {
				if out, err := node.Run(m.ctx, "sh", "-c", command); err != nil || slices.ContainsFunc(before, func(s *corev1.Service) bool {
					return strings.Contains(out, " "+addressTexts(s)[0]+"/")
				}) {
					m.t.Errorf("%s has the addresses %s, %v", node.Name, out, err)
				}
			}
		default:
			m.do(from.here(command))
		}
	}
	for _, s := range before {
		m.isClarions(from, s)
	}
	for _, command := range from.stopped {
		if out := m.do(command); strings.TrimSpace(out) != "" {
			m.t.Errorf("%s finds %s", command, out)
		}
	}

	if slices.ContainsFunc(before, func(s *corev1.Service) bool { return s.Spec.LoadBalancerClass != nil }) {
		if out, err := m.Shell(m.ctx, m.folder, "PATH="+m.path+":$PATH; "+back); err == nil || !strings.Contains(err.Error(), "run without --load-balancer-class=") {
			m.t.Errorf("a rollback while Clarion serves the class: %s, %v", out, err)
		}
	}
	m.helm(commands[0]) // so that Clarion takes nothing up again
	m.do(back)
	m.isAsBefore("after the rollback", before)
	m.gone(from, before)
}

// here is what is run in place of a command.
func (f *formerBalancer) here(command string) string {
	for beginning, line := range f.elsewhere {
		if strings.HasPrefix(command, beginning) {
			return line
		}
	}
	return command
}

// plannedCommands are those of a plan, in their order.
func plannedCommands(t *testing.T, plan string) (commands []string) {
	t.Helper()
	_, order, _ := strings.Cut(plan, "\nOrder:\n")
	for line := range strings.Lines(order) {
		if command, is := strings.CutPrefix(line, "       "); is {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	if len(commands) < 3 {
		t.Fatalf("the plan has the commands %q:\n%s", commands, plan)
	}
	return commands
}

// moveAsDocumented does what the document says of MetalLB.
func (m *mover) moveAsDocumented() {
	from := &metalLBOnLAN
	before := m.former(from)
	old := m.kubectl("get", "ipaddresspools.metallb.io,l2advertisements.metallb.io,services", "--all-namespaces", "--output=yaml")
	if err := os.WriteFile(filepath.Join(m.folder, "old.yaml"), []byte(old), 0o600); err != nil {
		m.t.Fatal(err)
	}
	for _, command := range documentedCommands(m.t, migrationDocument, "## In short")[0] {
		m.do(command)
		switch {
		case !strings.Contains(command, "--apply"):
			m.isAsBefore("after "+command, before)
		case strings.Contains(command, "--canary"):
			m.isClarions(from, before[0])
			m.isAsBefore("after "+command, before[1:])
		}
	}
	for _, s := range before {
		m.isClarions(from, s)
	}
	for _, command := range documentedCommands(m.t, migrationDocument, "## Afterwards")[0] {
		m.do(command)
	}
	front := m.service("front")
	if left := slices.Sorted(maps.Keys(front.Annotations)); len(left) > 0 {
		m.t.Errorf("it has the annotations %s", left)
	}
	m.isClarions(from, before[0])
}

// kubeVIP is kube-vip with its cloud provider, which has the finalizer of all load balancers on Services.
var kubeVIP = formerBalancer{
	source: "kube-vip",
	says:   []string{"IPAddressPool global", "IPAddressPool shop", "L2Advertisement kube-vip", "search-order is not carried over", "--load-balancer-class=kube-vip.io/kube-vip-class"},
	objects: `
apiVersion: v1
kind: ConfigMap
metadata: {name: kubevip, namespace: kube-system}
data:
  range-global: 192.168.10.200-192.168.10.209
  cidr-shop: 192.168.10.210/31
  search-order: desc
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-vip-ds, namespace: kube-system, labels: {app.kubernetes.io/name: kube-vip-ds}}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: kube-vip-ds}}
  template:
    metadata: {labels: {app.kubernetes.io/name: kube-vip-ds}}
    spec:
      nodeSelector: {example.com/none: ""}
      containers:
      - {name: kube-vip, image: ghcr.io/kube-vip/kube-vip:v1.0.0, env: [{name: vip_arp, value: "true"}, {name: svc_enable, value: "true"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: kube-vip-cloud-provider, namespace: kube-system}
spec:
  selector: {matchLabels: {app: kube-vip-cloud-provider}}
  template:
    metadata: {labels: {app: kube-vip-cloud-provider}}
    spec:
      nodeSelector: {example.com/none: ""}
      containers: [{name: kube-vip-cloud-provider, image: ghcr.io/kube-vip/kube-vip-cloud-provider:v0.0.12}]
`,
	services: `
metadata:
  name: front
  labels: {implementation: kube-vip}
  annotations: {kube-vip.io/loadbalancerIPs: 192.168.10.201, kube-vip.io/vipHost: n1}
  finalizers: [service.kubernetes.io/load-balancer-cleanup]
spec: {loadBalancerIP: 192.168.10.201, ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.201}]}}
---
metadata:
  name: books
  annotations: {kube-vip.io/loadbalancerIPs: 192.168.10.210}
  finalizers: [service.kubernetes.io/load-balancer-cleanup]
spec: {loadBalancerClass: kube-vip.io/kube-vip-class, ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.210}]}}
---
metadata:
  name: names
  annotations: {kube-vip.io/loadbalancerIPs: 192.168.10.203}
  finalizers: [service.kubernetes.io/load-balancer-cleanup]
spec: {ports: [{port: 53}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.203}]}}
---
metadata:
  name: names-udp
  annotations: {kube-vip.io/loadbalancerIPs: 192.168.10.203}
  finalizers: [service.kubernetes.io/load-balancer-cleanup]
spec: {ports: [{port: 53, protocol: UDP}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.203}]}}
`,
	stopped: []string{
		`kubectl --namespace=kube-system get daemonset kube-vip-ds --output=jsonpath='{..env[?(@.name=="svc_enable")].value}' | grep true || true`,
		`kubectl --namespace=kube-system get deployment kube-vip-cloud-provider --output=jsonpath='{.spec.replicas}' | grep --invert-match 0 || true`,
	},
}

// byBGP is kube-vip with BGP in place of ARP, and other addresses.
func byBGP(kubeVIP formerBalancer) formerBalancer {
	changed := strings.NewReplacer("192.168.10.", "203.0.113.", `{name: vip_arp, value: "true"}`,
		`{name: bgp_enable, value: "true"}, {name: bgp_as, value: "65001"}, {name: bgp_peers, value: "192.168.10.1:65000"}`)
	kubeVIP.routed, kubeVIP.objects, kubeVIP.services = true, changed.Replace(kubeVIP.objects), changed.Replace(kubeVIP.services)
	kubeVIP.says = []string{"BGPPeer peer-192-168-10-1", "BGPAdvertisement kube-vip", "kubectl label node $node clarionlb.io/moved="}
	return kubeVIP
}

// ciliumLB is LB IPAM of Cilium with announcements on layer 2.
var ciliumLB = formerBalancer{
	source: "cilium",
	says:   []string{"IPAddressPool blue", "L2Advertisement lan", "Cilium"},
	kinds: foreignKind("CiliumLoadBalancerIPPool", "cilium.io", "v2", "Cluster") + "---" +
		foreignKind("CiliumL2AnnouncementPolicy", "cilium.io", "v2alpha1", "Cluster"),
	objects: `
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: blue}
spec:
  blocks: [{cidr: 192.168.10.216/29}]
  serviceSelector: {matchExpressions: [{key: io.kubernetes.service.namespace, operator: In, values: [shop]}]}
---
apiVersion: cilium.io/v2alpha1
kind: CiliumL2AnnouncementPolicy
metadata: {name: lan}
spec: {loadBalancerIPs: true, interfaces: ['^eth[0-9]+$']}
`,
	services: `
metadata: {name: front, annotations: {lbipam.cilium.io/ips: 192.168.10.217}}
spec: {ports: [{port: 80}]}
status:
  conditions: [{type: cilium.io/IPAMRequestSatisfied, status: "True", reason: satisfied, message: "", lastTransitionTime: "2026-01-02T03:04:05Z"}]
  loadBalancer: {ingress: [{ip: 192.168.10.217}]}
---
metadata: {name: web, annotations: {lbipam.cilium.io/sharing-key: web}}
spec: {ports: [{port: 80}]}
status:
  conditions: [{type: cilium.io/IPAMRequestSatisfied, status: "True", reason: satisfied, message: "", lastTransitionTime: "2026-01-02T03:04:05Z"}]
  loadBalancer: {ingress: [{ip: 192.168.10.218}]}
---
metadata: {name: web-tls, annotations: {lbipam.cilium.io/sharing-key: web}}
spec: {ports: [{port: 443}]}
status:
  conditions: [{type: cilium.io/IPAMRequestSatisfied, status: "True", reason: satisfied, message: "", lastTransitionTime: "2026-01-02T03:04:05Z"}]
  loadBalancer: {ingress: [{ip: 192.168.10.218}]}
`,
	elsewhere: map[string]string{"helm upgrade cilium ": "true"},
	stopped:   []string{"kubectl get ciliumloadbalancerippools,ciliuml2announcementpolicies --output=name"},
}

// serviceLB is that of k3s, which has the finalizer of all load balancers on Services.
var serviceLB = formerBalancer{
	source: "servicelb", flags: " --pool=192.168.10.225-192.168.10.229", gives: "192.168.10.22",
	says: []string{"IPAddressPool default", "has addresses of nodes, 192.168.10.11, 192.168.10.12"},
	objects: `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: svclb-front-0123abcd, namespace: kube-system, labels: {svccontroller.k3s.cattle.io/svcname: front}}
spec:
  selector: {matchLabels: {app: svclb-front-0123abcd}}
  template:
    metadata: {labels: {app: svclb-front-0123abcd}}
    spec:
      nodeSelector: {example.com/none: ""}
      containers: [{name: lb-tcp-80, image: rancher/klipper-lb:v0.4.13}]
`,
	services: `
metadata: {name: front, finalizers: [service.kubernetes.io/load-balancer-cleanup]}
spec: {ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.11, ipMode: VIP}, {ip: 192.168.10.12, ipMode: VIP}]}}
`,
	elsewhere: map[string]string{
		"mkdir -p /etc/rancher/k3s": "kubectl --namespace=kube-system delete daemonset --selector=svccontroller.k3s.cattle.io/svcname",
	},
	stopped: []string{"kubectl --namespace=kube-system get daemonset --selector=svccontroller.k3s.cattle.io/svcname --output=name"},
}

// metalLBOnLAN is MetalLB on layer 2.
var metalLBOnLAN = formerBalancer{
	source: "metallb",
	kinds: metalLBKind("IPAddressPool") + "---" + metalLBKind("L2Advertisement") + `
---
apiVersion: v1
kind: Namespace
metadata: {name: metallb-system}
`,
	objects: `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: lan, namespace: metallb-system}
spec: {addresses: [192.168.10.240-192.168.10.244]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: lan, namespace: metallb-system}
`,
	services: `
metadata: {name: front}
spec: {ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.240}]}}
---
metadata: {name: pinned, annotations: {metallb.io/loadBalancerIPs: 192.168.10.242}}
spec: {ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.242}]}}
`,
}
