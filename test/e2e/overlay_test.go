package e2e

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cloudproviderapi "k8s.io/cloud-provider/api"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/install"
)

// TestLoadBalancersAlone has the nodes be those of another cloud-controller-manager, which has not
// come to them yet.
func TestLoadBalancersAlone(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, install.Bare(t, cluster.Config{Nodes: 2}))
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
}
