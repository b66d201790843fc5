package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/install"
)

// TestMovingInTheWordsOfThePlan moves a cluster to Clarion from one load balancer after the other, and back. The objects and the Services
// are as its programs leave them, which do not run. The commands are those of the plan and of the document, word by word.
func TestMovingInTheWordsOfThePlan(t *testing.T) {
	t.Parallel()
	m := newMover(t)
	for _, from := range []formerBalancer{kubeVIP, byBGP(kubeVIP), anew(kubeVIP), ciliumLB, anew(ofClass(ciliumLB)), serviceLB} {
		name := from.source + from.flags
		if from.routed {
			name += " by BGP"
		}
		t.Run(name, func(t *testing.T) { m.in(t).moveAndBack(&from) })
	}
	t.Run("the documented way from MetalLB", func(t *testing.T) { m.in(t).moveAsDocumented() })
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
	if !from.keepsClasses() {
		m.handsOut(from.wish)
	}
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
				if s.Spec.LoadBalancerClass == nil || !from.keepsClasses() {
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

	if from.keepsClasses() && slices.ContainsFunc(before, func(s *corev1.Service) bool { return s.Spec.LoadBalancerClass != nil }) {
		if out, err := m.Shell(m.ctx, m.folder, "PATH="+m.path+":$PATH; "+back); err == nil || !strings.Contains(err.Error(), "run without --load-balancer-class=") {
			m.t.Errorf("a rollback while Clarion serves the class: %s, %v", out, err)
		}
	}
	m.helm(commands[0]) // so that Clarion takes nothing up again
	m.do(back)
	m.isAsBefore("after the rollback", before)
	m.gone(from, before)
}

// handsOut has Services of a foreign class get the addresses that they ask for by an annotation, as of the load balancer of that class,
// until the test ends.
func (m *mover) handsOut(wish string) {
	m.t.Helper()
	services := m.Kubernetes().CoreV1().Services(m.namespace)
	ctx, stop := context.WithCancel(m.ctx)
	ended := make(chan struct{})
	m.t.Cleanup(func() {
		stop()
		<-ended
	})
	go func() {
		defer close(ended)
		wait.UntilWithContext(ctx, func(ctx context.Context) {
			all, err := services.List(ctx, metav1.ListOptions{})
			if err != nil {
				return // until the next time
			}
			for _, s := range all.Items {
				class := ptr.Deref(s.Spec.LoadBalancerClass, v1alpha1.LoadBalancerClass)
				if class == v1alpha1.LoadBalancerClass || s.Annotations[wish] == "" || len(s.Status.LoadBalancer.Ingress) > 0 {
					continue
				}
				s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: s.Annotations[wish], IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)}}
				services.UpdateStatus(ctx, &s, metav1.UpdateOptions{}) // or the next time
			}
		}, 100*time.Millisecond)
	}()
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
