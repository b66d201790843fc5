package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cloudproviderapi "k8s.io/cloud-provider/api"

	"github.com/clarionlb/clarion/test/cluster/setup"
)

const cloudConfigOverlay = `
resources: [%[1]s/manifests]
components: [%[1]s/manifests/components/node-lifecycle, %[1]s/manifests/components/cloud-config]
configMapGenerator:
- name: clarion-cloud-config
  namespace: kube-system
  files: [cloud-config.yaml]
  options: {labels: {app.kubernetes.io/part-of: clarion}}
`

// cloudConfig declares both nodes gone: the second, and one that had the name of the first.
const cloudConfig = `
apiVersion: config.clarionlb.io/v1alpha1
kind: CloudConfig
nodes:
- names: ["*2"]
  zone: rack-2
- subnets: [%s/32]
  zone: rack-1
  labels: {example.com/power: feed-1}
- region: home
  instanceType: r750
gone:
- {name: n1, uid: that-of-another}
- {name: n2, uid: %s}
`

// testCloudConfig has two nodes that nobody has initialised yet be what a file says, and one of them go.
func testCloudConfig(d *deployment) {
	d.t.Helper()
	gone, err := d.Kubernetes().CoreV1().Nodes().Get(d.ctx, "n2", metav1.GetOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	d.kubectl("cordon", "n2") // the cloud-controller-manager is to outlive it
	d.apply(d.cloudConfigOverlay(fmt.Sprintf(cloudConfig, d.Node("n1").IPs()[0], gone.UID)))
	for name, want := range map[string]string{"n1": "rack-1 home r750 feed-1", "n2": "rack-2 home r750 "} {
		d.eventually(name+" to have its labels", func(ctx context.Context) error {
			node, err := d.Kubernetes().CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			of := node.Labels
			got := fmt.Sprint(of[corev1.LabelTopologyZone], " ", of[corev1.LabelTopologyRegion], " ", of[corev1.LabelInstanceTypeStable], " ", of["example.com/power"])
			if got != want || node.Spec.ProviderID != "clarion://"+name {
				return fmt.Errorf("it has %q and the provider ID %q, want %q", got, node.Spec.ProviderID, want)
			}
			return nil
		})
	}
	// What the controllers of nodes do besides.
	d.kubectl("label", "node/n1", "--overwrite", "failure-domain.beta.kubernetes.io/zone=rack-9")
	d.kubectl("taint", "node", "n1", cloudproviderapi.TaintNodeShutdown+":NoSchedule")
	d.eventually("the labels to agree, and the taint to go", func(ctx context.Context) error {
		node, err := d.Kubernetes().CoreV1().Nodes().Get(ctx, "n1", metav1.GetOptions{})
		if err != nil {
			return err
		}
		shutdown := func(taint corev1.Taint) bool { return taint.Key == cloudproviderapi.TaintNodeShutdown }
		if zone := node.Labels[corev1.LabelTopologyZone]; zone != "rack-9" || slices.ContainsFunc(node.Spec.Taints, shutdown) {
			return fmt.Errorf("the zone is %s, the taints are %v", zone, node.Spec.Taints)
		}
		return nil
	})
	d.powerOff(d.Node("n2"))
	d.eventually("the node that is gone to be deleted", func(ctx context.Context) error {
		_, err := d.Kubernetes().CoreV1().Nodes().Get(ctx, "n2", metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("it is there"), err)
		}
		return nil
	})
	if _, err := d.Kubernetes().CoreV1().Nodes().Get(d.ctx, "n1", metav1.GetOptions{}); err != nil {
		d.t.Error(err)
	}
}

// cloudConfigOverlay makes an overlay with this file, as users do, and returns its folder.
func (d *deployment) cloudConfigOverlay(text string) string {
	d.t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		d.t.Fatal(err)
	}
	dir := d.t.TempDir()
	checkout, err := filepath.Rel(dir, root)
	if err != nil {
		d.t.Fatal(err)
	}
	for name, text := range map[string]string{"kustomization.yaml": fmt.Sprintf(cloudConfigOverlay, checkout), "cloud-config.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
	return dir
}
