package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
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
	others := d.occupy("127.0.0.1:10258") // as that of k3s does on its servers
	d.apply(d.documentedOverlay("../../docs/guides/clusters.md", "--secure-port="))
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
	others.Close()
	t.Run("nodes are what the cloud config says", d.run(testCloudConfig))
}

// occupy listens on a port of all nodes until it is closed.
func (d *deployment) occupy(port string) io.Closer {
	d.t.Helper()
	var listeners closers
	for _, node := range d.Nodes() {
		if err := node.Do(func() error {
			listener, err := net.Listen("tcp", port)
			listeners = append(listeners, listener)
			return err
		}); err != nil {
			d.t.Fatal(err)
		}
	}
	d.t.Cleanup(func() { listeners.Close() })
	return listeners
}

type closers []io.Closer

func (c closers) Close() (err error) {
	for _, each := range c {
		err = errors.Join(err, each.Close())
	}
	return err
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
	d.applyYAML(fmt.Sprintf(monitors, "servicemonitor", "ServiceMonitor") + "---" + fmt.Sprintf(monitors, "prometheusrule", "PrometheusRule"))
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
	for _, service := range []struct {
		namespace, name string
		pods            int
	}{{metav1.NamespaceSystem, ccm, 1}, {"clarion-system", "announcer", 2}} {
		d.eventually("the pods of Service "+service.name, func(ctx context.Context) error {
			found, err := d.Kubernetes().DiscoveryV1().EndpointSlices(service.namespace).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + service.name})
			if err != nil || len(found.Items) == 0 || len(found.Items[0].Endpoints) != service.pods {
				return fmt.Errorf("%v, %v", found, err)
			}
			return nil
		})
	}
	for name, test := range map[string]struct {
		token string
		want  int
	}{
		"nobody":        {"", http.StatusUnauthorized},
		"a forger":      {"forged", http.StatusUnauthorized},
		"somebody else": {d.token("stranger"), http.StatusForbidden},
		"Prometheus":    {token, http.StatusOK},
	} {
		for _, node := range d.Nodes() {
			text, status := d.announcerMetrics(node, test.token)
			if status != test.want || strings.Contains(text, "\nclarion_announcer_") != (status == http.StatusOK) {
				t.Errorf("to %s, the announcer of %s answers %d: %.200s", name, node.Name, status, text)
			}
		}
	}
	find := []string{"auth", "can-i", "list", "pods", "--namespace=clarion-system", "--as=system:serviceaccount:monitoring:prometheus-k8s"}
	if got := strings.TrimSpace(d.kubectl(find...)); got != "yes" {
		t.Errorf("may it find the announcers: %s", got)
	}
}

// announcerMetrics are those of the announcer of a node, as the host watcher gets them with a token.
func (d *deployment) announcerMetrics(node *cluster.Node, token string) (text string, status int) {
	d.t.Helper()
	command := []string{"curl", "--silent", "--show-error", "--insecure", "--write-out", "\n%{http_code}", fmt.Sprintf("https://%s:7949/metrics", node.IPs()[0])}
	if token != "" {
		command = append(command, "--header", "Authorization: Bearer "+token)
	}
	out, err := d.watcher.Run(d.ctx, command...)
	if err != nil {
		d.t.Fatal(err)
	}
	last := strings.LastIndex(out, "\n")
	if status, err = strconv.Atoi(strings.TrimSpace(out[last:])); err != nil {
		d.t.Fatal(err)
	}
	return out[:last], status
}
