package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

// TestWhatElseUsesAddressesIsKnownAndNamed covers addresses that something else uses than Clarion's
// Services, Services that become another load balancer's, and a Node without an address.
func TestWhatElseUsesAddressesIsKnownAndNamed(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 2})
	d.apply(samples+"l2advertisement.yaml", samples+"deployment.yaml")
	d.provide(pool("lan", "192.168.10.200-192.168.10.255"))
	d.kubectl("rollout", "status", "deployment/myapp", "--timeout=120s")

	t.Run("a Service that became another load balancer's while no cloud-controller-manager ran", func(t *testing.T) {
		d := d.in(t)
		d.loadBalancers(nil, "changes")
		d.withoutCCM(1, func() {
			d.update("changes", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
			d.update("changes", all(class("example.com/other"), func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer }))
			d.patchStatus("changes", `{"loadBalancer": {"ingress": [{"ip": "192.168.10.210", "ipMode": "VIP"}]}}`)
		})
		d.eventually("nothing of Clarion to be left on the Service", func(context.Context) error {
			s := d.service("changes")
			assigned := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAddressAssigned)
			announced := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAnnounced)
			if len(s.Finalizers) > 0 || assigned != nil || announced != nil {
				return fmt.Errorf("finalizers %v, conditions %v", s.Finalizers, s.Status.Conditions)
			}
			return nil
		})
		if got := addressTexts(d.service("changes")); !slices.Equal(got, []string{"192.168.10.210"}) {
			t.Errorf("the other load balancer's address became %v", got)
		}
		const theirs = `192.168.10.210 is the address of Service default/changes of load balancer class "example.com/other"`
		d.loadBalancer("asks", wish("192.168.10.210"))
		d.awaitRefusal("asks", "AddressInUse", theirs)
		d.awaitReady("ipaddresspool/lan", v1alpha1.ReasonValid, theirs+" and is not handed out")
		d.delete("changes")
		d.awaitAddresses("asks", "192.168.10.210")
	})

	t.Run("a virtual IP on a node's interface", func(t *testing.T) {
		d := d.in(t)
		n1 := d.Nodes()[0]
		address := d.loadBalancers(nil, "holder")[0]
		ip := func(do, address string) {
			t.Helper()
			if _, err := n1.Run(d.ctx, "ip", "address", do, address+"/32", "dev", "eth0"); err != nil {
				t.Fatal(err)
			}
		}
		ip("add", "192.168.10.220")
		const vip = `192.168.10.220 is an address on interface eth0 of node "n1" and is not handed out`
		d.awaitReady("ipaddresspool/lan", v1alpha1.ReasonValid, vip)
		d.loadBalancer("wants-vip", wish("192.168.10.220"))
		d.awaitRefusal("wants-vip", "AddressReserved", `192.168.10.220 is never handed out: it is an address on interface eth0 of node "n1"`)

		ip("add", address)
		clash := address + ` is kept although it is an address on interface eth0 of node "n1"`
		d.awaitAssignment("holder", "Assigned", clash, address)
		d.awaitEvent("holder", corev1.EventTypeWarning, "AddressAlsoInUse", clash)
		ip("delete", address)
		ip("delete", "192.168.10.220")
		d.awaitAddresses("wants-vip", "192.168.10.220")
	})

	t.Run("what can be no host's address on the network", func(t *testing.T) {
		d := d.in(t)
		const broadcast = `192.168.10.255 is the broadcast address of the network 192.168.10.0/24 of node "n1" and is not handed out`
		d.awaitReady("ipaddresspool/lan", v1alpha1.ReasonValid, broadcast)
		d.provide(poolWith("elsewhere", "autoAssign: false", "10.77.0.10-10.77.0.20"))
		d.awaitReady("ipaddresspool/elsewhere", v1alpha1.ReasonValid, "10.77.0.10-10.77.0.20 is on no network of the nodes")
	})

	t.Run("a node whose kubelet was given no address", func(t *testing.T) {
		d := d.in(t)
		node := d.Nodes()[1]
		d.withoutCCM(1, func() {
			d.kubectl("annotate", "node", node.Name, "alpha.kubernetes.io/provided-node-ip-")
			d.kubectl("patch", "node", node.Name, "--subresource=status", "--type=json",
				`--patch=[{"op": "replace", "path": "/status/addresses", "value": [{"type": "Hostname", "address": "`+node.Name+`"}]}]`)
			d.kubectl("taint", "node", node.Name, "node.cloudprovider.kubernetes.io/uninitialized=true:NoSchedule")
			d.kubectl("patch", "announcer", node.Name, "--subresource=status", "--type=json", `--patch=[{"op": "remove", "path": "/status/host"}]`)
			d.killAnnouncer(node) // the next one finds a Node without an address
		})
		d.eventually("the node to be initialised", func(ctx context.Context) error {
			object, err := d.Kubernetes().CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			internal := corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: node.IPs()[0].String()}
			tainted := slices.ContainsFunc(object.Spec.Taints, func(taint corev1.Taint) bool { return strings.HasSuffix(taint.Key, "uninitialized") })
			if tainted || !slices.Contains(object.Status.Addresses, internal) {
				return fmt.Errorf("taints %v, addresses %v", object.Spec.Taints, object.Status.Addresses)
			}
			return nil
		})
		d.awaitAllAlive()
	})

	t.Run("the manifests are applied by the server after they were by the client", func(t *testing.T) {
		d.in(t).kubectl("apply", "--server-side", "--dry-run=server", "-k", "../../manifests")
	})
}
