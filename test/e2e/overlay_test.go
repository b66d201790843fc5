package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cloudproviderapi "k8s.io/cloud-provider/api"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/install"
)

// TestLoadBalancersAlone has the nodes be those of another cloud-controller-manager, which has not
// come to them yet. Then Clarion takes them, too.
func TestLoadBalancersAlone(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, install.Bare(t, cluster.Config{Nodes: 2, Flags: map[string][]string{
		"kube-controller-manager": {"--node-monitor-grace-period=10s"},
	}}))
	d.apply("../../manifests/overlays/load-balancer-only")
	d.AwaitReady(t)
	d.apply(samples + "pool.yaml")
	d.loadBalancer("app", nil)
	d.awaitAddress("app")
	nodes, err := d.Kubernetes().CoreV1().Nodes().List(d.ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes.Items {
		waits := slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == cloudproviderapi.TaintExternalCloudProvider })
		if !waits || node.Spec.ProviderID != "" {
			t.Errorf("node %s is not left alone: %v, provider ID %q", node.Name, node.Spec.Taints, node.Spec.ProviderID)
		}
	}
	t.Run("nodes are what the cloud config says", d.run(testCloudConfig))
}

// monitors are the kinds of the Prometheus Operator, with any content.
const monitors = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]ss.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: %[2]s, plural: %[1]ss}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

func TestPrometheusMayScrape(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, install.Bare(t, cluster.Config{Nodes: 2}))
	d.applyYAML(fmt.Sprintf(monitors, "podmonitor", "PodMonitor") + "---" + fmt.Sprintf(monitors, "servicemonitor", "ServiceMonitor"))
	d.kubectl("create", "namespace", "monitoring")
	d.kubectl("create", "serviceaccount", "prometheus-k8s", "--namespace=monitoring")
	d.apply("../../manifests/overlays/prometheus")
	d.AwaitReady(t)

	token := strings.TrimSpace(d.kubectl("create", "token", "prometheus-k8s", "--namespace=monitoring"))
	d.eventually("the metrics of the cloud-controller-manager", func(ctx context.Context) error {
		text, status := d.metrics(ctx, token)
		if status != http.StatusOK || !strings.Contains(text, "\nclarion_") {
			return fmt.Errorf("%d: %.200s", status, text)
		}
		return nil
	})
	d.eventually("the Service of the cloud-controller-manager to have its pod", func(ctx context.Context) error {
		found, err := d.Kubernetes().DiscoveryV1().EndpointSlices(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + ccm})
		if err != nil || len(found.Items) == 0 || len(found.Items[0].Endpoints) != 1 {
			return fmt.Errorf("%v, %v", found, err)
		}
		return nil
	})
	for _, node := range d.Nodes() {
		url := "http://" + netip.AddrPortFrom(node.IPs()[0], 7948).String() + "/metrics"
		if text, err := d.watcher.Run(d.ctx, "curl", "--silent", "--show-error", url); err != nil || !strings.Contains(text, "\nclarion_announcer_") {
			t.Errorf("from outside, the announcer of %s says %.200s, %v", node.Name, text, err)
		}
	}
	find := []string{"auth", "can-i", "list", "pods", "--namespace=clarion-system", "--as=system:serviceaccount:monitoring:prometheus-k8s"}
	if got := strings.TrimSpace(d.kubectl(find...)); got != "yes" {
		t.Errorf("may it find the announcers: %s", got)
	}
}
