package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/setup"
)

// TestMovingToClarionAndAwayFromIt goes through all that a cluster does that comes from MetalLB and goes on to another load
// balancer, with the objects of MetalLB and without its programs.
func TestMovingToClarionAndAwayFromIt(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 2})
	d.kubectl("patch", "--namespace=kube-system", "deployment", ccm, "--type=json",
		`--patch=[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--require-load-balancer-class"}]`)
	d.awaitCCM()
	d.StartApp(t)
	for _, kind := range []string{"IPAddressPool", "L2Advertisement", "BGPPeer"} {
		d.applyYAML(metalLBKind(kind))
	}
	d.kubectl("create", "namespace", "metallb-system")
	d.applyYAML(metalLBObjects)
	record := filepath.Join(t.TempDir(), "record")

	had := map[string]string{"front": "192.168.10.240", "dns": "192.168.10.241", "dns-udp": "192.168.10.241", "classed": "192.168.10.242"}
	d.loadBalancer("front", nil)
	d.loadBalancer("dns", annotate("metallb.universe.tf/allow-shared-ip", "dns"))
	d.loadBalancer("dns-udp", all(annotate("metallb.io/allow-shared-ip", "dns"), udp))
	d.loadBalancer("classed", all(class("metallb.io/lan"), trafficPolicy(onlyLocal)))
	for name, address := range had {
		d.giveByAnother(name, address)
	}
	keeps := func(d *deployment) {
		d.t.Helper()
		for name, address := range had {
			if got := addressTexts(d.service(name)); !slices.Equal(got, []string{address}) {
				d.t.Errorf("%s has %v in place of %s", name, got, address)
			}
		}
	}

	t.Run("a dry run changes nothing", func(t *testing.T) {
		d := d.in(t)
		out := d.plugin(0, "migrate", "metallb")
		for _, want := range []string{"IPAddressPool lan", "default/classed", "--load-balancer-class=metallb.io/lan", "vrf"} {
			if !strings.Contains(strings.ToLower(out), strings.ToLower(want)) {
				t.Errorf("%q is missing in\n%s", want, out)
			}
		}
		if list, err := d.Clarion.ClarionV1alpha1().IPAddressPools().List(d.ctx, metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
			t.Errorf("there are pools: %v, %v", list, err)
		}
		keeps(d)
	})
	t.Run("one Service goes first, and back", func(t *testing.T) {
		d := d.in(t)
		d.plugin(0, "migrate", "metallb", "--apply", "--canary=default/front", "--record="+record)
		keeps(d)
		d.awaitAnswer(d.Client, addresses(d.service("front"))[0])
		if said := assignedCondition(d.service("dns")); said != nil {
			t.Errorf("another Service is taken up: %v", said)
		}
		d.plugin(0, "migrate", "--rollback="+record)
		keeps(d)
		front := d.service("front")
		if assignedCondition(front) != nil || slices.Contains(front.Finalizers, scope.Finalizer) || front.Annotations["clarionlb.io/addresses"] != "" {
			t.Errorf("it carries %v, %v, %v", front.Status.Conditions, front.Finalizers, front.Annotations)
		}
		d.asks(0, "migrate --rollback="+record, "nothing that is not undone") // once more does nothing
		d.asks(2, "migrate --rollback="+record+"-of-another", "uninstall --hand-over")
	})
	t.Run("one that is made anew goes back although its node ports are taken", func(t *testing.T) {
		d := d.in(t)
		before := d.service("classed")
		d.plugin(0, "migrate", "metallb", "--apply", "--recreate", "--canary=default/classed", "--record="+record)
		keeps(d)
		d.update("classed", func(s *corev1.Service) { // gives its node ports up
			s.Spec.Type, s.Spec.LoadBalancerClass, s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort = corev1.ServiceTypeClusterIP, nil, "", 0
			s.Spec.Ports[0].NodePort = 0
		})
		d.loadBalancer("thief", func(s *corev1.Service) {
			s.Spec.Type = corev1.ServiceTypeNodePort
			s.Spec.Ports = []corev1.ServicePort{{Name: "a", Port: 80, NodePort: before.Spec.Ports[0].NodePort}, {Name: "b", Port: 81, NodePort: before.Spec.HealthCheckNodePort}}
		})
		defer d.delete("thief")
		defer d.answerAsAnother("classed", "metallb.io/lan", had["classed"])()
		out := d.plugin(0, "migrate", "--rollback="+record)
		keeps(d)
		after := d.service("classed")
		if after.Spec.Ports[0].NodePort == before.Spec.Ports[0].NodePort || after.Spec.HealthCheckNodePort == before.Spec.HealthCheckNodePort ||
			after.Spec.HealthCheckNodePort == 0 || *after.Spec.LoadBalancerClass != "metallb.io/lan" || strings.Count(out, "gets another node port") != 2 {
			t.Errorf("it is %+v, and was %+v\n%s", after.Spec, before.Spec, out)
		}
		d.eventually("Clarion to have left nothing on it", func(context.Context) error {
			if s := d.service("classed"); slices.Contains(s.Finalizers, scope.Finalizer) || assignedCondition(s) != nil {
				return fmt.Errorf("it carries %v, %v", s.Finalizers, s.Status.Conditions)
			}
			return nil
		})
	})
	t.Run("all Services keep their addresses, shared ones and those of a class included", func(t *testing.T) {
		d := d.in(t)
		d.plugin(0, "migrate", "metallb", "--apply", "--recreate", "--record="+record)
		keeps(d)
		for name := range had {
			if said := assignedCondition(d.service(name)); said == nil || said.Status != metav1.ConditionTrue {
				t.Errorf("%s says %v", name, said)
			}
		}
		d.awaitAnswer(d.Client, addresses(d.service("front"))[0])
		d.awaitAnswer(d.Client, addresses(d.service("classed"))[0])
		d.plugin(0, "migrate", "metallb", "--apply", "--record="+record) // once more does nothing
		keeps(d)
	})
	t.Run("external IPs become load balancers", func(t *testing.T) {
		d := d.in(t)
		for _, port := range []int32{80, 8080} {
			d.loadBalancer(fmt.Sprintf("external-%d", port), func(s *corev1.Service) {
				s.Spec.Type, s.Spec.ExternalIPs = corev1.ServiceTypeClusterIP, []string{"192.168.10.245"}
				s.Spec.Ports[0].Port = port
			})
		}
		d.plugin(0, "migrate", "external-ips", "--apply", "--record="+record)
		for _, name := range []string{"external-80", "external-8080"} {
			s := d.service(name)
			if !slices.Equal(addressTexts(s), []string{"192.168.10.245"}) || len(s.Spec.ExternalIPs) > 0 {
				t.Errorf("%s has %v and external IPs %v", name, addressTexts(s), s.Spec.ExternalIPs)
			}
		}
		d.awaitAnswer(d.Client, addresses(d.service("external-80"))[0])
	})
	t.Run("it is not uninstalled while Services have addresses", func(t *testing.T) {
		d := d.in(t)
		if out := d.plugin(3, "uninstall"); !strings.Contains(out, "default/front has 192.168.10.240") {
			t.Errorf("it says %s", out)
		}
		keeps(d)
	})
	t.Run("another load balancer can take over, and nothing is left", func(t *testing.T) {
		d := d.in(t)
		defer d.RightsGo()()
		d.plugin(0, "uninstall", "--hand-over")
		keeps(d)
		d.nothingIsLeft()
		d.asks(0, "uninstall", "Nothing of Clarion is left") // once more does nothing
		keeps(d)
	})
	t.Run("the documented way without the plugin leaves nothing either", func(t *testing.T) {
		d := d.in(t)
		d.apply("../../manifests")
		d.AwaitReady(t)
		d.apply(samples+"pool.yaml", samples+"l2advertisement.yaml")
		d.loadBalancer("again", wish("192.168.10.230"))
		d.awaitAnswer(d.Client, d.awaitAddress("again"))
		d.update("again", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		for _, name := range []string{"front", "dns", "dns-udp", "classed", "external-80", "external-8080"} {
			d.delete(name)
		}
		defer d.RightsGo()()
		for _, line := range documentedCommands(t, "../../docs/install.md", "## Removing Clarion without the plugin")[0] {
			d.shell(line)
		}
		d.nothingIsLeft()
	})
	t.Run("what holds the addresses of Services is not deleted with the rest, and is there again", func(t *testing.T) {
		d := d.in(t)
		d.apply("../../manifests")
		d.AwaitReady(t)
		d.apply(samples+"pool.yaml", samples+"l2advertisement.yaml")
		d.loadBalancer("once-more", wish("192.168.10.231"))
		d.awaitAnswer(d.Client, d.awaitAddress("once-more"))
		d.eventually("the definitions to be in use", func(ctx context.Context) error {
			_, err := d.Kubectl(ctx, "delete", "crd", "l2advertisements.clarionlb.io", "--dry-run=server")
			if err == nil || !strings.Contains(err.Error(), "Services have addresses of IPAddressPool public") {
				return fmt.Errorf("to delete one is answered with %v", err)
			}
			return nil
		})
		defer d.RightsGo()()
		if out, err := d.Kubectl(d.ctx, "delete", "-k", "../../manifests"); err == nil || !strings.Contains(err.Error(), "Services have addresses") {
			t.Errorf("to delete everything is answered with %s, %v", out, err)
		}
		d.apply("../../manifests")
		d.AwaitReady(t)
		d.awaitAddresses("once-more", "192.168.10.231")
		d.awaitAnswer(d.Client, addresses(d.service("once-more"))[0])
		d.plugin(0, "uninstall", "--release")
		if got := addressTexts(d.service("once-more")); len(got) > 0 {
			t.Errorf("it has %v", got)
		}
		d.nothingIsLeft()
	})
}

// giveByAnother writes an address into the status of a Service as another load balancer does.
func (d *deployment) giveByAnother(name, address string) {
	d.t.Helper()
	service := d.service(name)
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
	if _, err := d.Kubernetes().CoreV1().Services(service.Namespace).UpdateStatus(d.ctx, service, metav1.UpdateOptions{}); err != nil {
		d.t.Fatal(err)
	}
}

// answerAsAnother gives a Service an address whenever it has none and is of another load balancer's class, until stopped.
func (d *deployment) answerAsAnother(name, class, address string) (stop func()) {
	d.t.Helper()
	services := d.Kubernetes().CoreV1().Services(d.namespace)
	changes, err := services.Watch(d.ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		d.t.Fatal(err)
	}
	var answering sync.WaitGroup
	answering.Go(func() {
		for change := range changes.ResultChan() {
			s, is := change.Object.(*corev1.Service)
			if !is || ptr.Deref(s.Spec.LoadBalancerClass, "") != class || len(s.Status.LoadBalancer.Ingress) > 0 {
				continue
			}
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
			if _, err := services.UpdateStatus(d.ctx, s, metav1.UpdateOptions{}); err != nil && !apierrors.IsConflict(err) {
				d.t.Errorf("answer Service %s: %v", name, err)
			}
		}
	})
	return func() {
		changes.Stop()
		answering.Wait()
	}
}

func assignedCondition(s *corev1.Service) *metav1.Condition {
	return meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAddressAssigned)
}

// plugin runs kubectl clarion, wants this exit code, and returns what it writes.
func (d *deployment) plugin(code int, args ...string) string {
	d.t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		d.t.Fatal(err)
	}
	command := append([]string{filepath.Join(root, ".cache", "bin", "kubectl-clarion"), "--kubeconfig=" + d.Kubeconfig(), "--cache-dir=" + d.t.TempDir()}, args...)
	out, err := d.Control.Run(d.ctx, command...)
	got, exit := 0, (*exec.ExitError)(nil)
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	}
	if got != code || err != nil && exit == nil {
		d.t.Fatalf("kubectl clarion %s ends with %d: %v\n%s", strings.Join(args, " "), got, err, out)
	}
	if err != nil {
		out += err.Error()
	}
	return out
}

// nothingIsLeft checks that the cluster and the nodes have nothing of Clarion.
func (d *deployment) nothingIsLeft() {
	d.t.Helper()
	services, err := d.Kubernetes().CoreV1().Services(metav1.NamespaceAll).List(d.ctx, metav1.ListOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, s := range services.Items {
		text, err := json.Marshal([]any{s.Finalizers, s.Annotations, s.Status.Conditions})
		if err != nil || strings.Contains(string(text), "clarion") || slices.Contains(s.Finalizers, scope.Finalizer) {
			d.t.Errorf("Service %s carries %s, %v", s.Name, text, err)
		}
	}
	kinds := "crd,clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding,namespace"
	for _, get := range [][]string{{"get", kinds, "--output=name"}, {"get", "all,role,rolebinding,serviceaccount,lease", "--namespace=kube-system", "--output=name"}} {
		for line := range strings.Lines(d.kubectl(get...)) {
			if strings.Contains(line, "clarion") {
				d.t.Errorf("%s is left", strings.TrimSpace(line))
			}
		}
	}
	for _, node := range d.Nodes() {
		tables, err := node.Run(d.ctx, "nft", "list", "tables")
		if err != nil || strings.Contains(tables, "clarion") {
			d.t.Errorf("%s has tables %s, %v", node.Name, tables, err)
		}
	}
}

// foreignKind defines a kind of another load balancer, with any content.
func foreignKind(kind, group, version, scope string) string {
	return fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[2]s.%[3]s}
spec:
  group: %[3]s
  names: {kind: %[1]s, plural: %[2]s}
  scope: %[5]s
  versions:
  - name: %[4]s
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, kind, plural(kind), group, version, scope)
}

// plural is how the API calls the objects of a kind.
func plural(kind string) string {
	name := strings.ToLower(kind)
	if stem, is := strings.CutSuffix(name, "y"); is {
		return stem + "ies"
	}
	return name + "s"
}

func metalLBKind(kind string) string { return foreignKind(kind, "metallb.io", "v1beta1", "Namespaced") }

const metalLBObjects = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: lan, namespace: metallb-system}
spec: {addresses: [192.168.10.240-192.168.10.244], autoAssign: true}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: lan, namespace: metallb-system}
spec: {ipAddressPools: [lan]}
---
apiVersion: metallb.io/v1beta1
kind: BGPPeer
metadata: {name: red, namespace: metallb-system}
spec: {myASN: 64500, peerASN: 64501, peerAddress: 192.168.10.1, vrf: red}
`
