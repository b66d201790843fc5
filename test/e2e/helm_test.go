package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/action"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/install"
)

// TestHelmInstallsUpgradesAndUninstalls goes through the life of a release, while a Service has an
// address.
func TestHelmInstallsUpgradesAndUninstalls(t *testing.T) {
	t.Parallel()
	last, err := setup.LastRelease(t.Context(), os.Stderr)
	if err != nil && !errors.Is(err, setup.ErrNotInHistory) {
		t.Fatal(err)
	}
	d := newDeployment(t, install.Bare(t, cluster.Config{Nodes: 2, Images: map[string]string{releaseImage: last.Programs}}))
	r := d.helm("clarion")
	d.documentedHelm("--values", d.documentedValues("../../docs/guides/clusters.md", "--ignore-exclude-label"))
	d.AwaitReady(t)
	// The nodes are as those that kubeadm makes of the control plane.
	d.kubectl("label", "nodes", "--all", corev1.LabelNodeExcludeBalancers+"=")
	d.apply(samples+"pool.yaml", samples+"l2advertisement.yaml")
	d.StartApp(t)
	d.loadBalancer("app", nil)
	address := d.awaitAddress("app")
	d.awaitAnswer(d.Client, address)
	d.kubectl("label", "nodes", "--all", corev1.LabelNodeExcludeBalancers+"-")

	t.Run("an upgrade takes no address away", func(t *testing.T) {
		d := d.in(t)
		r := r.in(d)
		r.upgrade("v0.1.1", map[string]any{
			"controller": map[string]any{"replicas": 2, "podAnnotations": map[string]any{"example.com/a": "b"}},
			"announcer":  map[string]any{"extraArgs": []any{"--refresh=30s"}},
		})
		d.AwaitReady(t)
		d.awaitAddresses("app", address.String())
		d.awaitAnswer(d.Client, address)
		if got := d.kubectl("get", "--namespace=kube-system", "poddisruptionbudget/"+ccm, "--output=name"); !strings.Contains(got, ccm) {
			t.Errorf("the PodDisruptionBudget is %q", got)
		}
		for _, workload := range []string{"--namespace=kube-system deployment/" + ccm, "--namespace=clarion-system daemonset/announcer"} {
			image := d.kubectl(append([]string{"get", "--output=jsonpath={.spec.template.spec.containers[*].image}"}, strings.Fields(workload)...)...)
			if !strings.HasSuffix(image, ":v0.1.1") {
				t.Errorf("%s has the image %s", workload, image)
			}
		}
	})
	t.Run("beside another load balancer, Services without a class are its own, but for those that Clarion has", func(t *testing.T) {
		d := d.in(t)
		r := r.in(d)
		var values map[string]any
		if err := yaml.Unmarshal([]byte(documentedYAML(t, "../../docs/guides/beside-others.md", "--require-load-balancer-class")), &values); err != nil {
			t.Fatal(err)
		}
		r.upgrade("v0.1.1", values)
		d.AwaitReady(t)
		d.loadBalancer("foreign", nil)
		d.loadBalancer("ours", class(v1alpha1.LoadBalancerClass))
		untouched := d.untouched("foreign")
		d.awaitAddress("ours")
		d.awaitAddresses("app", address.String())
		d.awaitAnswer(d.Client, address)
		untouched()
		d.delete("foreign", "ours")
	})
	t.Run("what users have outlives the release", func(t *testing.T) {
		d := d.in(t)
		r := r.in(d)
		d.setPassword("router", "secret")
		r.uninstall()
		_, err := d.Kubernetes().AppsV1().DaemonSets("clarion-system").Get(d.ctx, "announcer", metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("the DaemonSet: %v", err)
		}
		for _, object := range []string{"crd/bgppeers.clarionlb.io", "ipaddresspool/public", "l2advertisement/public", "--namespace=clarion-bgp secret/router"} {
			d.kubectl(append([]string{"get"}, strings.Fields(object)...)...)
		}
		if got := fmt.Sprint(addresses(d.service("app"))); got != fmt.Sprintf("[%s]", address) {
			t.Errorf("the Service has %s", got)
		}
	})
	t.Run("a release that follows goes on where the last one stopped, and is upgraded from the version before", func(t *testing.T) {
		d := d.in(t)
		r := r.in(d)
		r.installLast(last)
		d.AwaitReady(t)
		d.awaitAddresses("app", address.String())
		d.awaitAnswer(d.Client, address)
		r.upgrade(r.chart().AppVersion(), map[string]any{"image": nil}) // with no values at all, Helm keeps those from before
		d.AwaitReady(t)
		d.awaitAddresses("app", address.String())
		d.awaitAnswer(d.Client, address)
		for _, workload := range []string{"--namespace=kube-system deployment/" + ccm, "--namespace=clarion-system daemonset/announcer"} {
			if got := d.kubectl(append([]string{"get", "--output=jsonpath={.spec.template.spec.containers[*].image}"}, strings.Fields(workload)...)...); strings.Contains(got, releaseImage) {
				t.Errorf("%s has the image %s", workload, got)
			}
		}
		d.delete("app") // its finalizer is removed
		d.deleteLoadBalancers()
	})
	t.Run("the plugin removes all, and Helm its record", func(t *testing.T) {
		d := d.in(t)
		r := r.in(d)
		done := d.RightsGo()
		d.asks(0, "uninstall", "Helm still lists the release")
		done()
		r.uninstall()
		d.nothingIsLeft()
		if list, err := action.NewList(r.config).Run(); err != nil || len(list) > 0 {
			t.Errorf("Helm lists %v, %v", list, err)
		}
	})
}

// TestHelmTakesOverWhatKubectlApplied changes over from kustomize to Helm, while a Service has an
// address.
func TestHelmTakesOverWhatKubectlApplied(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 2})
	d.apply(samples+"pool.yaml", samples+"l2advertisement.yaml")
	d.StartApp(t)
	d.loadBalancer("app", nil)
	address := d.awaitAddress("app")
	d.awaitAnswer(d.Client, address)

	r := d.helm("other")
	if err := r.tryInstall(action.NewInstall(r.config), r.chart(), nil); err == nil || !strings.Contains(err.Error(), "invalid ownership metadata") {
		t.Errorf("without being told to take over: %v", err)
	}
	d.awaitAddresses("app", address.String())
	d.documentedHelm("--take-ownership", "--force-conflicts")
	d.AwaitReady(t)
	d.awaitAddresses("app", address.String())
	d.awaitAnswer(d.Client, address)
}
